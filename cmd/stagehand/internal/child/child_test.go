package child

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string, o Options) (int, string) {
	t.Helper()
	var out bytes.Buffer
	o.Stdout, o.Stderr = &out, &out
	path, err := Find("sh", "")
	if err != nil {
		t.Fatal(err)
	}
	code, err := Run(t.Context(), path, []string{"-c", script}, o)
	if err != nil {
		t.Fatal(err)
	}
	return code, out.String()
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		script string
		code   int
		output string
	}{
		{"echo out; echo err >&2; exit 7", 7, "out\nerr\n"},
		{"read line; echo got $line in $PWD with $X", 0, "got hello in " + dir + " with y\n"},
		{"kill -TERM $$", 143, ""},
		{"kill -KILL $$", 137, ""},
	} {
		code, out := shell(t, c.script, Options{Dir: dir, Environ: append(os.Environ(), "X=y"), Stdin: strings.NewReader("hello\n")})
		if code != c.code || out != c.output {
			t.Errorf("%s: %d, %q", c.script, code, out)
		}
	}
}

func TestSignalsAreHandedOn(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	for _, c := range []struct {
		trap string
		send func(signal func(os.Signal), kill func())
		code int
	}{
		{"trap 'exit 9' TERM", func(signal func(os.Signal), _ func()) { signal(syscall.SIGTERM) }, 9},
		{"trap '' TERM", func(signal func(os.Signal), kill func()) { signal(syscall.SIGTERM); kill() }, 137},
	} {
		_ = os.Remove(ready)
		done := make(chan struct{})
		code, _ := shell(t, c.trap+"; : > "+ready+"; while :; do sleep 0.02; done", Options{Environ: os.Environ(), Pass: func(signal func(os.Signal), kill func()) {
			go func() {
				defer close(done)
				for {
					if _, err := os.Stat(ready); err == nil {
						break
					}
					time.Sleep(5 * time.Millisecond)
				}
				c.send(signal, kill)
			}()
		}})
		<-done
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d", c.trap, code, c.code)
		}
	}
}

func TestItEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path, err := Find("sleep", "")
	if err != nil {
		t.Fatal(err)
	}
	code, err := Run(ctx, path, []string{"60"}, Options{Environ: os.Environ(), Pass: func(func(os.Signal), func()) { cancel() }})
	if code != 137 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tool"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := Find("./tool", dir); err != nil || path != filepath.Join(dir, "tool") {
		t.Errorf("%s, %v", path, err)
	}
	for program, want := range map[string]string{
		"no-such-program": "is not found in PATH", "./none": "does not exist", "./plain": "cannot be executed",
	} {
		if _, err := Find(program, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", program, err)
		}
	}
}
