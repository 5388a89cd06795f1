package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
)

// sshHost is a real sshd on a port of 127.0.0.1, with host key and user key
// of its own, and an ssh in the PATH that knows them.
type sshHost struct {
	*testing.T
	folder  string
	address string // ssh://USER@127.0.0.1:PORT
	said    lockedText
}

// lockedText is what a process says, read while it runs.
type lockedText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// privilegeFolder is where Debian's sshd, run as root, locks its unprivileged
// half in; the service makes it at its start, which here is none.
const privilegeFolder = "/run/sshd"

// newSSHHost skips the test where a part of it is not on this machine.
func newSSHHost(t *testing.T) *sshHost {
	t.Helper()
	socket := socketOfEngine(t)
	programs := map[string]string{}
	for _, name := range []string{"sshd", "ssh", "ssh-keygen", "docker"} {
		path, err := exec.LookPath(name)
		if err != nil && name == "sshd" {
			path, err = exec.LookPath("/usr/sbin/sshd") // where people's PATH does not lead
		}
		if err != nil {
			t.Skipf("no %s here (scripts/test-tools.sh brings sshd): an engine over ssh is not tested", name)
		}
		programs[name] = path
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll(privilegeFolder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := &sshHost{T: t, folder: t.TempDir()}
	for _, key := range []string{"host", "user", "stranger"} {
		if output, err := exec.Command(programs["ssh-keygen"], "-q", "-t", "ed25519", "-N", "", "-f", h.path(key)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
	port := h.serve(programs["sshd"], socket)
	h.address = fmt.Sprintf("ssh://%s@127.0.0.1:%d", me.Username, port)

	public, err := os.ReadFile(h.path("host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, h.folder, map[string][]byte{
		"known":  fmt.Appendf(nil, "[127.0.0.1]:%d %s", port, public),
		"nobody": nil,
	})
	h.client("user", "known")
	// It notes its process before it becomes ssh, so that the test can see it end.
	wrapper := fmt.Sprintf("#!/bin/sh\necho $$ >>%s\nexec %s -F %s \"$@\"\n", h.path("pids"), programs["ssh"], h.path("config"))
	if err := os.Mkdir(h.path("bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path("bin/ssh"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", h.path("bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("DOCKER_HOST", h.address)
	h.awaitLogin()
	return h
}

func (h *sshHost) path(name string) string { return filepath.Join(h.folder, name) }

// client says which key ssh shows and which hosts it knows.
func (h *sshHost) client(key, known string) {
	h.Helper()
	write(h.T, h.folder, map[string][]byte{"config": fmt.Appendf(nil, `BatchMode yes
IdentitiesOnly yes
IdentityAgent none
IdentityFile %s
UserKnownHostsFile %s
GlobalKnownHostsFile none
StrictHostKeyChecking yes
`, h.path(key), h.path(known))})
}

// serve starts sshd at a free port and ends it with the test. Its sessions
// are for the engine behind the socket, whatever the default is.
func (h *sshHost) serve(sshd, socket string) (port int) {
	h.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.Fatal(err)
	}
	port = free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	write(h.T, h.folder, map[string][]byte{"sshd_config": fmt.Appendf(nil, `ListenAddress 127.0.0.1
Port %d
HostKey %s
AuthorizedKeysFile %s
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
MaxStartups 100
SetEnv DOCKER_HOST=unix://%s
`, port, h.path("host"), h.path("user.pub"), socket)})
	daemon := exec.Command(sshd, "-D", "-e", "-f", h.path("sshd_config"))
	daemon.Stderr = &h.said
	if err := daemon.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		_ = daemon.Wait()
		if h.Failed() {
			h.Logf("sshd: %s", h.said.String())
		}
	})
	return port
}

// awaitLogin returns once a login works.
func (h *sshHost) awaitLogin() {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	for pause := (backoff.Backoff{}); ; {
		output, err := exec.CommandContext(ctx, h.path("bin/ssh"), h.address, "true").CombinedOutput()
		if err == nil {
			return
		}
		if strings.Contains(h.said.String(), "account is locked") {
			h.Skip("this user's account is locked (passwd -S), so sshd lets nobody in: an engine over ssh is not tested")
		}
		if pause.Wait(ctx) != nil {
			h.Fatalf("%v: %s", err, output)
		}
	}
}

// allEnd fails where an ssh that the test started lives on.
func (h *sshHost) allEnd() {
	h.Helper()
	text, err := os.ReadFile(h.path("pids"))
	if err != nil {
		h.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, line := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			h.Fatal(err)
		}
		for pause := (backoff.Backoff{}); syscall.Kill(pid, 0) == nil; {
			if pause.Wait(ctx) != nil {
				h.Errorf("ssh with process %d lives on after the engine was closed", pid)
				break
			}
		}
	}
}

func TestEngineOverSSH(t *testing.T) {
	needActor(t)
	host := newSSHHost(t)
	t.Run("calls", testRemote)
	host.allEnd()
}

func TestSSHRefusalsSayWhatToDo(t *testing.T) {
	needActor(t)
	host := newSSHHost(t)
	for _, test := range []struct{ name, key, known, want string }{
		{"a host that is not known", "user", "nobody", "Host key verification failed"},
		{"a key that is not let in", "stranger", "known", "Permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host.client(test.key, test.known)
			_, err := Open(t.Context(), Options{})
			if !errors.Is(err, containers.ErrUnavailable) || !strings.Contains(err.Error(), host.address) || !strings.Contains(err.Error(), test.want) ||
				!strings.Contains(err.Error(), "ssh HOST docker version") {
				t.Errorf("got %v, want ErrUnavailable that names %s, says %q and what to try", err, host.address, test.want)
			}
		})
	}
	host.allEnd()
}
