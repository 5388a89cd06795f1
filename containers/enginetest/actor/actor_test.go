package actor_test

import (
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/program"
)

func TestCommands(t *testing.T) {
	tests := []struct {
		command  string
		code     int
		out, err string
	}{
		{"", 0, "", ""},
		{"print a b then warn c then exit 3 then print never", 3, "a b\n", "c\n"},
		{"count 2 n then long 3", 0, "n 1\nn 2\nxxx\n", ""},
		{"env COLOR then env NONE then args", 0, "blue\n\nenv COLOR then env NONE then args\n", ""},
		{"dance", 64, "", "actor: what is [\"dance\"]?\n"},
		{"cat", 64, "", "actor: what is [\"cat\"]?\n"},
		{"exit soon", 64, "", "actor: exit: soon is not a number\n"},
		{"sleep long", 64, "", "actor: sleep: time: invalid duration \"long\"\n"},
		{"hold-memory 1g", 64, "", "actor: hold-memory: 1g is not a number\n"},
	}
	for _, test := range tests {
		t.Run(test.command, func(t *testing.T) {
			var out, err strings.Builder
			code := actor.Main(t.Context(), &program.Process{
				Name: actor.Path, Args: strings.Fields(test.command), Env: []string{"COLOR=red", "COLOR=blue"}, Stdout: &out, Stderr: &err,
			})
			if code != test.code || out.String() != test.out || err.String() != test.err {
				t.Errorf("got %d, %q, %q; want %d, %q, %q", code, out.String(), err.String(), test.code, test.out, test.err)
			}
		})
	}
}
