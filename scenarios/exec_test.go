package scenarios

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestExecHasATerminalOrStandardInput(t *testing.T) {
	t.Parallel()
	s := newStack(t, "exec")
	s.file("stagehand.yaml", `
services:
  db: {image: demo/psql, command: [sleep, infinity], stop_grace_period: 1s}
stages:
  - {name: db, start: db}
`)
	s.stagehand(0, "up")
	for name, test := range map[string]struct {
		args        []string
		code        int
		out, stderr string
	}{
		"input":    {[]string{"exec", "db", "sh", "-c", "cat; echo apart >&2; exit 4"}, 4, "typed\n", "apart\n"},
		"settings": {[]string{"exec", "-u", "nobody", "-w", "/tmp", "-e", "A=b c", "-i", "db", "sh", "-c", "id -un; pwd; echo $A"}, 0, "nobody\n/tmp\nb c\n", ""},
		"no tty":   {[]string{"exec", "-T", "db", "sh", "-c", "tty"}, 1, "not a tty\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program, s.args(test.args...)...)
			var out, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("typed\n"), &out, &stderr
			_ = cmd.Run() // the code tells
			if code := cmd.ProcessState.ExitCode(); code != test.code || out.String() != test.out || stderr.String() != test.stderr {
				t.Errorf("exit %d, printed %q and %q", code, &out, &stderr)
			}
		})
	}
	t.Run("terminal", func(t *testing.T) {
		if _, err := exec.LookPath("script"); err != nil {
			t.Skip("no script(1), which makes a terminal")
		}
		line := program + " " + strings.Join(s.args("exec", "db", "sh"), " ")
		cmd := exec.Command("script", "--quiet", "--return", "--command", line, "/dev/null")
		cmd.Stdin = strings.NewReader("tty; exit 9\n")
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 9 || !strings.Contains(string(out), "/dev/pts/") {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
}
