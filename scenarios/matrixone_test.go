package scenarios

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the ledger's database

	"github.com/stagehand-dev/stagehand/ledger/ledgertest"
)

const (
	matrixoneFile = "../examples/matrixone/stagehand.yaml"
	// accounts of which one is poisoned, and one deleted on the way.
	accounts          = 101
	poisoned, deleted = "acc042", "acc101"
)

// matrixone is the example with free ports and a ledger in PostgreSQL.
type matrixone struct {
	*stack
	text   string
	ledger *sql.DB
}

func newMatrixone(t *testing.T) *matrixone {
	t.Helper()
	server, err := ledgertest.Start(t.Context())
	if errors.Is(err, ledgertest.ErrNone) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	})
	m := &matrixone{text: readFile(t, matrixoneFile)}
	for _, port := range []string{"6001}", "6002}", "6003}"} {
		m.text = strings.Replace(m.text, "port: "+port, fmt.Sprintf("port: %d}", freePort(t)), 1)
	}
	m.stack = newStack(t, "matrixone")
	m.stack.ledger = server.URL("")
	if m.ledger, err = sql.Open("pgx", server.URL("")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.ledger.Close() })
	m.at("1.2.0")
	m.file("stagehand.yaml", m.text)
	return m
}

// at has the following commands use the file of a version.
func (m *matrixone) at(version string) {
	m.env = []string{"MO_VERSION=" + version, fmt.Sprint("ACCOUNTS=", accounts)}
}

func (m *matrixone) sql(query string) string {
	m.t.Helper()
	return m.docker("exec", m.name+"-postgres-1", "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", query)
}

