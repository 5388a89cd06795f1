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

// start returns when the engine answers. Only its network namespace is its
// own: mounts of containers that live on have to be found by the next engine.
func (d *dockerd) start() error {
	namespace, err := d.namespace()
	if err != nil {
		return err
	}
	args := append([]string{
		"--net=" + namespace, "dockerd",
		"--data-root", filepath.Join(d.dir, "root"), "--exec-root", filepath.Join(d.dir, "exec"), "--pidfile", filepath.Join(d.dir, "pid"),
		"-H", "unix://" + d.socket(), "--bridge=none", "--iptables=false", "--ip-masq=false", "--default-address-pool", "base=" + addresses + ",size=24",
	}, d.flags...)
	// What a killed engine leaves, and the next one stumbles over: the ids of
	// processes that are gone but may not have been collected, and dead sockets.
	for _, stale := range []string{"pid", "exec/containerd/containerd.pid", "exec/containerd/containerd.sock", "exec/containerd/containerd.sock.ttrpc"} {
		_ = os.Remove(filepath.Join(d.dir, stale))
	}
	d.cmd = exec.Command("nsenter", args...)
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

// addresses are those of the engine's networks, which no other engine gives by default.
const addresses = "10.213.0.0/16"

// namespace makes a network namespace of the engine's own. In the machine's, an
// engine that starts takes away the bridges and the rules of another one. That
// no address there is reached from here is said at once, not after a time-out.
func (d *dockerd) namespace() (string, error) {
	name := fmt.Sprintf("shch%d", os.Getpid())
	path := "/var/run/netns/" + name
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	for _, args := range [][]string{
		{"netns", "add", name}, {"-netns", name, "link", "set", "lo", "up"}, {"route", "replace", "unreachable", addresses},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	d.t.Cleanup(func() {
		_ = exec.Command("ip", "route", "del", "unreachable", addresses).Run()
		_ = exec.Command("ip", "netns", "del", name).Run()
	})
	return path, nil
}

// remove ends the engine in order, with what it started, and removes its folder.
func (d *dockerd) remove() {
	clear := exec.Command("sh", "-c", `docker rm --force $(docker ps --all --quiet)`)
	clear.Env = append(os.Environ(), "DOCKER_HOST=unix://"+d.socket(), "DOCKER_CONTEXT=")
	_ = clear.Run() // what is left of it is ended below
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
	d.endRest()
	_ = d.output.Close()
	for range 50 {
		if d.unmount(); os.RemoveAll(d.dir) == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.t.Errorf("%s cannot be removed", d.dir)
}

// endRest kills what outlives a killed engine: processes whose command line
// names its folder, which no other one does, and their children, the
// containers.
func (d *dockerd) endRest() {
	ours, parents := []int{}, map[int][]int{}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return
	}
	for _, file := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		stat, statErr := os.ReadFile(file)
		line, lineErr := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		_, after, ok := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(after); err == nil && statErr == nil && lineErr == nil && ok && len(fields) > 1 {
			if parent, err := strconv.Atoi(fields[1]); err == nil {
				parents[parent] = append(parents[parent], pid)
			}
			if strings.Contains(string(line), d.dir+"/") {
				ours = append(ours, pid)
			}
		}
	}
	for _, pid := range ours {
		for _, child := range parents[pid] {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
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
	for name, flags := range map[string][]string{"containers live on": {"--live-restore"}, "containers die": nil} {
		t.Run(name, func(t *testing.T) {
			d := newDockerd(t, flags...)
			h := newHost(t, d.socket())
			random := seedOf(t)
			m := measured(t, h, aloneFile)
			for i := range restarts {
				after := time.Duration((float64(i) + random.Float64()) / restarts * float64(m.took))
				t.Run(fmt.Sprint(i), func(t *testing.T) { restartOnce(t, d, h, m, after) })
			}
		})
	}
}

// restarts of each engine.
const restarts = 5

// restartOnce restarts the engine in mid-run. A helper that ended, or was
// killed, while the engine was away has exit code 255 by Docker: nobody knows
// how it ended, so its work is done again. All else is as ever.
func restartOnce(t *testing.T, d *dockerd, h *host, m measure, after time.Duration) {
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
	if err := w.again(func(int) trouble { return trouble{} }); err != nil {
		t.Fatalf("%v\n%s", err, w.history())
	}
	if bad := w.check(m.left, true); len(bad) > 0 {
		t.Errorf("restarted after %s:\n%s\n%s", after, strings.Join(bad, "\n"), w.history())
	}
}
