//go:build unix

package ledgertest

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// Disk is a folder with a file system of its own of a size, as mount's tmpfs
// takes it ("600k"); it is unmounted at the end of the test. Where none can be mounted the test is skipped.
func Disk(t testing.TB, size string) string {
	t.Helper()
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("needs root on Linux to mount a tmpfs")
	}
	folder := t.TempDir()
	if output, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", folder).CombinedOutput(); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v: %s", err, output)
	}
	t.Cleanup(func() {
		if output, err := exec.Command("umount", folder).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
	return folder
}
