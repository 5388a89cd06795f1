package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// theatre is the example's own stack on the memory engine: its programs are functions, its
// PostgreSQL is a real one.
type theatre struct {
	*world
	engine *memory.Engine
	book   *ledger.Ledger
	text   string // of the stack file, as it stands
	runs   int

	mu   sync.Mutex
	seen []containers.Event
}

const stackFile = "../stagehand.yaml"

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	th := &theatre{world: newWorld(t)}
	text, err := os.ReadFile(stackFile)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := url.Parse(th.url())
	if err != nil {
		t.Fatal(err)
	}
	outside := inside.Host
	inside.Host = "postgres:5432"
	th.text = strings.Replace(string(text), "postgres://postgres@postgres:5432/postgres", inside.String(), 1)
	th.engine = memory.New(memory.Options{Images: map[string]memory.Program{
		"demo/postgres": func(ctx context.Context, p *memory.Process) int { return forward(ctx, p, outside) },
		"demo/voedger": func(ctx context.Context, p *memory.Process) int {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			told := p.Notify("SIGTERM")
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				select {
				case <-told:
					cancel()
				case <-ctx.Done():
				}
			}()
			defer func() { cancel(); <-stopped }()
			getenv := func(key string) string {
				if key == "POSTGRES_URL" {
					return inside.String()
				}
				return p.Getenv(key)
			}
			return Main(ctx, p.Args, machine{getenv, p.Stdout, p.Stderr,
				func(_, address string) (net.Listener, error) { return p.Listen(address) },
				func(ctx context.Context, _, address string) (net.Conn, error) { return p.Dial(ctx, address) }})
		},
	}})
	t.Cleanup(th.engine.Halt)
	th.book = th.open("ledger.db")
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = th.engine.Events(ctx, nil, func() { close(ready) }, func(e containers.Event) {
			th.mu.Lock()
			defer th.mu.Unlock()
			th.seen = append(th.seen, e)
		})
	}()
	<-ready
	t.Cleanup(func() { stop(); <-ended })
	return th
}

func (th *theatre) open(name string) *ledger.Ledger {
	th.Helper()
	book, err := ledger.Open(th.Context(), filepath.Join(th.TempDir(), name))
	if err != nil {
		th.Fatal(err)
	}
	th.Cleanup(func() { book.Close() })
	return book
}

// forward gives each connection to port 5432 to the server.
func forward(ctx context.Context, p *memory.Process, server string) int {
	listener, err := p.Listen(":5432")
	if err != nil {
		return 1
	}
	told := p.Notify("SIGTERM")
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all.Go(func() {
		select {
		case <-told:
		case <-ctx.Done():
		}
		cancel()
		listener.Close()
	})
	for {
		near, err := listener.Accept()
		if err != nil {
			return 0
		}
		far, err := net.Dial("tcp", server)
		if err != nil {
			near.Close()
			continue
		}
		closeBoth := sync.OnceFunc(func() { near.Close(); far.Close() })
		context.AfterFunc(ctx, closeBoth)
		all.Go(func() { _, _ = io.Copy(far, near); closeBoth() })
		all.Go(func() { _, _ = io.Copy(near, far); closeBoth() })
	}
}

// load reads the stack file with replacements, each of what stands there once.
func (th *theatre) load(oldnew ...string) (*stages.Stack, error) {
	th.Helper()
	text := th.text
	for i := 0; i < len(oldnew); i += 2 {
		if strings.Count(text, oldnew[i]) != 1 {
			th.Fatalf("the example has %q %d times", oldnew[i], strings.Count(text, oldnew[i]))
		}
		text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
	}
	file := filepath.Join(th.TempDir(), "stagehand.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		th.Fatal(err)
	}
	return stages.Load(th.Context(), compose.Options{Files: []string{file}, Environ: []string{}})
}

// up is "stagehand up", with its exit code and what it has to say where that is not 0.
func (th *theatre) up(oldnew ...string) (code int, says string) {
	th.Helper()
	stack, err := th.load(oldnew...)
	var wrong *problems.Error
	if errors.As(err, &wrong) {
		return 2, err.Error()
	} else if err != nil {
		th.Fatal(err)
	}
	th.runs++
	result, err := runner.Up(th.Context(), stack, runner.Options{Engine: th.engine, Sink: th.book, Ledger: th.book, Run: fmt.Sprint("run", th.runs)})
	var deployed *runner.DeployedError
	switch {
	case errors.As(err, &deployed):
		return 9, err.Error()
	case err != nil:
		th.Fatal(err)
	case result.Verdict == events.VerdictDone:
		return 0, ""
	}
	for _, f := range result.Failures {
		says += fmt.Sprintln(f.Step, f.Error, f.Logs)
	}
	return 3, says
}

