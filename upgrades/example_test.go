package upgrades_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/upgrades"
)

// A program at version 1.5.0 finds a deployment at 1.2.0, and walks the route with its tenants. One of
// these cannot be upgraded before somebody mends it.
func Example() {
	ctx := context.Background()
	store := &upgrades.Memory{} // or the Upgrades() of a ledger, see the next example
	deployment := upgrades.Deployment{Name: "shop"}

	first, err := upgrades.New(upgrades.Options{Store: store, Deployment: deployment, Version: upgrades.MustVersion("1.2.0")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("new:", first.BootstrapUpgrade(ctx)) // records 1.2.0
	first.Close()

	broken := true
	tenant := func(_ context.Context, step upgrades.Step, tenant string) error {
		if tenant == "beta" && broken {
			return errors.New("column exists")
		}
		fmt.Println(step, tenant)
		return nil
	}
	s, err := upgrades.New(upgrades.Options{
		Store: store, Deployment: deployment, Workers: 1, Retries: 0,
		Handles: []upgrades.VersionHandle{
			upgrades.Funcs{From: upgrades.MustVersion("1.2.0"), Version: upgrades.MustVersion("1.4.0"), Tenant: tenant},
			upgrades.Funcs{
				From: upgrades.MustVersion("1.4.0"), Version: upgrades.MustVersion("1.5.0"), Tenant: tenant,
				Cluster: func(_ context.Context, step upgrades.Step) error { fmt.Println(step, "the cluster, once"); return nil },
			},
		},
		Tenants: func(context.Context) ([]string, error) { return []string{"alpha", "beta", "gamma"}, nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println(s.BootstrapUpgrade(ctx))
	broken = false
	fmt.Println(s.MaybeUpgradeTenant(ctx, "beta"))
	status, _, err := s.Status(ctx)
	fmt.Println(status.Recorded, err)
	// Output:
	// new: <nil>
	// 1.2.0 → 1.4.0 alpha
	// 1.2.0 → 1.4.0 gamma
	// 1.4.0 → 1.5.0 the cluster, once
	// 1.4.0 → 1.5.0 alpha
	// 1.4.0 → 1.5.0 gamma
	// 1 of 3 tenants could not be upgraded to 1.5.0 and are set aside: beta (attempt 1: column exists)
	// 1.2.0 → 1.4.0 beta
	// 1.4.0 → 1.5.0 beta
	// true <nil>
	// 1.5.0 <nil>
}

// Of many processes one creates the catalog, in the transaction that marks it as done.
func ExampleService_Bootstrap() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	l, err := ledger.Open(ctx, filepath.Join(folder, "ledger.db")) // or postgres://…
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	for node := range 3 {
		s, err := upgrades.New(upgrades.Options{
			Store: l.Upgrades(), Deployment: upgrades.Deployment{Name: "catalog"}, Version: upgrades.MustVersion("1.2.0"),
			BootstrapWork: func(ctx context.Context, tx *sql.Tx) error {
				fmt.Println("node", node, "creates the catalog")
				_, err := tx.ExecContext(ctx, `CREATE TABLE catalog (name TEXT NOT NULL)`)
				return err
			},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer s.Close()
		fmt.Println("node", node, "goes on:", s.Bootstrap(ctx))
	}
	// Output:
	// node 0 creates the catalog
	// node 0 goes on: <nil>
	// node 1 goes on: <nil>
	// node 2 goes on: <nil>
}

// A Service is a lock among processes by itself, too.
func ExampleService_Get() {
	ctx := context.Background()
	store := &upgrades.Memory{}
	node := func() *upgrades.Service {
		s, err := upgrades.New(upgrades.Options{Store: store, Deployment: upgrades.Deployment{Name: "nodes"}, Version: upgrades.MustVersion("1.0")})
		if err != nil {
			panic(err)
		}
		return s
	}
	one, two := node(), node()
	defer two.Close()
	fmt.Println(one.Get(ctx, "compaction"))
	fmt.Println(two.Get(ctx, "compaction"))
	one.Close() // or its process ends
	fmt.Println(two.Get(ctx, "compaction"))
	// Output:
	// true <nil>
	// false <nil>
	// true <nil>
}

func ExampleRoute() {
	known := []upgrades.Step{
		{From: upgrades.MustVersion("1.2.0"), To: upgrades.MustVersion("1.4.0")},
		{From: upgrades.MustVersion("1.4.0"), To: upgrades.MustVersion("1.5.0")},
	}
	for _, recorded := range []string{"1.2.0", "1.3.0", "1.5.0", "1.6.0"} {
		fmt.Println(upgrades.Route(upgrades.MustVersion(recorded), upgrades.MustVersion("1.5.0"), known))
	}
	// Output:
	// [1.2.0 → 1.4.0 1.4.0 → 1.5.0] <nil>
	// [] a gap in the chain of upgrades: no upgrade leads from 1.3.0 to 1.4.0
	// [] <nil>
	// [] version 1.5.0 is older than the recorded version 1.6.0
}
