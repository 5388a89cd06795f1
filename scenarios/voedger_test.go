package scenarios

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const voedgerFile = "../examples/voedger/stagehand.yaml"

// voedger is the example with free ports, and a PostgreSQL that writes nothing by itself.
type voedger struct {
	*stack
	text          string // the example's own
	admin, public int    // ports of the host
}

func newVoedger(t *testing.T, name string) *voedger {
	t.Helper()
	v := &voedger{stack: newStack(t, name), text: readFile(t, voedgerFile), admin: freePort(t), public: freePort(t)}
	v.env = []string{fmt.Sprint("ADMIN_PORT=", v.admin), fmt.Sprint("PUBLIC_PORT=", v.public)}
	v.edit()
	v.file("quiet.yaml", "services: {postgres: {command: [-c, autovacuum=off]}}\n")
	return v
}

// edit writes the stack file with replacements, each of what stands there once.
func (v *voedger) edit(oldnew ...string) {
	v.t.Helper()
	text := v.text
	for i := 0; i < len(oldnew); i += 2 {
		if strings.Count(text, oldnew[i]) != 1 {
			v.t.Fatalf("the example has %q %d times", oldnew[i], strings.Count(text, oldnew[i]))
		}
		text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
	}
	v.file("stagehand.yaml", text)
}

// postgres runs one of its programs in the database's container.
func (v *voedger) postgres(program string, args ...string) string {
	v.t.Helper()
	return v.docker(append([]string{"exec", v.name + "-postgres-1", program, "-h", "127.0.0.1", "-U", "postgres"}, args...)...)
}

func (v *voedger) sql(query string) string {
	v.t.Helper()
	return v.postgres("psql", "-Atc", query)
}

