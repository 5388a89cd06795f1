package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminal is a run of the program under a pseudo-terminal, and what stands on its screen.
type terminal struct {
	t      *testing.T
	file   *os.File
	cmd    *exec.Cmd
	done   chan struct{}
	mu     sync.Mutex
	screen *vt.Emulator
	raw    strings.Builder
}

// on runs stagehand with args in a terminal of 80 by 24, over a memory engine of its own.
func on(t *testing.T, file string, environ []string, args ...string) *terminal {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "stagehand.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, cmd: exec.Command("stagehand", args...), done: make(chan struct{}), screen: vt.NewEmulator(80, 24)}
	x.cmd.Dir = folder
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "CI", "GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR", "TERM":
		default:
			x.cmd.Env = append(x.cmd.Env, pair)
		}
	}
	x.cmd.Env = append(x.cmd.Env, "STAGEHAND_ENGINE=memory:", "STAGEHAND_LEDGER="+filepath.Join(folder, "ledger.db"), "TERM=xterm-256color")
	x.cmd.Env = append(x.cmd.Env, environ...)
	var err error
	if x.file, err = pty.StartWithSize(x.cmd, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill() // where the test has not waited for its end
		<-x.done
		x.file.Close()
	})
	go func() { // ends with the program's terminal
		defer close(x.done)
		b := make([]byte, 4096)
		for {
			n, err := x.file.Read(b)
			x.mu.Lock()
			x.raw.Write(b[:n])
			_, _ = x.screen.Write(b[:n])
			x.mu.Unlock()
			if err != nil { // EIO, as the last process that has the terminal has ended
				return
			}
		}
	}()
	return x
}

func (x *terminal) see() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

// until waits for a screen that matches, and returns it.
func (x *terminal) until(expression string) string {
	x.t.Helper()
	re := regexp.MustCompile(expression)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if seen := x.see(); re.MatchString(seen) {
			return seen
		}
	}
	x.t.Fatalf("no %s on the screen:\n%s", expression, x.see())
	return ""
}