// record is all that the ledger has: every row of every table.
func (m *matrixone) record() string {
	m.t.Helper()
	names, err := m.ledger.QueryContext(m.t.Context(), "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name")
	if err != nil {
		m.t.Fatal(err)
	}
	defer names.Close()
	var b strings.Builder
	for names.Next() {
		var name, rows string
		if err := names.Scan(&name); err != nil {
			m.t.Fatal(err)
		}
		query := fmt.Sprintf("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM %q AS t", name)
		if err := m.ledger.QueryRowContext(m.t.Context(), query).Scan(&rows); err != nil {
			m.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s:\n%s\n", name, rows)
	}
	if err := names.Err(); err != nil {
		m.t.Fatal(err)
	}
	return b.String()
}

// refused: up ends with 9 and says why, and nothing has been written.
func (m *matrixone) refused(version, why string) {
	m.t.Helper()
	before := m.record()
	m.at(version)
	if said := m.stagehand(9, "up"); !strings.Contains(said, why) {
		m.t.Errorf("version %s, want %q:\n%s", version, why, said)
	}
	if after := m.record(); after != before {
		m.t.Errorf("the refusal of version %s has changed the ledger from\n%s\nto\n%s", version, before, after)
	}
}

// states counts a step's tenants by their state; batches are those that are ready and all.
func (m *matrixone) states(step string) (recorded string, states map[string]int, batches [2]int) {
	m.t.Helper()
	var s struct {
		Recorded string
		Steps    []struct {
			To           string
			Tenants      map[string]int
			BatchesReady int `json:"batches_ready"`
			Batches      int
		}
	}
	if err := json.Unmarshal([]byte(m.stagehand(0, "upgrade", "status", "--json")), &s); err != nil {
		m.t.Fatal(err)
	}
	for _, found := range s.Steps {
		if found.To == step {
			return s.Recorded, found.Tenants, [2]int{found.BatchesReady, found.Batches}
		}
	}
	return s.Recorded, nil, batches
}

func TestMatrixOneUpgradesAccountByAccount(t *testing.T) {
	t.Parallel()
	m := newMatrixone(t)
	m.stagehand(0, "up")
	creators := 0
	for _, app := range []string{"cn1", "cn2", "cn3"} {
		creators += strings.Count(m.docker("logs", m.name+"-"+app+"-node-1"), "creates the catalog")
	}
	if creators != 1 {
		t.Errorf("%d nodes have created the catalog", creators)
	}
	if got := m.sql("SELECT version || ' ' || count(*) FROM mo_catalog.mo_account GROUP BY version"); got != fmt.Sprintf("1.2.0 %d", accounts) {
		t.Errorf("accounts: %s", got)
	}
	m.at("1.2.0")
	if recorded, _, _ := m.states(""); recorded != "1.2.0" {
		t.Errorf("a new stack has version %s", recorded)
	}

	// One account's data cannot be converted; another is deleted while the first is upgraded.
	m.sql("UPDATE " + poisoned + ".orders SET amount = 'a lot'")
	m.sql(`CREATE FUNCTION mo_catalog.drop_account() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		DELETE FROM mo_catalog.mo_account WHERE account_name = '` + deleted + `'; DROP SCHEMA IF EXISTS ` + deleted + ` CASCADE; RETURN NEW; END $$;
		CREATE TRIGGER drops AFTER INSERT ON mo_catalog.mo_upgrade FOR EACH ROW WHEN (NEW.account_name = 'acc001') EXECUTE FUNCTION mo_catalog.drop_account()`)

	// A gap: 1.2.0 is recorded, and this file begins at 1.4.0.
	const first = "  - {to: 1.4.0, from: 1.2.0, prepare: upgrade, cluster: upgrade, tenant: upgrade}\n"
	if !strings.Contains(m.text, first) {
		t.Fatal("the example has another first upgrade")
	}
	m.file("stagehand.yaml", strings.Replace(m.text, first, "", 1))
	m.refused("1.5.0", "a gap in the chain of upgrades: no upgrade leads from 1.2.0 to 1.4.0")
	m.file("stagehand.yaml", m.text)

	// Two share the work; one of them is killed in the middle, and a third comes.
	m.at("1.5.0")
	killed, stays := m.start(nil, "upgrade"), m.start(nil, "upgrade")
	eventually(t, func() string {
		if n := m.sql("SELECT count(*) FROM mo_catalog.mo_upgrade"); len(n) < 2 {
			return n + " accounts are upgraded"
		}
		return ""
	})
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-killed.done
	comes := m.start(nil, "upgrade")
	for _, r := range []*runner{stays, comes} {
		r.wait(t, 3)
		if said := r.said(); !strings.Contains(said, poisoned+" (attempt 2: exit 1, said last: monode: account "+poisoned) || strings.Contains(said, deleted+" (") {
			t.Errorf("said:\n%s", said)
		}
	}
	m.upgradedOnce()
	for _, step := range []string{"1.4.0", "1.5.0"} {
		recorded, states, batches := m.states(step)
		if recorded != "1.2.0" || states["ready"] != accounts-2 || states["set_aside"] != 1 || states["deleted"] > 1 || batches != [2]int{7, 7} {
			t.Errorf("%s of %s: %v, batches %v", step, recorded, states, batches)
		}
	}

	// Another version while this one is under way.
	m.refused("1.4.0", "another version is under way: the upgrade from 1.2.0 to 1.5.0 is not finished, and this is 1.4.0")

	// Mended, and done; the nodes of the new version come.
	m.at("1.5.0")
	m.sql("UPDATE " + poisoned + ".orders SET amount = '7.25'")
	for _, want := range []string{poisoned + ": upgraded", poisoned + ": nothing to do on the way to 1.5.0"} {
		if said := m.stagehand(0, "upgrade", "--app", poisoned); !strings.HasSuffix(strings.TrimSpace(said), want) {
			t.Errorf("want %q:\n%s", want, said)
		}
	}
	if said := m.stagehand(3, "upgrade", "--app", deleted); !strings.Contains(said, "no such tenant: "+deleted) {
		t.Errorf("a deleted account:\n%s", said)
	}
	m.stagehand(0, "up")
	if got := m.sql("SELECT string_agg(DISTINCT version, ' ') || ' ' || count(*) FROM mo_catalog.mo_account"); got != fmt.Sprintf("1.5.0 %d", accounts-1) {
		t.Errorf("accounts: %s", got)
	}
	if got := m.sql("SELECT amount || ' ' || currency FROM " + poisoned + ".orders"); got != "7.25 EUR" {
		t.Errorf("what was mended: %s", got)
	}
	m.onlyServices(4)
	m.refused("1.4.0", "version 1.4.0 is older than the recorded version 1.5.0")
	m.at("1.5.0")
}

// upgradedOnce: each account's helper ran once for each step, the poisoned one's twice for the first; no more
// than four at a time; the next step's part for the cluster after the last account of the step before.
func (m *matrixone) upgradedOnce() {
	m.t.Helper()
	if got, want := m.sql("SELECT version || ' ' || count(*) || ' ' || count(DISTINCT account_name) FROM mo_catalog.mo_upgrade GROUP BY version ORDER BY version"),
		fmt.Sprintf("1.4.0 %[1]d %[1]d\n1.5.0 %[1]d %[1]d", accounts-2); got != want {
		m.t.Errorf("upgrades: %s, want %s", got, want)
	}
	line := m.timeline(m.began)
	runs, running, most := map[string]int{}, map[string]bool{}, 0
	for _, e := range line.events {
		if !strings.HasPrefix(e.step(), "upgrade/") || !strings.Contains(e.step(), "/tenant/") {
			continue
		}
		switch e.Action {
		case "start":
			runs[e.step()]++
			running[e.name()] = true
			most = max(most, len(running))
		case "die":
			delete(running, e.name())
		}
	}
	if most > 4 {
		m.t.Errorf("%d helpers at a time", most)
	}
	var wrong []string
	for step, n := range runs {
		want := 1
		switch {
		case step == "upgrade/1.4.0/tenant/"+poisoned:
			want = 2
		case strings.HasSuffix(step, "/"+deleted):
			continue // as often as it is tried before its deletion is seen
		}
		if n != want {
			wrong = append(wrong, fmt.Sprintf("%s %d times", step, n))
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 || len(runs) < 2*(accounts-2)+1 {
		m.t.Errorf("%d helpers, and of these ran: %v", len(runs), wrong)
	}
	line.before("die", "upgrade/1.4.0/prepare", "start", "upgrade/1.4.0/cluster")
	line.before("die", "upgrade/1.4.0/cluster", "start", "upgrade/1.4.0/tenant")
	line.before("die", "upgrade/1.4.0/tenant", "start", "upgrade/1.5.0/cluster")
	line.before("die", "upgrade/1.5.0/cluster", "start", "upgrade/1.5.0/tenant")
	m.t.Logf("%d helpers for accounts, %d at a time at the most", len(runs), most)
}
