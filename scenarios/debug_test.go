package scenarios

import (
	"os/exec"
	"strings"
	"testing"
)

// A terminal is made by script(1), which hands on what is typed and the exit code.
func TestAShellWhereAHelperFailed(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("no script(1), which makes a terminal")
	}
	s := newStack(t, "debug")
	s.file("stagehand.yaml", `
services:
  db: {image: demo/psql, command: [sleep, infinity], stop_grace_period: 1s}
  setup: {image: demo/psql, command: [sh, -c, "exit 7"], environment: {GREETING: hello}}
stages:
  - {name: db, start: db}
  - {name: setup, run: setup}
`)
	s.stagehand(3, "up")
	cmd := exec.Command("script", "--quiet", "--return", "--command", program+" -f "+s.files[0]+" -p "+s.name+" --ledger "+s.dir+"/ledger.db debug setup", "/dev/null")
	cmd.Stdin = strings.NewReader("echo $GREETING from $(tty); getent hosts db; stty size; exit 9\n")
	cmd.Env = append(cmd.Environ(), s.env...)
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 9 || !strings.Contains(string(out), "hello from /dev/pts/0") || !strings.Contains(string(out), " db") {
		t.Errorf("exit code %d, want the shell's 9\n%s", code, out)
	}
	if left := s.docker("ps", "--all", "--quiet", "--filter", "label=dev.stagehand.stack="+s.name, "--filter", "label=dev.stagehand.role=debug"); left != "" {
		t.Errorf("left: %s", left)
	}
}