var restriction = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`) // a random word in each dump

// content is all that is remembered of apps: the registry with its history, the storages,
// and how many transactions have written.
func (v *voedger) content() string {
	v.t.Helper()
	return strings.Join([]string{
		v.stagehand(0, "apps", "--json"), v.stagehand(0, "apps", "history", "--json"),
		restriction.ReplaceAllString(v.postgres("pg_dump"), ""),
		v.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())"),
	}, "\n")
}

// deployed are the cluster app's records.
func (v *voedger) deployed() string {
	v.t.Helper()
	return v.sql(`SELECT string_agg(format('%s %s %s', AppQName, NumPartitions, NumAppWorkspaces), ', ' ORDER BY AppQName) FROM "sys/cluster".App`)
}

const theThreeApps = "demo/shop 2 5, sys/registry 3 10, untill/airs-bp 4 20"

// ask sends a request to a port of this host; 0 where nobody answers.
func (v *voedger) ask(port int, method, path, body string) (int, string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer system")
	client := http.Client{Timeout: commandLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func TestVoedgerBootstrapsAndRefusesOtherCounts(t *testing.T) {
	t.Parallel()
	v := newVoedger(t, "voedger")
	v.stagehand(0, "up")

	line := v.timeline(v.began)
	order := []string{"services", "admin", "workspace", "storages", "bootstrap", "partitions", "public", "actualizers"}
	helpers := map[string]bool{"workspace": true, "storages": true, "bootstrap": true, "partitions": true}
	for i, step := range order[1:] {
		if before := order[i]; helpers[before] {
			line.before("die", before, "start", step)
		} else {
			line.before("start", before, "start", step)
		}
	}
	line.diedWell("workspace", "storages", "bootstrap", "partitions")
	v.onlyServices(1 + 1 + 1 + 3)
	if got := v.deployed(); got != theThreeApps {
		t.Errorf("deployed: %s", got)
	}
	if got, want := v.sql(`SELECT string_agg(AppQName || ' ' || Number, ', ' ORDER BY AppQName, Number) FROM "sys/cluster".Partition`),
		"demo/shop 0, demo/shop 1, sys/cluster 0, sys/registry 0, sys/registry 1, sys/registry 2, untill/airs-bp 0, untill/airs-bp 1, untill/airs-bp 2, untill/airs-bp 3"; got != want {
		t.Errorf("partitions: %s", got)
	}
	if got, want := v.sql("SELECT string_agg(Name, ' ' ORDER BY Name) FROM sysmeta.Storage"), "blobber demo/shop router sys/cluster sys/registry untill/airs-bp"; got != want {
		t.Errorf("storages: %s", got)
	}
	if code, text := v.ask(v.public, "POST", "/apps/demo/shop/workspaces/3", `{"article": 7}`); code != 201 || text != `{"partition":1,"number":1}` {
		t.Errorf("an event: %d %s", code, text)
	}
	eventually(t, func() string {
		code, text := v.ask(v.public, "GET", "/apps/demo/shop/workspaces/3", "")
		if code != 200 || text != `{"events":1,"latest":{"article":7}}` {
			return fmt.Sprint("the view: ", code, " ", text)
		}
		return ""
	})

	content, again := v.content(), time.Now()
	unchanged := func(what string) {
		t.Helper()
		if now := v.content(); now != content {
			t.Errorf("%s changed something: it was\n%s\nand is\n%s", what, content, now)
		}
		for _, e := range v.events(again) {
			if (e.Action == "create" || e.Action == "start" || e.Action == "die") && !strings.HasPrefix(e.name(), "stagehand-lease-") {
				t.Errorf("%s made the engine %s %s", what, e.Action, e.name())
			}
		}
	}
	v.stagehand(0, "up")
	unchanged("the second up")

	// All other refusals: examples/voedger/vvm.
	for _, edit := range []struct {
		code   int
		says   string
		oldnew []string
	}{
		{9, "num partitions changed: app shop declaring NumPartitions=3 but was previously deployed with NumPartitions=2", []string{"partitions: 2,", "partitions: 3,"}},
		{9, "app shop declaring NumPartitions=3", []string{"  registry:", "  first:", "  airs-bp:", "  second:", "partitions: 2,", "partitions: 3,"}}, // the last of three, of which two are new
		{2, "the name cluster is reserved", []string{"  shop:", "  cluster:"}},
	} {
		v.edit(edit.oldnew...)
		if out := v.stagehand(edit.code, "up"); !strings.Contains(out, edit.says) {
			t.Errorf("%q: the output does not say %q:\n%s", edit.oldnew, edit.says, out)
		}
	}
	if code, text := v.ask(v.admin, "POST", "/api/sys/cluster/c.cluster.DeployApp", `{"AppQName": "demo/shop", "NumPartitions": 2, "NumAppWorkspaces": 5}`); code != 200 {
		t.Errorf("the same record again: %d %s", code, text)
	}
	v.edit()
	unchanged("what was refused")

	// Where stagehand cannot know, the cluster app refuses; and what this run has started is stopped, in reverse.
	v.stagehand(0, "down")
	third, other := time.Now(), filepath.Join(v.dir, "other.db")
	v.edit("partitions: 2,", "partitions: 3,")
	if out := v.stagehand(3, "up", "--ledger", other); !strings.Contains(out, "num partitions changed: app demo/shop declaring NumPartitions=3 but was previously deployed with NumPartitions=2") {
		t.Errorf("the output does not say what the cluster app said:\n%s", out)
	}
	line = v.timeline(third)
	line.before("die", "admin", "die", "services")
	if n := len(line.find("start", "partitions")) + len(line.find("start", "public")); n > 0 {
		t.Errorf("%d containers were started although not all apps had passed", n)
	}
	if left := v.docker("ps", "--all", "--quiet", "--filter", "label=dev.stagehand.stack="+v.name); left != "" {
		t.Errorf("left: %s", left)
	}
}

// The runner dies between stagehand's record and the cluster app's, which waits for a lock. Until then the admin
// endpoint answers, and the public one does not.
func TestVoedgerKilledBetweenRecordAndDeploy(t *testing.T) {
	t.Parallel()
	v := newVoedger(t, "voedger-kill")
	bootstrapped, _, ok := strings.Cut(v.text, "  - name: deploy\n")
	if !ok {
		t.Fatal("the example has no stage deploy")
	}
	v.file("stagehand.yaml", bootstrapped)
	v.stagehand(0, "up")
	release := v.lock(`"sys/cluster".App`)
	v.edit()

	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	cmd := exec.CommandContext(ctx, program, v.args("up")...) // killed with SIGKILL
	cmd.Env = append(cmd.Environ(), v.env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if out := v.stagehand(0, "apps", "--json"); strings.Count(out, `"deploying"`) != 1 {
			return out
		}
		return ""
	})
	if code, text := v.ask(v.admin, "GET", "/health", ""); code != 200 {
		t.Errorf("while bootstrapping the admin endpoint answers %d %s", code, text)
	}
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", v.public)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while bootstrapping the public port does not refuse: %v", err)
	}
	for _, port := range strings.Fields(v.docker("ps", "--filter", "label=dev.stagehand.stack="+v.name, "--format", "{{.Ports}}")) {
		if strings.Contains(port, "->") && !strings.HasPrefix(port, fmt.Sprintf("127.0.0.1:%d->", v.admin)) {
			t.Errorf("while bootstrapping %s is published", port)
		}
	}
	kill()
	_ = cmd.Wait()
	release()

	v.edit("partitions: 3,", "partitions: 4,")
	if out := v.stagehand(9, "up"); !strings.Contains(out, "app registry declaring NumPartitions=4 but was previously deployed with NumPartitions=3") {
		t.Errorf("the count slipped through:\n%s", out)
	}
	if n := len(v.timeline(v.began).find("create", "partitions")); n > 0 {
		t.Errorf("%d helpers were made for partitions", n)
	}
	v.edit()
	v.stagehand(0, "up")
	if got := v.deployed(); got != theThreeApps {
		t.Errorf("deployed: %s", got)
	}
	if code, text := v.ask(v.public, "GET", "/health", ""); code != 200 {
		t.Errorf("in the end the public endpoint answers %d %s", code, text)
	}
}

// lock keeps everybody else from writing to a table, until it is released.
func (v *voedger) lock(table string) (release func()) {
	v.t.Helper()
	cmd := exec.Command("docker", "exec", "--interactive", v.name+"-postgres-1", "psql", "-h", "127.0.0.1", "-U", "postgres", "-At")
	in, err := cmd.StdinPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	release = func() { // psql ends with its input, and the lock with it
		_ = in.Close()
		_ = cmd.Wait()
	}
	fmt.Fprintf(in, "BEGIN;\nLOCK TABLE %s IN EXCLUSIVE MODE;\nSELECT 'locked';\n", table)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "locked" {
			return release
		}
	}
	release()
	v.t.Fatalf("the lock on %s was not had", table)
	return nil
}
