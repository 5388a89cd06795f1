package starter

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
)

func load(t *testing.T, text string) *stages.Stack {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stagehand.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stack, err := stages.Load(t.Context(), compose.Options{Files: []string{file}, Environ: []string{}})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, w := range stack.Warnings {
		t.Errorf("%s: %s", w.Pos, w.Message)
	}
	return stack
}

func TestExamplesAreStackFiles(t *testing.T) {
	if len(Examples()) < 3 {
		t.Fatalf("only %v", Examples())
	}
	for _, name := range Examples() {
		text, ok := Example(name)
		if !ok || !strings.HasPrefix(text, "# ") {
			t.Errorf("%s does not say what it shows", name)
		}
		if stack := load(t, text); len(stack.Stages) < 2 {
			t.Errorf("%s has %d stages", name, len(stack.Stages))
		}
	}
	if _, ok := Example("../starter"); ok {
		t.Error("what is no example is one")
	}
}

const answers = `Shop
shop
db
postgres:17
n

5432

db
migrate
shop/migrate
y
sh -c 'echo $HOME "now"'
web
two words
shop/web
no

99999
80
8080

`

const wantFile = `name: shop

services: # as in a Compose file
  db:
    image: postgres:17
  migrate:
    image: shop/migrate
    command: "sh -c 'echo $$HOME \"now\"'"
  web:
    image: shop/web
    ports: ["127.0.0.1:8080:80"]

stages: # from top to bottom
  - {name: db, start: db, ready: {tcp: "db:5432"}}
  - {name: migrate, run: migrate}
  - {name: web, start: web, ready: {tcp: "web:80"}}
`

func TestInterview(t *testing.T) {
	var said strings.Builder
	got, err := NewAsker(strings.NewReader(answers), &said).Interview(t.Context(), "folder")
	if err != nil || got != wantFile {
		t.Fatalf("%v\n%s\n%s", err, got, said.String())
	}
	stack := load(t, got)
	if command := stack.Services["migrate"].Spec.Command; len(command) != 3 || command[2] != `echo $HOME "now"` {
		t.Errorf("%q", command)
	}
	for _, want := range []string{"Name of the stack [folder]: ", "lower-case letters", "that name is taken", "an image such as postgres:17", "a port from 1 to 65535"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q was not said:\n%s", want, said.String())
		}
	}
	// A name that no stack can have is not offered.
	said.Reset()
	if _, err := NewAsker(strings.NewReader("\ndb\nx\n\n\n\n\n"), &said).Interview(t.Context(), "My Folder"); err != nil || !strings.Contains(said.String(), "[demo]") {
		t.Errorf("%v: %s", err, said.String())
	}
}

func TestInterviewEnds(t *testing.T) {
	for _, text := range []string{"", "shop\n", "shop\ndb\npostgres:17\n"} {
		if got, err := NewAsker(strings.NewReader(text), &strings.Builder{}).Interview(t.Context(), "x"); !errors.Is(err, ErrNoAnswer) || got != "" {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close() // ends the read that is under way
	if _, err := NewAsker(reader, &strings.Builder{}).Interview(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAgree(t *testing.T) {
	for text, want := range map[string]bool{"\n": false, "n\n": false, "perhaps\nY\n": true, "yes\n": true} {
		if got, err := NewAsker(strings.NewReader(text), &strings.Builder{}).Agree(t.Context(), "Do it"); err != nil || got != want {
			t.Errorf("%q: %t, %v", text, got, err)
		}
	}
}

func TestScalar(t *testing.T) {
	for text, want := range map[string]string{"db": "db", "1": `"1"`, "no": "no", "null": `"null"`, "a, b": `"a, b"`, "~": `"~"`, "../x y.yaml": "../x y.yaml", "a: b": `"a: b"`, "": `""`} {
		if got := scalar(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestLabel(t *testing.T) {
	taken := []stage{{name: "db"}}
	for service, want := range map[string]string{"web": "web", "DB": "db-2", "my_app.x": "my-app-x", "_": "stage", strings.Repeat("a", 80): strings.Repeat("a", 60)} {
		if got := label(service, taken); got != want {
			t.Errorf("%s: %s, want %s", service, got, want)
		}
	}
}
