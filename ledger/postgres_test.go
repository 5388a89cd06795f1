package ledger

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the database driver "pgx"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger/ledgertest"
)

// told fails the test unless err says the problem, names the ledger, has a remedy, and
// has no password in it.
func told(t *testing.T, err error, problem string) {
	t.Helper()
	var failed *FileError
	if !errors.As(err, &failed) {
		t.Fatalf("%v is no *FileError", err)
	}
	if text := err.Error(); !strings.Contains(text, problem) || failed.Path == "" || !strings.Contains(text, failed.Path) || failed.Remedy == "" || strings.Contains(text, "\n") {
		t.Errorf("%q where %q was wanted", text, problem)
	}
	secret(t, err.Error())
}

func secret(t *testing.T, text string) {
	t.Helper()
	for _, part := range []string{ledgertest.Password, url.QueryEscape(ledgertest.Password), url.PathEscape(ledgertest.Password), "s3cr", "word@"} {
		if strings.Contains(text, part) {
			t.Errorf("%q has the password in it", text)
		}
	}
}

// changed is the URL with something else in it.
func changed(t *testing.T, address string, change func(*url.URL)) string {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

func TestPostgresThatCannotBeUsed(t *testing.T) {
	server := postgres(t)
	good := server.URL("unused")
	direct := sqlOpen(t, good)
	for _, statement := range []string{
		`CREATE ROLE guest LOGIN PASSWORD 'guest-s3cr'`, `CREATE ROLE reader LOGIN PASSWORD 'guest-s3cr'`, `ALTER ROLE reader SET default_transaction_read_only = on`,
		`GRANT CREATE ON DATABASE postgres TO reader`, `CREATE SCHEMA others`, `CREATE TABLE others.stagehand_version (version_id BIGINT)`, `INSERT INTO others.stagehand_version VALUES (2)`,
		`CREATE SCHEMA newer`, `CREATE TABLE newer.stagehand_version (version_id BIGINT)`, `INSERT INTO newer.stagehand_version VALUES (99)`,
	} {
		if _, err := direct.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, address, want string }{
		{"nobody listens", changed(t, good, func(u *url.URL) { u.Host = "127.0.0.1:1" }), "does not answer"},
		{"wrong password", changed(t, good, func(u *url.URL) { u.User = url.UserPassword("keeper", ledgertest.Password+"x") }), "refuses the user keeper"},
		{"no database", changed(t, good, func(u *url.URL) { u.Path = "/nothing" }), "no such database"},
		{"no right", changed(t, good, func(u *url.URL) { u.User = url.UserPassword("guest", "guest-s3cr") }), "may not do that"},
		{"read only", changed(t, good, func(u *url.URL) { u.User = url.UserPassword("reader", "guest-s3cr") }), "cannot be written"},
		{"newer", server.URL("newer"), "newer stagehand"},
		{"not a ledger's tables", server.URL("others"), "are not those of a ledger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := open(t.Context(), c.address, time.Second)
			if err == nil {
				err = l.Emit(t.Context(), started("r1", "haf", "e1"))
				_ = l.Close()
			}
			told(t, err, c.want)
		})
	}
}

func sqlOpen(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// What is no URL is refused without being shown: anything in it may be a password.
func TestMalformedAddressesKeepTheirSecrets(t *testing.T) {
	for _, address := range []string{
		"postgres://keeper:" + ledgertest.Password + "@db/x", "postgres://keeper:12#s3cr@db/x", "postgres://keeper:12/s3cr@db/x", "postgres://keeper:12?s3cr@db/x",
		"postgres://keeper:%zzs3cr@db/x", "postgres://db/x?sslmode=s3cr&password=s3cr", "mysql://keeper:s3cr@db/x", "postgres://keeper:s3cr@db:port/x",
	} {
		_, err := Open(t.Context(), address)
		if !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", address, err)
			continue
		}
		secret(t, strings.ReplaceAll(err.Error(), "sslmode=s3cr", ""))
	}
	for address, want := range map[string]string{
		"postgres://u:p@db:5432/x?sslmode=disable&password=p&sslpassword=p": "postgres://u@db:5432/x?sslmode=disable",
		"/a/b.db": "/a/b.db",
		"":        "",
	} {
		if got := Public(address); got != want {
			t.Errorf("%s is shown as %s", address, got)
		}
	}
}

// short is a patience that a busy machine can still make a ledger in.
const short = 5 * time.Second

// The server ends in the middle of a run: a clear error, and once it is
// back everything goes on, the event whose fate was unknown included.
func TestPostgresEndsInTheMiddle(t *testing.T) {
	server := postgres(t)
	l, err := open(t.Context(), server.URL("ends"), short)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	emit(t, l, started("r1", "haf", "e1"), ended("r1", 2, "a", events.Done, "s"))
	if err := server.End(); err != nil {
		t.Fatal(err)
	}
	err = l.Emit(t.Context(), ended("r1", 3, "b", events.Done, "s"))
	told(t, err, "does not answer")
	if !strings.Contains(err.Error(), "run the same command again") {
		t.Errorf("%v does not say how to go on", err)
	}
	_, err = l.Recorded(t.Context(), "haf", "e1")
	told(t, err, "does not answer")
	_, err = open(t.Context(), server.URL("ends"), short)
	told(t, err, "does not answer")
	if err := server.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	emit(t, l, ended("r1", 3, "b", events.Done, "s"))
	done, err := l.Recorded(t.Context(), "haf", "e1")
	if err != nil || len(done) != 2 {
		t.Errorf("%v, %v", done, err)
	}
}

// A server that is started again within the ledger's patience costs time, nothing else.
func TestPostgresIsStartedAgain(t *testing.T) {
	server := postgres(t)
	address := server.URL("again")
	writing := make(chan struct{})
	var group errgroup.Group
	const count = 400
	for _, run := range []string{"r1", "r2"} {
		l, err := open(t.Context(), address, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		group.Go(func() error {
			for seq := int64(1); seq <= count; seq++ {
				if err := l.Emit(t.Context(), ended(run, seq, "a", events.Done, "s")); err != nil {
					return err
				}
				if run == "r1" && seq == 5 {
					close(writing)
				}
			}
			return nil
		})
	}
	<-writing
	if err := server.End(); err != nil {
		t.Fatal(err)
	}
	if err := server.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	l := openAt(t, address)
	for _, run := range []string{"r1", "r2"} {
		if all, err := l.Events(t.Context(), run, 0); err != nil || len(all) != count {
			t.Errorf("%d events of %s, %v", len(all), run, err)
		}
	}
}

// A table that somebody keeps locked is a server that does not answer.
func TestPostgresLockedForLong(t *testing.T) {
	server := postgres(t)
	address := server.URL("locked")
	l, err := open(t.Context(), address, short)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tx, err := sqlOpen(t, address).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE events IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	told(t, l.Emit(t.Context(), ended("r1", 1, "a", events.Done, "s")), "does not answer")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	emit(t, l, ended("r1", 1, "a", events.Done, "s"))
}

func TestCancelledReadIsNoFault(t *testing.T) { everywhere(t, testCancelledReadIsNoFault) }

func testCancelledReadIsNoFault(t *testing.T, address string) {
	l := openAt(t, address)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Runs(ctx, "")
	var failed *FileError
	if !errors.Is(err, context.Canceled) || errors.As(err, &failed) {
		t.Errorf("%v", err)
	}
}