func (x *terminal) echoes() bool {
	x.t.Helper()
	flags, err := unix.IoctlGetTermios(int(x.file.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return flags.Lflag&unix.ECHO != 0
}

// end waits for the program's end, and returns its exit code and all that it wrote.
func (x *terminal) end() (code int, raw string) {
	x.t.Helper()
	<-x.done
	err := x.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		x.t.Fatal(err)
	}
	return x.cmd.ProcessState.ExitCode(), x.raw.String()
}

const liveStack = `name: demo
apps: {one: {}, two: {}}
services:
  db: {image: "stagehand-actor:test", command: [print, opening, then, sleep, 2500ms, then, listen, ":5432"]}
  setup: {image: "stagehand-actor:test", command: [print, "::progress 0/98 Mblocks::", then, sleep, 1200ms, then, print, "::progress 9.8/98 Mblocks::syncing", then, trap, SIGTERM, 1500ms, exit, "0"]}
stages:
  - {name: db, start: db, ready: {tcp: "db:5432"}}
  - {name: setup, run: setup, each: apps}
`

// What a run does is seen while it does it, in a terminal that changes its size; Ctrl-C is typed, and answered.
func TestLive(t *testing.T) {
	x := on(t, liveStack, nil, "up")
	x.until(`demo up +\d+s +0 of 3 done, 1 waiting`)
	x.until(`db +waits for tcp db:5432: refused +1s`)
	x.until(`(?m)^  │ opening`)
	if x.echoes() {
		t.Error("what is typed is shown in the midst of the frame")
	}
	seen := x.until(`(?s)✓ db +[23]\.\ds.*one +█+░+ +10%  9.8/98 Mblocks, .*/s.* left: syncing.*│ ready.*two +█`)
	if strings.Count(seen, "demo up") != 1 {
		t.Errorf("frames are left on the screen:\n%s", seen)
	}
	// The terminal first, as it is the emulator's user who makes it smaller.
	x.mu.Lock()
	x.screen.Resize(60, 12)
	x.mu.Unlock()
	if err := pty.Setsize(x.file, &pty.Winsize{Rows: 12, Cols: 60}); err != nil {
		t.Fatal(err)
	}
	seen = x.until(`(?m)setup +0 of 2 done, 2 running +\ds *$`)
	for line := range strings.Lines(seen) {
		if len([]rune(strings.TrimRight(line, " \n"))) > 60 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	if _, err := io.WriteString(x.file, "\x03"); err != nil {
		t.Fatal(err)
	}
	x.until(`(?s)■ one +stopping: interrupted.*stopping the helpers in order; once more.*interrupted: stopping setup/one setup/two`)
	x.until(`demo: interrupted after `)
	code, raw := x.end()
	if code != 130 {
		t.Errorf("exit code %d", code)
	}
	for _, wrong := range []string{"\x1b[2J", "\x1b[?1049h", "\x1b[?2004h", "\x1b[c", "\x1b[?2026$p"} {
		if strings.Contains(raw, wrong) {
			t.Errorf("the terminal got %q", wrong)
		}
	}
	if shown, hidden := strings.LastIndex(raw, "\x1b[?25h"), strings.LastIndex(raw, "\x1b[?25l"); shown < hidden {
		t.Error("the cursor is left hidden")
	}
	if !strings.Contains(raw, "\x1b[36m") {
		t.Error("no colours")
	}
}

const shortStack = `name: demo
services:
  init: {image: "stagehand-actor:test", command: [sleep, 600ms]}
  api: {image: "stagehand-actor:test", command: [http, ":80"], ports: ["127.0.0.1:18931:80"]}
stages:
  - {name: init, run: init}
  - {name: api, start: api}
`

// What is left is a line a stage and where it is reached, and the terminal as it was.
func TestLiveEnds(t *testing.T) {
	x := on(t, shortStack, []string{"NO_COLOR=1"}, "up")
	code, raw := x.end()
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := regexp.MustCompile(`(?s)^✓ init +\d{3}ms *\n✓ api +\d+ms *\n *\ndemo: done after \d{3}ms *\n *\n  api  http://localhost:18931 *\n[\s]*$`)
	if seen := x.see(); !want.MatchString(seen) {
		t.Errorf("%s\n%q", seen, raw)
	}
	if regexp.MustCompile(`\x1b\[[34]\dm`).MatchString(raw) {
		t.Errorf("colours in spite of NO_COLOR: %q", raw)
	}
}

// Where lines are wanted there is nothing else, terminal or not.
func TestNotLive(t *testing.T) {
	for name, c := range map[string]struct{ environ, args []string }{
		"TERM=dumb": {[]string{"TERM=dumb"}, []string{"up"}},
		"no TERM":   {[]string{"TERM="}, []string{"up"}},
		"CI":        {[]string{"CI=true"}, []string{"up"}},
		"--plain":   {nil, []string{"up", "--plain"}},
		"--json":    {nil, []string{"up", "--json"}},
		"--quiet":   {nil, []string{"up", "--quiet"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := on(t, shortStack, c.environ, c.args...)
			code, raw := x.end()
			if code != 0 || strings.Contains(raw, "\x1b") || strings.Contains(raw, "✓") {
				t.Errorf("exit code %d: %q", code, raw)
			}
			lines := strings.Contains(raw, "init  started    demo-init-1")
			if lines != (name != "--json" && name != "--quiet") {
				t.Errorf("%q", raw)
			}
			if name == "--quiet" && !strings.HasPrefix(raw, "demo: done after") {
				t.Errorf("%q", raw)
			}
		})
	}
}

// What is secret is on no frame: neither in what containers print, nor in their progress, nor in what is waited for.
func TestSecretsStayOffTheTerminal(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(key, []byte(planted["secret file"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stack := `name: vault
apps: {tenant: {password: ` + planted["app field"] + `}}
secrets: {key: {file: ` + key + `}, other: {environment: OTHER}}
x-any: &any {image: "stagehand-actor:test", environment: {DB_PASSWORD: , API_KEY: }, secrets: [key, other]}
services:
  a: {<<: *any, command: [env, DB_PASSWORD, then, forever]}
  b: {<<: *any, command: [env, API_KEY, then, forever]}
  c: {<<: *any, command: [cat, /run/secrets/key, then, forever]}
  d: {<<: *any, command: [cat, /run/secrets/other, then, print, "", then, forever]}
  e: {<<: *any, command: [print, "postgres://me:` + planted["URL password"] + `@db/x", then, forever]}
  f: {<<: *any, command: [print, "::progress 1/2 blocks::reads --password ` + planted["argument"] + `", then, forever, --password, ` + planted["argument"] + `]}
  g: {<<: *any, command: [print, "::set token=` + planted["::set"] + `::", then, print, "token ` + planted["::set"] + `", then, forever]}
  h: {<<: *any, command: [print, "${APP_PASSWORD}", then, forever]}
stages:
  - {name: talk, run: [a, b, c, d, e, f, g], needs: []}
  - {name: tenant, run: h, each: apps, needs: []}
  - {name: ask, await: {tcp: "a:5432"}, needs: []}
  - {name: look, await: {sql: {url: "postgres://me:` + planted["URL password"] + `@a/x?password=` + planted["URL password"] + `", query: "select '` + planted["URL password"] + `'"}}, needs: []}
`
	x := on(t, stack, []string{"DB_PASSWORD=" + planted["environment"], "API_KEY=" + planted["env file"], "OTHER=" + planted["secret environment"]}, "up")
	var all strings.Builder
	for _, shown := range []string{`(?s)( │ \*\*\*\s.*){5}`, `│ postgres://me:\*\*\*@db/x`, `50%.*: reads --password \*\*\*`, `│ token \*\*\*`, `look +waits for sql a/x: select '`} {
		all.WriteString(x.until(shown))
	}
	if _, err := io.WriteString(x.file, "\x03"); err != nil {
		t.Fatal(err)
	}
	_, raw := x.end()
	all.WriteString(raw)
	for how, secret := range planted {
		for _, word := range append(strings.Fields(secret), secret) {
			if len(word) > 6 && strings.Contains(all.String(), word) {
				t.Errorf("the terminal shows the secret of the %s: %s", how, word)
			}
		}
	}
}