// happened are the engine's events so far of the kinds that change something, "started SERVICE".
func (th *theatre) happened() []string {
	th.mu.Lock()
	defer th.mu.Unlock()
	var all []string
	for _, e := range th.seen {
		name := strings.TrimSuffix(strings.TrimPrefix(e.Name, "voedger-"), "-1")
		switch e.Kind {
		case containers.EventStarted:
			all = append(all, "started "+name)
		case containers.EventEnded:
			all = append(all, "ended "+name)
		}
	}
	return all
}

// remembered is all that is: the storages, the registry and its history.
func (th *theatre) remembered() string {
	th.Helper()
	apps, err := th.book.AppsOf(th.Context(), "voedger")
	if err != nil {
		th.Fatal(err)
	}
	history, err := th.book.AppHistory(th.Context(), "voedger")
	if err != nil {
		th.Fatal(err)
	}
	return fmt.Sprintf("%s\nwrites: %s\napps: %+v\nhistory: %+v", th.content(), th.writes(), apps, history)
}

// answers tells whether a port of the engine's host does.
func (th *theatre) answers(port int) bool {
	c, err := th.engine.Dial(th.Context(), "host", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil && !errors.Is(err, containers.ErrUnreachable) {
		th.Fatal(err)
	}
	if err != nil {
		return false
	}
	return c.Close() == nil
}

func (th *theatre) deployed() string {
	return th.value(`SELECT string_agg(format('%s %s %s', AppQName, NumPartitions, NumAppWorkspaces), ', ' ORDER BY AppQName) FROM "sys/cluster".App`)
}

const theThree = "demo/shop 2 5, sys/registry 3 10, untill/airs-bp 4 20"

// TestStack: the bootstrap in its order, nothing to do the second time, and every refusal by editing one line.
func TestStack(t *testing.T) {
	th := newTheatre(t)
	if code, says := th.up(); code != 0 {
		t.Fatal(code, says)
	}
	if got := th.deployed(); got != theThree {
		t.Errorf("deployed: %s", got)
	}
	if got, want := th.value(`SELECT string_agg(AppQName || ' ' || Number, ', ' ORDER BY AppQName, Number) FROM "sys/cluster".Partition`),
		"demo/shop 0, demo/shop 1, sys/cluster 0, sys/registry 0, sys/registry 1, sys/registry 2, untill/airs-bp 0, untill/airs-bp 1, untill/airs-bp 2, untill/airs-bp 3"; got != want {
		t.Errorf("partitions: %s", got)
	}
	if got, want := th.value("SELECT string_agg(Name, ' ' ORDER BY Name) FROM sysmeta.Storage"), "blobber demo/shop router sys/cluster sys/registry untill/airs-bp"; got != want {
		t.Errorf("storages: %s", got)
	}
	line := th.happened()
	ordered := func(early, late string) {
		t.Helper()
		if a, b := slices.Index(line, early), slices.Index(line, late); a < 0 || b < a {
			t.Errorf("%q is number %d, %q number %d of %q", early, a, late, b, line)
		}
	}
	ordered("started postgres", "started cluster")
	ordered("started cluster", "started workspace")
	for _, storage := range []string{"blobber", "router"} {
		ordered("ended workspace", "started "+storage)
		ordered("ended "+storage, "started bootstrap")
	}
	for _, app := range []string{"registry", "airs-bp", "shop"} {
		ordered("ended bootstrap", "started "+app+"-partitions")
		ordered("ended "+app+"-partitions", "started public")
		ordered("started public", "started "+app+"-actualizer")
	}

	before, done := th.remembered(), len(th.happened())
	unchanged := func(what string) {
		t.Helper()
		if now := th.remembered(); now != before {
			t.Errorf("%s: it was\n%s\nand is\n%s", what, before, now)
		}
		if now := th.happened()[done:]; len(now) > 0 {
			t.Errorf("%s: %q", what, now)
		}
	}
	if code, says := th.up(); code != 0 {
		t.Error(code, says)
	}
	unchanged("the second up")

	for _, edit := range []struct {
		code   int
		says   string
		oldnew []string
	}{
		{9, "num partitions changed: app shop declaring NumPartitions=3 but was previously deployed with NumPartitions=2", []string{"partitions: 2,", "partitions: 3,"}},
		{9, "num application workspaces changed: app shop declaring NumAppWorkspaces=6 but was previously deployed with NumAppWorkspaces=5", []string{"workspaces: 5}", "workspaces: 6}"}},
		{9, "app shop declaring NumPartitions=3", []string{"  registry:", "  first:", "  airs-bp:", "  second:", "partitions: 2,", "partitions: 3,"}}, // the last of three, of which two are new
		{2, `an app cannot be named "Shop"`, []string{"  shop:", "  Shop:"}},
		{2, "the name cluster is reserved", []string{"  shop:", "  cluster:"}},
		{2, `partitions of app shop cannot be "0"`, []string{"partitions: 2,", "partitions: 0,"}},
		{2, `partitions of app shop cannot be "65536"`, []string{"partitions: 2,", "partitions: 65536,"}},
		{2, `workspaces of app shop cannot be "0"`, []string{"workspaces: 5}", "workspaces: 0}"}},
		{2, `workspaces of app shop cannot be "32769"`, []string{"workspaces: 5}", "workspaces: 32769}"}},
		{3, `failed to parse AppQName "Demo/shop"`, []string{"owner: demo,", "owner: Demo,"}},
		{3, "sys/cluster app can not be deployed by c.cluster.DeployApp", []string{`"AppQName": "${APP_OWNER}/${APP}"`, `"AppQName": "sys/cluster"`}},
		{3, "app sys/registry: NumAppWorkspaces=32769 is not in 1..32768", []string{`"NumAppWorkspaces": ${APP_WORKSPACES}`, `"NumAppWorkspaces": 32769`}},
		{3, "app sys/registry: NumPartitions=0 is not in 1..65535", []string{`"NumPartitions": ${APP_PARTITIONS}`, `"NumPartitions": 0`}},
		{3, "num partitions changed: app sys/registry declaring NumPartitions=13 but was previously deployed with NumPartitions=3", []string{`"NumPartitions": ${APP_PARTITIONS}`, `"NumPartitions": 1${APP_PARTITIONS}`}},
		{3, "num application workspaces changed: app sys/registry declaring NumAppWorkspaces=110 but was previously deployed with NumAppWorkspaces=10", []string{`"NumAppWorkspaces": ${APP_WORKSPACES}`, `"NumAppWorkspaces": 1${APP_WORKSPACES}`}},
	} {
		if code, says := th.up(edit.oldnew...); code != edit.code || !strings.Contains(says, edit.says) {
			t.Errorf("%q: exit %d, want %d with %q:\n%s", edit.oldnew, code, edit.code, edit.says, says)
		}
		unchanged(fmt.Sprintf("%q", edit.oldnew))
	}
	if code, says := th.up(); code != 0 {
		t.Error(code, says)
	}
	unchanged("the file as it was")
}

// TestStackRefusedByTheClusterApp: a ledger knows nothing of the deployment, but the cluster app does. All that had
// started is stopped, in reverse; and nothing is written.
func TestStackRefusedByTheClusterApp(t *testing.T) {
	th := newTheatre(t)
	if code, says := th.up(); code != 0 {
		t.Fatal(code, says)
	}
	before := th.content()
	stack, err := th.load()
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Down(t.Context(), runner.DownOptions{Stack: stack.Name, Engine: th.engine, Sink: th.book, Ledger: th.book, Run: "down", Order: stack}); err != nil {
		t.Fatal(err)
	}
	done := len(th.happened())
	writes := th.writes()
	th.book = th.open("other.db")
	if code, says := th.up("partitions: 2,", "partitions: 3,"); code != 3 || !strings.Contains(says, "num partitions changed: app demo/shop declaring NumPartitions=3 but was previously deployed with NumPartitions=2") {
		t.Error(code, says)
	}
	line := th.happened()[done:]
	if a, b := slices.Index(line, "ended cluster"), slices.Index(line, "ended postgres"); a < 0 || b < a {
		t.Errorf("not stopped in reverse: %q", line)
	}
	if slices.ContainsFunc(line, func(e string) bool { return strings.Contains(e, "partitions") || strings.Contains(e, "public") }) {
		t.Errorf("not all apps had passed, but: %q", line)
	}
	left, err := th.engine.List(t.Context(), nil)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if now := th.content(); now != before {
		t.Errorf("it was:\n%s\nand is:\n%s", before, now)
	}
	if now := th.writes(); now != writes {
		t.Errorf("transactions that wrote: it was %s and is %s", writes, now)
	}
}

// TestStackOpensWhenItsBootstrapIsDone: DeployApp waits for a lock. Until then the admin endpoint answers, and the
// public one does not.
func TestStackOpensWhenItsBootstrapIsDone(t *testing.T) {
	th := newTheatre(t)
	if err := initCluster(t.Context(), th.look); err != nil { // so that there is a table to lock
		t.Fatal(err)
	}
	tx, err := th.look.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE "sys/cluster".App IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	type ending struct {
		code int
		says string
	}
	ended := make(chan ending, 1)
	go func() {
		code, says := th.up()
		ended <- ending{code, says}
	}()
	const waiting = "SELECT count(*) FROM pg_locks WHERE relation = '\"sys/cluster\".App'::regclass AND NOT granted"
	for th.value(waiting) != "1" {
		select {
		case e := <-ended:
			t.Fatal(e.code, e.says)
		default:
		}
	}
	if !th.answers(55555) || th.answers(8090) {
		t.Errorf("while bootstrapping the admin endpoint answers: %v, the public one: %v", th.answers(55555), th.answers(8090))
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e.code != 0 {
		t.Fatal(e.code, e.says)
	}
	if !th.answers(55555) || !th.answers(8090) {
		t.Errorf("in the end the admin endpoint answers: %v, the public one: %v", th.answers(55555), th.answers(8090))
	}
	if got := th.deployed(); got != theThree {
		t.Errorf("deployed: %s", got)
	}
}
