package main

import (
	"path/filepath"
	"testing"

	"github.com/stagehand-dev/stagehand/ledger"
)

// An engine that has forgotten its tokens, as one whose clock was set back, does not
// fence its own runs off: the ledger's tokens are known to the next lease.
func TestLeasesBeginAboveWhatTheLedgerHas(t *testing.T) {
	b := newBench(t, `
name: la-fence
services:
  api: {image: "stagehand-actor:test", command: [forever]}
stages:
  - {name: api, start: api}
`)
	address := filepath.Join(b.dir, "l.db")
	var last int64
	for range 3 {
		b.up(t, address)
		if code, stdout, stderr := b.run(address, "down"); code != 0 {
			t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
		}
		l, err := ledger.Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		run, _, err := l.Last(t.Context(), "la-fence")
		if err != nil || run.Token <= last {
			t.Errorf("token %d after %d, %v", run.Token, last, err)
		}
		last = run.Token
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		b.engine.Halt()
		b.engine = newMemory()
	}
	b.engine.Halt()
}
