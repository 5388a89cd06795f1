package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/cli"
	"github.com/stagehand-dev/stagehand/containers"
)

// served is a stagehand serve under way.
type served struct {
	address string
	end     func() int
}

var servesAt = regexp.MustCompile(`serves apps at http://(\S+);`)

// serve begins to serve the bench's stack, and waits until it answers.
func (b *bench) serve(t *testing.T, ledger string, args ...string) (served, *screen) {
	t.Helper()
	told, signals, code := &screen{}, make(chan os.Signal, 1), make(chan int, 1)
	command := cli.Command{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: told, Dir: b.dir, Environ: []string{"HOME=" + b.dir, "STAGEHAND_LEDGER=" + ledger}, Signals: signals,
		Open: func(context.Context, string) (containers.Engine, error) { return shared{b.engine}, nil },
	}
	go func() { code <- command.Main(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)) }()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if m := servesAt.FindStringSubmatch(told.String()); m != nil {
			return served{m[1], func() int { signals <- syscall.SIGINT; return <-code }}, told
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("does not serve: %s", told)
	return served{}, nil
}

func (s served) put(t *testing.T, token, app, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+s.address+"/v1/apps/"+app, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// What is registered over HTTP binds up, and what up has deployed binds over HTTP.
func TestServeAndUpHaveOneRegistry(t *testing.T) {
	b := newBench(t, appsStack)
	ledger := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(filepath.Join(b.dir, "token"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, told := b.serve(t, ledger, "--token-file", "token")
	if strings.Contains(told.String(), "s3cret") {
		t.Errorf("the token is told: %s", told)
	}
	if status, _ := s.put(t, "other", "three", `{"partitions": 3, "workspaces": 10}`); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", status)
	}
	if status, answer := s.put(t, "s3cret", "three", `{"partitions": 3, "workspaces": 10}`); status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	code, _, stderr := b.run(ledger, "up")
	if want := "num partitions changed: app three declaring NumPartitions=2 but was previously deployed with NumPartitions=3"; code != 9 || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := b.run(ledger, "apps", "remove", "three"); code != 0 {
		t.Fatal(stderr)
	}
	b.up(t, ledger)
	if status, answer := s.put(t, "s3cret", "two", `{"partitions": 2, "workspaces": 10}`); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := s.put(t, "s3cret", "two", `{"partitions": 2, "workspaces": 9}`); status != http.StatusConflict || !strings.Contains(answer, "declaring NumAppWorkspaces=9 but was previously deployed with NumAppWorkspaces=10") {
		t.Errorf("%d %s", status, answer)
	}
	// A run for the registry only does not hide the stack's last up.
	if status, _ := s.put(t, "s3cret", "four", `{"partitions": 2, "workspaces": 9}`); status != http.StatusCreated {
		t.Errorf("%d", status)
	}
	if code, stdout, stderr := b.run(ledger, "status"); code != 0 || !strings.Contains(stdout, "deploy/one") || strings.Contains(stdout, "pending") {
		t.Errorf("%s%s", stdout, stderr)
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d after Ctrl-C: %s", code, told)
	}
}

// The server is on the loopback interface, and nowhere else.
func TestServeIsForThisMachineOnly(t *testing.T) {
	b := newBench(t, appsStack)
	ledger := filepath.Join(t.TempDir(), "ledger.db")
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:80", "example.com:80", "127.0.0.1", "10.0.0.1:0"} {
		if code, _, stderr := b.run(ledger, "serve", "--listen", address); code != 2 || !strings.Contains(stderr, "--listen "+address) {
			t.Errorf("%s: exit code %d, %s", address, code, stderr)
		}
	}
	for content, want := range map[string]string{"": "expected one line", "two words": "expected one line"} {
		if err := os.WriteFile(filepath.Join(b.dir, "token"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := b.run(ledger, "serve", "--token-file", "token"); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("token %q: exit code %d, %s", content, code, stderr)
		}
	}
	if code, _, stderr := b.run(ledger, "serve", "--token-file", "none"); code != 2 || !strings.Contains(stderr, "none") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	s, told := b.serve(t, ledger)
	token := regexp.MustCompile(`the token is (\S+)`).FindStringSubmatch(told.String())
	if token == nil {
		t.Fatalf("no token is told: %s", told)
	}
	if status, answer := s.put(t, token[1], "one", `{"partitions": 2, "workspaces": 10}`); status != http.StatusCreated {
		t.Errorf("%d %s", status, answer)
	}
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
			continue
		}
		dialer := net.Dialer{Timeout: time.Second}
		if c, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(ip.IP.String(), port)); err == nil {
			_ = c.Close()
			t.Errorf("%s answers, too", ip.IP)
		}
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d: %s", code, told)
	}
}
