package ledger

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/upgrades"
	"github.com/stagehand-dev/stagehand/upgrades/upgradestest"
)

func TestUpgrades(t *testing.T) {
	everywhere(t, func(t *testing.T, _ string) {
		place := places[t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]]
		upgradestest.Test(t, func(t *testing.T) func() upgrades.Store {
			address := place(t)
			return func() upgrades.Store { return openAt(t, address).Upgrades() }
		})
	})
}

// holdLock is this test's program as another process: it takes the lock and waits to be killed.
func holdLock(address string) int {
	ctx := context.Background()
	l, err := Open(ctx, address)
	if err == nil {
		var s *upgrades.Service
		s, err = upgrades.New(upgrades.Options{Store: l.Upgrades(), Deployment: upgrades.Deployment{Name: "shop"}, Version: upgrades.MustVersion("1"), TTL: time.Hour})
		if err == nil {
			var got bool
			got, err = s.Get(ctx, "key")
			fmt.Println("got", got)
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	return 0
}

// TestTheKilledHoldNothing: what a process held that was killed another one on the same host has at its next
// look, though no TTL is over.
func TestTheKilledHoldNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the TTL has to be waited for")
	}
	everywhere(t, func(t *testing.T, address string) {
		holder := exec.CommandContext(t.Context(), os.Args[0])
		holder.Env = append(os.Environ(), "LEDGER_HOLD_LOCK="+address)
		stdin, err := holder.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		stdout, err := holder.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "got true\n" {
			t.Fatal(said, err)
		}
		s, err := upgrades.New(upgrades.Options{Store: openAt(t, address).Upgrades(), Deployment: upgrades.Deployment{Name: "shop"}, Version: upgrades.MustVersion("1"), TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got, err := s.Get(t.Context(), "key"); got || err != nil {
			t.Fatalf("while it lives: %t, %v", got, err)
		}
		if err := holder.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = holder.Wait() // it was killed
		if got, err := s.Get(t.Context(), "key"); !got || err != nil {
			t.Errorf("once it is dead: %t, %v", got, err)
		}
	})
}

// TestOnceIsOneTransaction: what the work writes through its transaction is there with the mark, or neither is.
func TestOnceIsOneTransaction(t *testing.T) {
	everywhere(t, func(t *testing.T, address string) {
		l := openAt(t, address)
		store := l.Upgrades()
		if err := store.Join(t.Context(), upgrades.Holder{ID: "h"}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.store.Writer.ExecContext(t.Context(), `CREATE TABLE catalog (name TEXT NOT NULL)`); err != nil {
			t.Fatal(err)
		}
		failed := errors.New("half way")
		work := func(fail error) upgrades.Work {
			return func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO catalog (name) VALUES ('system')`)
				return errors.Join(err, fail)
			}
		}
		check := func(want int) {
			t.Helper()
			var rows int
			if err := l.store.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM catalog`).Scan(&rows); err != nil || rows != want {
				t.Errorf("%d rows, %v; want %d", rows, err, want)
			}
			if marked, err := store.Marked(t.Context(), "k"); marked != (want > 0) || err != nil {
				t.Errorf("marked: %t, %v", marked, err)
			}
		}
		if err := store.Once(t.Context(), "h", "k", work(failed)); !errors.Is(err, failed) {
			t.Error(err)
		}
		check(0)
		for range 2 {
			if err := store.Once(t.Context(), "h", "k", work(nil)); err != nil {
				t.Error(err)
			}
		}
		check(1)
	})
}

// made is what each migration after the second has made.
var made = map[int][]string{
	3: {"app_history", "apps"},
	4: {"upgrade_tenants", "upgrade_batches", "upgrade_steps", "versions", "marks", "locks", "holders"},
}

// older makes the ledger, a file, one that has seen no migration after this one.
func older(t *testing.T, l *Ledger, migration int) {
	t.Helper()
	statements := []string{fmt.Sprint(`DELETE FROM goose_db_version WHERE version_id > `, migration)}
	for number, tables := range made {
		for _, table := range tables {
			if number > migration {
				statements = append(statements, `DROP TABLE `+table)
			}
		}
	}
	for _, statement := range statements {
		if _, err := l.store.Writer.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUpgradesOfAnOlderLedger(t *testing.T) {
	path := places["sqlite"](t)
	l := openAt(t, path)
	emit(t, l, started("r1", "haf", "e1"))
	older(t, l, 3)
	again := openAt(t, path)
	if err := again.Upgrades().Join(t.Context(), upgrades.Holder{ID: "h"}); err != nil {
		t.Error(err)
	}
	if _, ok, err := again.Find(t.Context(), "r1"); !ok || err != nil {
		t.Error(ok, err)
	}
}

// BenchmarkUpgrade upgrades so many tenants, each in a transaction of its own, and lists them.
func BenchmarkUpgrade(b *testing.B) {
	for _, tenants := range []int{1000, 10000} {
		b.Run(fmt.Sprint(tenants), func(b *testing.B) {
			names := make([]string, tenants)
			for i := range names {
				names[i] = fmt.Sprintf("tenant-%05d", i)
			}
			for b.Loop() {
				store := openAt(b, places["sqlite"](b)).Upgrades()
				d := upgrades.Deployment{Name: "shop"}
				from, to := upgrades.MustVersion("1.2.0"), upgrades.MustVersion("1.4.0")
				o := upgrades.Options{Store: store, Deployment: d, Version: from}
				at, err := upgrades.New(o)
				if err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(at.Record(b.Context()), at.Close()); err != nil {
					b.Fatal(err)
				}
				o.Version = to
				o.Handles = []upgrades.VersionHandle{upgrades.Funcs{From: from, Version: to, Tenant: func(context.Context, upgrades.Step, string) error { return nil }}}
				var listed time.Time
				o.Tenants = func(context.Context) ([]string, error) { listed = time.Now(); return names, nil }
				o.Report = func(r upgrades.Report) {
					if r.State == upgrades.UpgradingTenants {
						b.ReportMetric(float64(time.Since(listed).Milliseconds()), "ms/list")
					}
				}
				s, err := upgrades.New(o)
				if err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(s.BootstrapUpgrade(b.Context()), s.Close()); err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				if all, err := store.Tenants(b.Context(), d); err != nil || len(all) != tenants {
					b.Fatal(len(all), err)
				}
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/read")
			}
		})
	}
}
