package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// On a terminal init asks: whether to overwrite, and then for the services.
func TestInitAsks(t *testing.T) {
	answer := func(x *terminal, question, answer string) {
		t.Helper()
		x.until(question)
		if _, err := io.WriteString(x.file, answer+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	x := on(t, shortStack, nil, "init")
	answer(x, `stagehand.yaml is there already. Overwrite it \(y/n\) \[n\]:`, "")
	if code, _ := x.end(); code != 2 {
		t.Errorf("exit code %d", code)
	}
	path := filepath.Join(x.cmd.Dir, "stagehand.yaml")
	if text, err := os.ReadFile(path); err != nil || string(text) != shortStack {
		t.Errorf("%v: %s", err, text)
	}

	x = on(t, shortStack, nil, "init")
	path = filepath.Join(x.cmd.Dir, "stagehand.yaml")
	answer(x, `Overwrite it \(y/n\) \[n\]: *`, "y")
	answer(x, `Name of the stack \[\d+\]: *`, "asked")
	answer(x, `What comes first\? Its name: *`, "job")
	answer(x, `image of job: *`, actorImage)
	answer(x, `do one job and end \(y/n\) \[n\]: *`, "y")
	answer(x, `its command \(nothing: the image's own\): *`, "print hello")
	answer(x, `What comes next\? .*: *`, "")
	x.until(`stagehand.yaml: 1 stage, 1 service`)
	if code, _ := x.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	const want = `name: asked

services: # as in a Compose file
  job:
    image: ` + actorImage + `
    command: "print hello"

stages: # from top to bottom
  - {name: job, run: job}
`
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%v: %s", err, text)
	}

	// Ctrl-C ends it, and leaves what was there.
	x = on(t, shortStack, nil, "init", "-o", "new.yaml")
	x.until(`Name of the stack`)
	if _, err := io.WriteString(x.file, "\x03"); err != nil {
		t.Fatal(err)
	}
	if code, _ := x.end(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(filepath.Join(x.cmd.Dir, "new.yaml")); err == nil {
		t.Error("an interview that was broken off has left a file")
	}
}
