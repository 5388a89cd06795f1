package processes

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func TestDead(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere nobody can tell")
	}
	self := Self()
	if self == "" || Dead(self) {
		t.Errorf("this process is named %q and counts as dead", self)
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	other := name(child.Process.Pid)
	if other == "" || Dead(other) {
		t.Errorf("%q counts as dead", other)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if !Dead(other) {
		t.Errorf("%q counts as alive", other)
	}
	// What cannot be told is not dead: another boot or namespace, and what is no name.
	for _, unknown := range []string{"", "x", strings.Replace(other, "pid:", "pid:9", 1), "another" + other, strings.TrimSuffix(other, other[strings.LastIndexByte(other, '/'):])} {
		if Dead(unknown) {
			t.Errorf("%q counts as dead", unknown)
		}
	}
	// The PID is another's now.
	if again := self + "1"; !Dead(again) {
		t.Errorf("%q counts as alive", again)
	}
}
