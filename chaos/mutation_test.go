package chaos

import (
	"strings"
	"testing"
)

// TestWithoutRule3: destroy, then record, and this suite finds helpers whose
// work was done twice. The switch is in the process's ledger: it destroys a
// helper when it is given the outcome to keep, before it keeps it. To the
// engine and the ledger that is the runner's own order turned round.
func TestWithoutRule3(t *testing.T) {
	stack := load(t, stackFiles[0])
	c := &court{t: t, want: undisturbed(t, stack, false)}
	twice := 0
	for point := 1; point <= c.want.points; point++ {
		v := tell(t, story{stack: stack, lives: []life{{Dies: point, Careless: true}}})
		if strings.Contains(strings.Join(v.complaints(c.want), "\n"), "completed 2 times") {
			twice++
		}
	}
	if twice == 0 {
		t.Error("a runner that destroys before it records passes: this suite proves nothing")
	}
	t.Logf("of %d points, %d end with work done twice", c.want.points, twice)
}
