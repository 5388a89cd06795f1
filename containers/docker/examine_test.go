package docker

import (
	"testing"
	"time"
)

func TestExamine(t *testing.T) {
	engine := openEngine(t, Options{})
	before := time.Now()
	v, err := engine.Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The engine of the tests is on this machine, and has its clock.
	if v.Time.Before(before.Add(-time.Second)) || v.Time.After(time.Now().Add(time.Second)) || v.Root == "" {
		t.Errorf("%+v", v)
	}
	for _, trap := range v.Traps {
		if trap.Text == "" || trap.Mend == "" {
			t.Errorf("a trap without words: %+v", trap)
		}
	}
}
