package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/ledger/ledgertest"
)

// limit is how long a test waits for what must happen, however slow the machine.
const limit = 5 * time.Minute

// process is one node.
type process struct {
	name string
	cmd  *exec.Cmd
	out  bytes.Buffer // to be read when it has ended
}

// cluster is a real PostgreSQL and the program.
type cluster struct {
	*testing.T
	url, program string
	db           *sql.DB
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	server, err := ledgertest.Start(t.Context())
	if errors.Is(err, ledgertest.ErrNone) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, url: server.URL(""), program: filepath.Join(t.TempDir(), "monode")}
	if c.db, err = open(c.url, "the test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.db.Close(), server.Remove()); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", c.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return c
}

// bootstrap starts a node.
func (c *cluster) bootstrap(name string) *process {
	c.Helper()
	p := &process{name: name, cmd: exec.CommandContext(c.Context(), c.program, "bootstrap", name, "1.5.0")}
	p.cmd.Env = append(os.Environ(), "POSTGRES_URL="+c.url)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		c.Fatal(err)
	}
	return p
}

// ends waits for a node that must end well.
func (c *cluster) ends(p *process) {
	c.Helper()
	if err := p.cmd.Wait(); err != nil {
		c.Errorf("%s: %v\n%s", p.name, err, &p.out)
	}
}

// created is who has created the catalog.
func (c *cluster) created() (by string) {
	c.Helper()
	if err := c.db.QueryRowContext(c.Context(), "SELECT string_agg(created_by || ' ' || version, ', ') FROM mo_catalog.mo_version").Scan(&by); err != nil {
		c.Fatal(err)
	}
	return by
}

func TestOfTenNodesOneBootstraps(t *testing.T) {
	c := newCluster(t)
	var nodes []*process
	for i := range 10 {
		nodes = append(nodes, c.bootstrap(fmt.Sprintf("cn%d", i)))
	}
	creators := 0
	for _, p := range nodes {
		c.ends(p)
		creators += strings.Count(p.out.String(), "creates the catalog")
	}
	if by := c.created(); creators != 1 || strings.Contains(by, ",") || !strings.HasSuffix(by, " 1.5.0") {
		t.Errorf("%d nodes have created the catalog; it says %q", creators, by)
	}
	// One that comes later finds it.
	late := c.bootstrap("late")
	c.ends(late)
	if said := late.out.String(); said != "late: the catalog is there\n" {
		t.Errorf("said %q", said)
	}
}

// The owner is killed while it creates the catalog: nothing of it is there, and another does the whole.
func TestTheOwnerIsKilled(t *testing.T) {
	c := newCluster(t)
	// The creation begins by waiting for this lock.
	held, err := c.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	lock := func(ctx context.Context, query string) {
		t.Helper()
		if _, err := held.ExecContext(ctx, query); err != nil {
			t.Fatal(err)
		}
	}
	lock(t.Context(), "SELECT pg_advisory_lock(6001)")
	owner := c.bootstrap("owner")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for waits := 0; waits == 0; {
		if err := c.db.QueryRowContext(ctx, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 6001 AND NOT granted").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	var others []*process
	for i := range 9 {
		others = append(others, c.bootstrap(fmt.Sprintf("cn%d", i)))
	}
	if err := owner.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := owner.cmd.Wait(); err == nil {
		t.Error("the owner has ended before it was killed")
	}
	killed := time.Now()
	lock(t.Context(), "SELECT pg_advisory_unlock(6001)")
	creators := 0
	for _, p := range others {
		c.ends(p)
		creators += strings.Count(p.out.String(), "creates the catalog")
	}
	t.Logf("after the owner's death, all others had the catalog in %s", time.Since(killed).Round(time.Millisecond))
	if by := c.created(); creators != 1 || strings.Contains(by, "owner") || strings.Contains(by, ",") {
		t.Errorf("%d others have created the catalog; it says %q", creators, by)
	}
}
