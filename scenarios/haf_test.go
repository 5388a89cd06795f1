package scenarios

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const hafFile = "../examples/haf/stagehand.yaml"

// app is an app of the HAF stack under test.
type app struct {
	name    string
	indexes bool
	fields  string // further fields, ", key: value"
}

// newHAF is the example's stack file, with free ports, a short replay and the
// given apps put over it.
func newHAF(t *testing.T, name, file string, apps []app, more string) *haf {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	h := &haf{stack: newStack(t, name, path), ports: map[string]int{}}
	h.env = []string{"HAF_BLOCKS=400"}
	var b strings.Builder
	b.WriteString("apps:\n")
	for _, a := range apps {
		h.ports[a.name] = freePort(t)
		fmt.Fprintf(&b, "  %s: {image: demo/%s, port: %d, indexes: %t%s}\n", a.name, a.name, h.ports[a.name], a.indexes, a.fields)
	}
	h.file("over.yaml", b.String()+more)
	return h
}

type haf struct {
	*stack
	ports map[string]int
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func theThree(indexes int) []app {
	return []app{{name: "hivemind", indexes: indexes > 0}, {name: "balance-tracker", indexes: indexes > 1}, {name: "block-explorer", indexes: indexes > 2}}
}

// sql asks the instance's database.
func (h *haf) sql(query string) string {
	h.t.Helper()
	return h.docker("exec", h.name+"-haf-1", "psql", "-h", "127.0.0.1", "-U", "haf_admin", "-d", "haf_block_log", "-Atc", query)
}

func (h *haf) get(app, path string) (int, string) {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", h.ports[app], path))
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

func TestHAFGoesFromNothingToServingInTheOrderOfItsDiagram(t *testing.T) {
	t.Parallel()
	h := newHAF(t, "haf", hafFile, theThree(2), "")
	h.stagehand(0, "up")

	line := h.timeline(h.began)
	line.before("die", "indexes/hivemind", "start", "indexes/balance-tracker")
	line.before("die", "indexes", "start", "haf")
	line.before("start", "haf", "start", "live")
	line.before("die", "live", "start", "setup")
	line.before("die", "setup", "start", "sync")
	for app := range h.ports {
		line.before("start", "sync/"+app, "start", "app-live/"+app)
		line.before("die", "app-live/"+app, "start", "api/"+app)
	}
	line.diedWell("storage", "indexes", "live", "setup", "app-live")
	for _, step := range []string{"storage", "indexes", "live", "setup", "app-live"} {
		if len(line.find("destroy", step)) != len(line.find("create", step)) {
			t.Errorf("not every helper of %s was destroyed", step)
		}
	}

	// LIVE by the instance's own record, set-up by the engine's.
	live := h.sql("SELECT floor(extract(epoch FROM min(at)) * 1000)::bigint FROM hive.sync_states WHERE state = 'LIVE'")
	var liveMillis int64
	if _, err := fmt.Sscan(live, &liveMillis); err != nil {
		t.Fatalf("LIVE at %q: %v", live, err)
	}
	if first := line.find("start", "setup")[0].TimeNano / 1e6; first < liveMillis {
		t.Errorf("a set-up started %d ms before LIVE", liveMillis-first)
	}
	if count := h.sql("SELECT string_agg(n || ' ' || app || ' ' || script, ', ' ORDER BY app, script) FROM (SELECT count(*) AS n, app, script FROM hive.executions GROUP BY app, script) x"); count !=
		"1 balance_tracker setup_db, 1 balance_tracker setup_haf_indexes, 1 block_explorer setup_db, 1 hivemind setup_db, 1 hivemind setup_haf_indexes" &&
		count != strings.ReplaceAll("1 balance-tracker setup_db, 1 balance-tracker setup_haf_indexes, 1 block-explorer setup_db, 1 hivemind setup_db, 1 hivemind setup_haf_indexes", "_x", "") {
		t.Errorf("executions: %s", count)
	}

	h.onlyServices(7)
	h.serves("hivemind", "/posts")
	h.serves("balance-tracker", "/balances")
	h.serves("block-explorer", "/blocks")
	h.noRecovery()

	again := time.Now()
	h.stagehand(0, "up")
	for _, e := range h.events(again) {
		if e.Action == "create" || e.Action == "start" || e.Action == "die" {
			t.Errorf("the second up made the engine %s %s", e.Action, e.name())
		}
	}

	h.stagehand(0, "down")
	if left := h.docker("ps", "--all", "--quiet", "--filter", "label=dev.stagehand.stack="+h.name); left != "" {
		t.Errorf("down left containers: %s", left)
	}
	if kept := h.docker("volume", "ls", "--quiet", "--filter", "label=dev.stagehand.stack="+h.name); kept == "" {
		t.Error("down without --volumes removed the volumes")
	}

	// The data is there: nothing is set up again, and the instance goes on.
	third := time.Now()
	h.stagehand(0, "up")
	line = h.timeline(third)
	for _, step := range []string{"storage", "indexes", "setup"} {
		if n := len(line.find("create", step)); n > 0 {
			t.Errorf("after down, up ran %d helpers of %s again", n, step)
		}
	}
	h.noRecovery()
}

// serves fails the test unless the app answers a list that is not empty.
func (h *haf) serves(app, path string) {
	h.t.Helper()
	code, body := h.get(app, path)
	var rows []map[string]any
	if err := json.Unmarshal([]byte(body), &rows); code != 200 || err != nil || len(rows) == 0 {
		h.t.Errorf("%s%s: %d %v %.200s", app, path, code, err, body)
	}
}

// noRecovery reads PostgreSQL's own log in the volume, over all hand-overs.
func (h *haf) noRecovery() {
	h.t.Helper()
	log := h.docker("exec", h.name+"-haf-1", "sh", "-c", "cat /data/*.log /data/log/* 2>/dev/null || true")
	if !strings.Contains(log, "database system is ready") {
		h.t.Errorf("that is not PostgreSQL's log: %.300s", log)
	}
	for _, bad := range []string{"not properly shut down", "automatic recovery", "was interrupted"} {
		if strings.Contains(log, bad) {
			h.t.Errorf("PostgreSQL's log says %q", bad)
		}
	}
}

func TestHAFHasAsManyBuildersAsAppsThatNeedIndexes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			h := newHAF(t, fmt.Sprintf("haf-idx%d", n), hafFile, theThree(n), "")
			h.stagehand(0, "up")
			line := h.timeline(h.began)
			if got := len(line.find("start", "indexes")); got != n {
				t.Errorf("%d builders, want %d", got, n)
			}
			if n > 0 {
				line.before("die", "indexes", "start", "haf")
			}
			line.diedWell("indexes")
			h.noRecovery()
		})
	}
}

