package plan_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/plan"
)

func TestChanges(t *testing.T) {
	long := make([]string, 0, 300)
	for i := range 300 {
		long = append(long, fmt.Sprintf("argument-%d", i))
	}
	type spec = containers.Spec
	for _, test := range []struct {
		name          string
		before, after spec
		want          string
	}{
		{"nothing", spec{Image: "a", Command: []string{"x"}}, spec{Image: "a", Command: []string{"x"}}, ""},
		{"labels and pull do not count", spec{Labels: map[string]string{"a": "b"}}, spec{Pull: containers.PullAlways}, ""},
		{"an argument", spec{Command: []string{"migrate", "--to=3"}}, spec{Command: []string{"migrate", "--to=4"}}, "argv changed: migrate --to=3 → migrate --to=4"},
		{"a word with a space", spec{Command: []string{"sh", "-c", "echo a"}}, spec{Command: []string{"sh", "-c", "echo b"}}, `argv changed: sh -c "echo a" → sh -c "echo b"`},
		{"a long line", spec{Command: append(strings.Fields("one two three four five six seven eight nine"), "x", "end")},
			spec{Command: append(strings.Fields("one two three four five six seven eight nine"), "y", "end")}, "argv changed: … x … → … y …"},
		{"an argument more", spec{Command: []string{"a"}}, spec{Command: []string{"a", "b"}}, "argv changed: a → a b"},
		{"the image's own command", spec{}, spec{Command: []string{"a"}}, "argv changed: none → a"},
		{"cleared is not the image's own", spec{}, spec{Command: []string{}}, "argv changed: none is divided into entrypoint and command in another way"},
		{"entrypoint or command", spec{Entrypoint: []string{"a"}, Command: []string{"b"}}, spec{Entrypoint: []string{"a", "b"}}, "argv changed: a b is divided into entrypoint and command in another way"},
		{"more than is kept", spec{Command: long}, spec{Command: append(long[:299:299], "other")}, "argv changed"},
		{"environment", spec{Env: []string{"A=1", "B=2", "C=3"}}, spec{Env: []string{"A=1", "B=secret", "D=4"}}, "environment changed: B, C is gone, D is new"},
		{"many variables", spec{Env: []string{"A=1", "B=2", "C=3", "D=4", "E=5", "F=6"}}, spec{}, "environment changed: A is gone, B is gone, C is gone, D is gone, 2 more"},
		{"the image", spec{Image: "db:1"}, spec{Image: "db:2"}, "image changed: db:1 → db:2"},
		{"the user", spec{}, spec{User: "1000"}, "user changed: none → 1000"},
		{"others", spec{}, spec{Mounts: []containers.Mount{{Target: "/x"}}, Ports: []containers.Port{{Container: 80}}, WorkingDir: "/x"},
			"working dir changed: none → /x; mounts, ports changed"},
		{"the order", spec{Command: []string{"a"}, Env: []string{"A=1"}, Image: "a"}, spec{Command: []string{"b"}, Env: []string{"A=2"}, Image: "b"},
			"argv changed: a → b; environment changed: A; image changed: a → b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := plan.Changes(plan.PartsOf(test.before, nil), plan.PartsOf(test.after, nil)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestNoSecretIsKept: what looks like a secret stands in no part, and a
// change of it is seen all the same.
func TestNoSecretIsKept(t *testing.T) {
	const secret = "hunter2secret"
	for _, command := range [][]string{
		{"psql", "postgres://me:" + secret + "@db/x"},
		{"login", "--password=" + secret},
		{"login", "--password", secret},
		{"login", "--db-password", secret},
		{"login", "--api-key", secret},
		{"login", "-token", secret},
		{"sh", "-c", "PGPASSWORD=" + secret + " psql"},
		{"sh", "-c", "mysql -uroot --password='" + secret + "'"},
		{"curl", "-H", "Authorization: Bearer " + secret},
		{"curl", "-d", `{"token": "` + secret + `"}`},
		{"curl", "https://example/?access_token=" + secret + "&x=1"},
	} {
		spec := containers.Spec{Command: command, Env: []string{"HARMLESS=" + secret}}
		text, err := json.Marshal(plan.PartsOf(spec, nil))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), secret) {
			t.Errorf("%q: kept as %s", command, text)
		}
		other := containers.Spec{Env: spec.Env}
		for _, word := range command {
			other.Command = append(other.Command, strings.ReplaceAll(word, secret, "another"))
		}
		if said := plan.Changes(plan.PartsOf(spec, nil), plan.PartsOf(other, nil)); !strings.HasPrefix(said, "argv changed: ") || strings.Contains(said, secret) {
			t.Errorf("%q: the change is told as %q", command, said)
		}
	}
}

// TestEveryFieldIsAPart: whichever field of a spec differs, Changes says so
// exactly when the hash does.
func TestEveryFieldIsAPart(t *testing.T) {
	var zero containers.Spec
	for i := range reflect.TypeFor[containers.Spec]().NumField() {
		var spec containers.Spec
		field := reflect.ValueOf(&spec).Elem().Field(i)
		name := reflect.TypeFor[containers.Spec]().Field(i).Name
		fill(field)
		if reflect.DeepEqual(spec, zero) {
			t.Fatalf("%s: the test does not fill it", name)
		}
		said := plan.Changes(plan.PartsOf(zero, nil), plan.PartsOf(spec, nil))
		if differs := spec.Hash() != zero.Hash(); differs != (said != "") {
			t.Errorf("%s: the hash differs: %v; said: %q", name, differs, said)
		}
	}
}

// fill sets a value to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x=y")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(1)
	case reflect.Uint16, reflect.Uint32, reflect.Uint8:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type() == reflect.TypeFor[[]containers.Spec]() {
			v.Index(0).FieldByName("Name").SetString("x") // a spec within a spec has no end
			return
		}
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), reflect.ValueOf("v"))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

func TestPartsAreSmall(t *testing.T) {
	spec := containers.Spec{Command: []string{strings.Repeat("x", 1<<20)}}
	for i := range 500 {
		spec.Env = append(spec.Env, fmt.Sprintf("KEY_%d=%d", i, i))
		spec.Files = append(spec.Files, containers.File{Path: "/x", Content: make([]byte, 1<<10)})
	}
	text, err := json.Marshal(plan.PartsOf(spec, nil))
	if err != nil || len(text) > 500 {
		t.Errorf("%d bytes, %v: %.600s", len(text), err, text)
	}
}
