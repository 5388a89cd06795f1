package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/stagehand-dev/stagehand/ledger/ledgertest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if server, err := postgres(); err == nil {
		if err := server.Remove(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

// postgres is a real server, for all tests, in which nobody writes but they.
var postgres = sync.OnceValues(func() (*ledgertest.Server, error) {
	ctx := context.Background()
	server, err := ledgertest.Start(ctx)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", server.URL(""))
	if err != nil {
		return nil, errors.Join(err, server.Remove())
	}
	defer db.Close()
	for _, query := range []string{"ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return nil, errors.Join(err, server.Remove())
		}
	}
	for vacuums := 1; vacuums > 0; time.Sleep(10 * time.Millisecond) {
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'").Scan(&vacuums); err != nil {
			return nil, errors.Join(err, server.Remove())
		}
	}
	return server, nil
})

// world is a database of its own, which has two sides: that of the programs and the test's.
type world struct {
	*testing.T
	server   *ledgertest.Server
	name     string
	db, look *sql.DB
	tracer   *tracer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := postgres()
	if errors.Is(err, ledgertest.ErrNone) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	main, err := sql.Open("pgx", server.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	defer main.Close()
	w := &world{T: t, server: server, name: fmt.Sprintf("t%d", time.Now().UnixNano()), tracer: &tracer{}}
	if _, err := main.ExecContext(t.Context(), "CREATE DATABASE "+w.name); err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(w.url())
	if err != nil {
		t.Fatal(err)
	}
	w.look = stdlib.OpenDB(*config)
	config.Tracer = w.tracer
	w.db = stdlib.OpenDB(*config)
	t.Cleanup(func() { w.look.Close(); w.db.Close() })
	return w
}

func (w *world) url() string {
	u, err := url.Parse(w.server.URL(""))
	if err != nil {
		w.Fatal(err)
	}
	u.Path = "/" + w.name
	return u.String()
}

// newCluster is a world whose cluster app is bootstrapped.
func newCluster(t *testing.T) (*world, cluster) {
	t.Helper()
	w := newWorld(t)
	c := cluster{w.db}
	if err := initCluster(t.Context(), w.db); err != nil {
		t.Fatal(err)
	}
	if _, err := c.deployPartition(t.Context(), clusterApp, 0); err != nil {
		t.Fatal(err)
	}
	return w, c
}

// tracer calls before with each query of the programs, and after with each one that has ended.
type tracer struct {
	before, after func(query string, backend uint32)
}

type traced string

func (tr *tracer) TraceQueryStart(ctx context.Context, c *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if tr.before != nil {
		tr.before(data.SQL, c.PgConn().PID())
	}
	return context.WithValue(ctx, traced(""), data.SQL)
}

func (tr *tracer) TraceQueryEnd(ctx context.Context, c *pgx.Conn, _ pgx.TraceQueryEndData) {
	if tr.after != nil {
		tr.after(ctx.Value(traced("")).(string), c.PgConn().PID())
	}
}

// value is the text of a query's only value.
func (w *world) value(query string, args ...any) string {
	w.Helper()
	var text sql.NullString
	if err := w.look.QueryRowContext(w.Context(), query, args...).Scan(&text); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
	return text.String
}

// writes is a number that grows with each transaction of the server that writes anything.
func (w *world) writes() string {
	w.Helper()
	return w.value("SELECT pg_snapshot_xmax(pg_current_snapshot())")
}

// content is all that stands in the database.
func (w *world) content() string {
	w.Helper()
	all := w.value("SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'")
	rows, err := w.look.QueryContext(w.Context(), "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' ORDER BY 1")
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		tables = append(tables, "")
		if err := rows.Scan(&tables[len(tables)-1]); err != nil {
			w.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	for _, table := range tables {
		all += "\n" + table + ": " + w.value("SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM "+table+" AS t")
	}
	return all
}

// unchanged fails the test if anything is written until the function that it returns is called.
func (w *world) unchanged() func() {
	w.Helper()
	content, writes := w.content(), w.writes()
	return func() {
		w.Helper()
		if now := w.content(); now != content {
			w.Errorf("it was:\n%s\nand is:\n%s", content, now)
		}
		if now := w.writes(); now != writes {
			w.Errorf("transactions that wrote: it was %s and is %s", writes, now)
		}
	}
}

// here is the test's own machine.
func here(env map[string]string, out io.Writer) machine {
	return machine{func(key string) string { return env[key] }, out, out, net.Listen, (&net.Dialer{}).DialContext}
}

// run runs a command with this database.
func (w *world) run(args ...string) int {
	return Main(w.Context(), args, here(map[string]string{"POSTGRES_URL": w.url()}, w.Output()))
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args, says string
		code       int
	}{
		{"", "usage", 2}, {"dance", "usage", 2}, {"storage", "usage", 2}, {"partitions sys/x", "usage", 2}, {"cluster now", "usage", 2},
		{"partitions sys/x many", `"many" is no count`, 2}, {"partitions sys/x 0", `"0" is no count`, 2},
		{"workspace", "127.0.0.1", 1},
	} {
		var out, errs strings.Builder
		m := here(map[string]string{"POSTGRES_URL": "postgres://u@127.0.0.1:1/x"}, &out)
		m.stderr = &errs
		code := Main(t.Context(), strings.Fields(c.args), m)
		if code != c.code || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%q: %d %q, want %d %q", c.args, code, errs.String(), c.code, c.says)
		}
	}
}