func TestHAFSetsUpOneAfterAnotherWhereAsked(t *testing.T) {
	t.Parallel()
	h := newHAF(t, "haf-seq", "../examples/haf/sequential.yaml", theThree(0), "")
	h.stagehand(0, "up")
	line := h.timeline(h.began)
	line.before("die", "setup/hivemind", "start", "setup/balance-tracker")
	line.before("die", "setup/balance-tracker", "start", "setup/block-explorer")
}

func TestHAFServesTheOthersWhileOneDetectorWaits(t *testing.T) {
	t.Parallel()
	h := newHAF(t, "haf-never", hafFile, theThree(0), "")
	h.file("never.yaml", `
services:
  app-live:
    command: [/bin/bash, -c, "if test ${APP} = balance-tracker; then exec sleep infinity; fi; exec /haf_app_root/scripts/wait_for_app_live_sync.sh --postgres-url=postgres://haf_admin@haf:5432/haf_block_log"]
`)
	stop := h.background("up")
	eventually(t, func() string {
		for _, app := range []string{"hivemind", "block-explorer"} {
			if code, body := h.get(app, "/status"); code != 200 {
				return app + ": " + body
			}
		}
		return ""
	})
	var status struct {
		Steps []struct{ Step, State string }
	}
	if err := json.Unmarshal([]byte(h.stagehand(0, "status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, s := range status.Steps {
		states[s.Step] = s.State
	}
	if states["app-live/balance-tracker"] != "running" && states["app-live/balance-tracker"] != "waiting" {
		t.Errorf("status: %v", states)
	}
	if text := h.stagehand(0, "status"); !strings.Contains(text, "app-live/balance-tracker") {
		t.Errorf("status does not name the one that waits:\n%s", text)
	}
	if code, _ := h.get("balance-tracker", "/"); code != 0 {
		t.Errorf("the third API answers %d before its detector is done", code)
	}
	if code, out := stop(); code != 130 {
		t.Errorf("interrupted: exit %d\n%s", code, out)
	}
	// Services stay, the detector is gone.
	h.onlyServices(1 + 3 + 2)
}

func TestHAFSetUpThatFails(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"stop", "skip_app"} {
		t.Run(policy, func(t *testing.T) {
			h := newHAF(t, "haf-fail-"+strings.ReplaceAll(policy, "_", "-"), hafFile, theThree(0), "")
			setup := `/haf_app_root/scripts/setup_db.sh --postgres-url=postgres://haf_admin@haf:5432/haf_block_log`
			h.file("fail.yaml", `
services:
  app-setup:
    command: [/bin/bash, -c, "if test ${APP} = balance-tracker; then echo the schema is locked; exit 9; fi; exec `+setup+`"]
`)
			h.file("stages.yaml", stagesWith(t, "{name: setup,    run: app-setup, each: apps,", "{name: setup,    run: app-setup, each: apps, on_failure: "+policy+","))
			out := h.stagehand(3, "up")
			for _, want := range []string{"setup/balance-tracker", "exit 9", "the schema is locked"} {
				if !strings.Contains(out, want) {
					t.Errorf("the output does not say %q:\n%s", want, out)
				}
			}
			line := h.timeline(h.began)
			apis := len(line.find("start", "api"))
			if policy == "skip_app" && apis != 2 || policy == "stop" && apis != 0 {
				t.Errorf("%d APIs started with on_failure: %s", apis, policy)
			}
			if n := len(line.find("start", "sync/balance-tracker")); n != 0 {
				t.Error("the failed app went on")
			}
			if running := h.docker("ps", "--quiet", "--filter", "name="+h.name+"-haf-1"); running == "" {
				t.Error("the instance does not run any more")
			}
		})
	}
}

// stagesWith is the example's stages with one replacement.
func stagesWith(t *testing.T, old, new string) string {
	t.Helper()
	text := readFile(t, hafFile)
	_, stages, ok := strings.Cut(text, "\nstages:\n")
	if !ok || strings.Count(stages, old) != 1 {
		t.Fatalf("the example's stages have no %q", old)
	}
	return "stages:\n" + strings.Replace(stages, old, new, 1)
}

func TestHAFGivesItsDataToANewBuilderAndTakesItBack(t *testing.T) {
	t.Parallel()
	h := newHAF(t, "haf-hand", hafFile, theThree(1), "")
	h.stagehand(0, "up")
	// A second app now wants indexes: the instance must give way, cleanly.
	second := time.Now()
	over := readFile(t, filepath.Join(h.dir, "over.yaml"))
	h.file("over.yaml", strings.Replace(over, "indexes: false", "indexes: true", 1))
	h.stagehand(0, "up")
	line := h.timeline(second)
	line.before("die", "haf", "start", "indexes/balance-tracker")
	line.before("die", "indexes/balance-tracker", "start", "haf")
	line.diedWell("haf", "indexes")
	if n := len(line.find("create", "indexes/hivemind")) + len(line.find("create", "haf")); n != 0 {
		t.Errorf("%d containers were made that did not need to be", n)
	}
	h.noRecovery()
}

// The holder is a real PostgreSQL that takes 5 s to stop.
func TestHAFRefusesTheDataOfAnInstanceThatHadToBeKilled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		grace string
		code  int
	}{{"2s", 3}, {"10s", 0}} {
		t.Run(test.grace, func(t *testing.T) {
			h := newHAF(t, "haf-grace-"+test.grace, hafFile, theThree(0), `
services:
  haf: {environment: {HAF_STOP_DELAY: 5s}, stop_grace_period: `+test.grace+`}
`)
			h.stagehand(0, "up")
			second := time.Now()
			over := readFile(t, filepath.Join(h.dir, "over.yaml"))
			h.file("over.yaml", strings.Replace(over, "indexes: false", "indexes: true", 1))
			out := h.stagehand(test.code, "up")
			builders := len(h.timeline(second).find("start", "indexes"))
			if test.code == 0 {
				if builders != 1 {
					t.Errorf("%d builders started:\n%s", builders, out)
				}
				h.noRecovery()
				return
			}
			if builders != 0 || !strings.Contains(out, "did not shut down cleanly") || !strings.Contains(out, "stop_grace_period") {
				t.Errorf("%d builders started; the output:\n%s", builders, out)
			}
		})
	}
}
