package conditions_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
	"github.com/stagehand-dev/stagehand/waiters/internal/waitertest"
)

// postgres makes a PostgreSQL cluster of the machine's own programs, starts
// it on a free loopback port and returns its address. Password of postgres: se/cret.
func postgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		t.Skip("no PostgreSQL on this machine: install postgresql")
	}
	bin := filepath.Dir(found[len(found)-1])
	// The server's user must reach the folder: t.TempDir's parents are root's.
	dir, err := os.MkdirTemp("", "stagehand-sql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("se/cret\n"), 0o644); err != nil { //nolint:gosec // a test's
		t.Fatal(err)
	}
	run := func(name string, args ...string) {
		t.Helper()
		args = append([]string{filepath.Join(bin, name)}, args...)
		if os.Getuid() == 0 { // PostgreSQL refuses to run as root
			args = append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}, args...)
		}
		command := exec.Command(args[0], args[1:]...)
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	if os.Getuid() == 0 {
		if out, err := exec.Command("chown", "postgres:postgres", dir).CombinedOutput(); err != nil {
			t.Skipf("no user postgres to run a server as: %v: %s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	data := filepath.Join(dir, "data")
	run("initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile="+filepath.Join(dir, "password"), "-N", "--locale=C")
	t.Cleanup(func() { run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop") })
	run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", fmt.Sprintf("-p %s -k %s -c fsync=off -c listen_addresses=127.0.0.1", port, dir), "start")
	return net.JoinHostPort("127.0.0.1", port)
}

func TestSQL(t *testing.T) {
	address := postgres(t)
	w := over(address)
	const url = "postgres://postgres:se%2Fcret@db/postgres"
	for rest, want := range map[string]waiters.Observation{
		"query: select true":                                           {Holds: true, Detail: "true"},
		"query: select false":                                          {Detail: "false"},
		"query: select 1 > 0 from pg_database":                         {Holds: true, Detail: "true"},
		"query: select 7":                                              {Detail: "7 is not true (see equals and at_least)"},
		"query: 'select null::bool'":                                   {Detail: "NULL"},
		"query: select true where false":                               {Detail: "no row"},
		"query: 'create temp table x (a int)'":                         {Detail: "the query returns nothing"},
		"query: 'select false; select true'":                           {Holds: true, Detail: "true"},
		"query: 'select true; select 1 where false'":                   {Detail: "no row"},
		"query: select * from no_such_table":                           {Detail: `relation "no_such_table" does not exist`},
		"{query: select 7, equals: 7}":                                 {Holds: true, Detail: "7"},
		"{query: select 7.0, equals: 7}":                               {Holds: true, Detail: "7.0"},
		"{query: select 'LIVE', equals: LIVE}":                         {Holds: true, Detail: "LIVE"},
		"{query: select 'P2P', equals: LIVE}":                          {Detail: "P2P"},
		"{query: 'select 9007199254740993', equals: 9007199254740992}": {Detail: "9007199254740993"},
		"{query: select 98000000, at_least: 98e6}":                     {Holds: true, Detail: "98000000"},
		"{query: select 41, at_least: 98}":                             {Detail: "41"},
		"{query: select 'x', at_least: 98}":                            {Detail: "x is not a number"},
	} {
		rest = strings.Trim(rest, "{}")
		c := read(t, "sql: {url: '"+url+"', "+rest+"}")
		if o, err := c.Look(t.Context(), w); err != nil || o != want {
			t.Errorf("%s: %+v, %v; want %+v", rest, o, err, want)
		}
	}
	for _, bad := range []string{"postgres://postgres:wr%2Fong@db/postgres", "postgres://postgres:se%2Fcret@db/none"} {
		o, err := conditions.SQL{URL: bad, Query: "select true"}.Look(t.Context(), w)
		if err != nil || o.Holds || o.Detail == "" || strings.Contains(o.Detail, "/cret") || strings.Contains(o.Detail, "/ong") {
			t.Errorf("%s: %+v, %v", bad, o, err)
		}
	}
	o, err := conditions.SQL{URL: url, Query: "select nothing 'se/cret'"}.Look(t.Context(), w)
	if err != nil || o.Holds || strings.Contains(o.Detail, "se/cret") {
		t.Errorf("an error that quotes the password: %+v, %v", o, err)
	}
	t.Run("cancelled on the server", func(t *testing.T) { cancelled(t, w, url) })
}

// cancelled: a query that is cut off does not go on in the server.
func cancelled(t *testing.T, w waiters.World, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if o, err := (conditions.SQL{URL: url, Query: "select pg_sleep(3600)"}).Look(ctx, w); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %+v, %v", o, err)
	}
	none := read(t, "{sql: {url: '"+url+"', query: \"select count(*) from pg_stat_activity where query like '%pg_sleep(3600)%' and pid <> pg_backend_pid() and state = 'active'\", equals: 0}, timeout: 5m}")
	if err := waiters.Wait(t.Context(), w, none, nil); err != nil {
		t.Error(err)
	}
}

// A wait for a database that is not there yet.
func TestSQLWait(t *testing.T) {
	address := postgres(t)
	var up atomic.Bool
	e := waitertest.Stub{OnDial: func(ctx context.Context, on, target string) (net.Conn, error) {
		if !up.Load() {
			return over("127.0.0.1:1").Engine.Dial(ctx, on, target)
		}
		return over(address).Engine.Dial(ctx, on, target)
	}}
	c := read(t, "{sql: {url: 'postgres://postgres:se%2Fcret@db/postgres', query: select true}, timeout: 30s}")
	var seen []string
	err := waiters.Wait(t.Context(), waiters.World{Engine: e, Network: waitertest.Network}, c, func(o waiters.Observation) {
		seen = append(seen, o.Detail)
		up.Store(true)
	})
	if err != nil || !slices.Equal(seen, []string{"refused", "true"}) {
		t.Errorf("seen %q, %v", seen, err)
	}
}
