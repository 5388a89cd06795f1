package specs

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// composeKeys are a service's keys, as compose-go knows them.
func composeKeys() []string {
	var known []string
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			switch {
			case field.Anonymous && strings.Contains(options, "inline"):
				walk(field.Type)
			case name != "-":
				known = append(known, name)
			}
		}
	}
	walk(reflect.TypeFor[types.ServiceConfig]())
	slices.Sort(known)
	return known
}

// TestDocumented: docs/compose.md has a line for each key, and each line
// names a test that there is; each case of the comparison with Docker Compose stands in it.
func TestDocumented(t *testing.T) {
	const cases = "../../scenarios/testdata/compose-keys"
	text, err := os.ReadFile("../../docs/compose.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| (`.*?) \\| (.+) \\| (unreleased|[0-9.]+) \\| (.*?) ?\\|$")
	named := regexp.MustCompile("`([^`]+)`")
	documented, tried := map[string]bool{}, map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		for _, key := range named.FindAllStringSubmatch(m[1], -1) {
			documented[key[1]] = true
		}
		for test := range strings.SplitSeq(m[4], ", ") {
			if key, ok := strings.CutPrefix(test, "keys/"); ok {
				tried[key] = true
				if _, err := os.Stat(filepath.Join(cases, key+".yaml")); err != nil {
					t.Errorf("docs/compose.md, %s: %v", m[1], err)
				}
			} else if folder, name, ok := strings.Cut(test, "."); ok && !declares(t, filepath.Join("../..", folder), name) {
				t.Errorf("docs/compose.md, %s: there is no %s in %s", m[1], name, folder)
			}
		}
	}
	for _, key := range composeKeys() {
		if !documented[key] {
			t.Errorf("docs/compose.md says nothing of %s", key)
		}
	}
	files, err := filepath.Glob(filepath.Join(cases, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if key := strings.TrimSuffix(filepath.Base(file), ".yaml"); !tried[key] {
			t.Errorf("docs/compose.md does not name keys/%s", key)
		}
	}
}

// declares tells whether the folder's tests have a function of that name.
func declares(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(text), "func "+name+"(")
	})
}
