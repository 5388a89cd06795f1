package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dockerd is an engine of the test's own, which it may kill: nobody else's
// containers stand on it.
type dockerd struct {
	t      *testing.T
	dir    string
	flags  []string
	cmd    *exec.Cmd
	output *os.File
}

// newDockerd starts one, or skips the test where that cannot be had.
func newDockerd(t *testing.T, flags ...string) *dockerd {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil || os.Geteuid() != 0 {
		t.Skip("an engine of its own needs dockerd and root")
	}
	dir, err := os.MkdirTemp("", "chd") // not t.TempDir: a socket's path has at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	d := &dockerd{t: t, dir: dir, flags: flags, output: output}
	t.Cleanup(d.remove)
	if err := d.start(); err != nil {
		t.Skipf("no engine of its own can be had here: %v", err)
	}
	return d
}

func (d *dockerd) socket() string { return filepath.Join(d.dir, "s") }

// start returns when the engine answers. It has no bridge of its own and
// leaves the machine's firewall alone; its networks have addresses that no
// other engine gives by default.
func (d *dockerd) start() error {
	args := append([]string{
		"--data-root", filepath.Join(d.dir, "root"), "--exec-root", filepath.Join(d.dir, "exec"), "--pidfile", filepath.Join(d.dir, "pid"),
		"-H", "unix://" + d.socket(), "--bridge=none", "--iptables=false", "--ip-masq=false",
		"--default-address-pool", "base=10.213.0.0/16,size=24",
	}, d.flags...)
	_ = os.Remove(filepath.Join(d.dir, "pid"))
	d.cmd = exec.Command("dockerd", args...)
	d.cmd.Stdout, d.cmd.Stderr = d.output, d.output
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := exec.CommandContext(ctx, "docker", "-H", "unix://"+d.socket(), "version").Run()
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("dockerd does not answer: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// restart kills the engine and starts it again.
func (d *dockerd) restart() error {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
	return d.start()
}

// remove ends the engine in order, with what it started, and removes its folder.
func (d *dockerd) remove() {
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan struct{})
		go func() { // ends with the process, which is killed below
			_ = d.cmd.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = d.cmd.Process.Kill()
			<-ended
		}
	}
	// A containerd whose dockerd was killed outlives it.
	if text, err := os.ReadFile(filepath.Join(d.dir, "exec", "containerd", "containerd.pid")); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && d.owns(pid) {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	_ = d.output.Close()
	for range 50 {
		if d.unmount(); os.RemoveAll(d.dir) == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.t.Errorf("%s cannot be removed", d.dir)
}

// owns tells whether the process was started for this engine: numbers are used again.
func (d *dockerd) owns(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(line), d.dir)
}

// unmount takes off what a killed engine left mounted below its folder.
func (d *dockerd) unmount() {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], d.dir+"/") {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
}

// aloneFile is the stack for an engine of the test's own.
const aloneFile = "testdata/alone.yaml"

// TestEngineRestarted: the engine is killed in mid-run and comes back, with
// its containers alive (live-restore) or dead. The same command, repeated
// until it ends well, ends in the same place.
func TestEngineRestarted(t *testing.T) {
	if os.Getenv("STAGEHAND_CHAOS_RESTART") != "1" {
		t.Skip("STAGEHAND_CHAOS_RESTART=1 starts and kills an engine of the test's own")
	}
	for _, test := range []struct {
		name     string
		flags    []string
		restarts int
		// gentle: helpers die with the engine and begin anew.
		gentle bool
	}{
		{"containers live on", []string{"--live-restore"}, 5, false},
		{"containers die", nil, 5, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDockerd(t, test.flags...)
			h := newHost(t, d.socket())
			random := seedOf(t)
			m := measured(t, h, aloneFile)
			for i := range test.restarts {
				after := time.Duration((float64(i) + random.Float64()) / float64(test.restarts) * float64(m.took))
				t.Run(fmt.Sprint(i), func(t *testing.T) { restartOnce(t, d, h, m, after, test.gentle) })
			}
		})
	}
}

func restartOnce(t *testing.T, d *dockerd, h *host, m measure, after time.Duration, gentle bool) {
	w := newTale(t, h, aloneFile)
	w.seen() // the stream breaks with the engine: the effects have to do
	restarted := make(chan error, 1)
	go func() { // owned by this test, which receives
		time.Sleep(after)
		restarted <- d.restart()
	}()
	_, first := w.up(death{}, nil)
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	t.Logf("restarted after %s; the run: %v", after.Round(time.Millisecond), first)
	if first != nil || gentle { // services may be dead though the run is over
		if err := w.again(func(int) trouble { return trouble{} }); err != nil {
			t.Fatalf("%v\n%s", err, w.history())
		}
	}
	if bad := w.check(m.left, gentle); len(bad) > 0 {
		t.Errorf("restarted after %s:\n%s\n%s", after, strings.Join(bad, "\n"), w.history())
	}
}
