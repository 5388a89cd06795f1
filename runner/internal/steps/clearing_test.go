package steps

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestClearing(t *testing.T) {
	for name, test := range map[string]struct {
		working, ended int
		cleared        time.Duration // when the last of these is
		want           time.Duration
	}{
		"nothing is cleared up":        {working: 1},
		"one is":                       {working: 1, ended: 1, cleared: 80 * time.Millisecond, want: 80 * time.Millisecond},
		"several are":                  {working: 1, ended: 3, cleared: 90 * time.Millisecond, want: 90 * time.Millisecond},
		"that takes its time":          {working: 1, ended: 1, cleared: time.Minute, want: clearTime},
		"others are at work meanwhile": {working: 2, ended: 1, cleared: 80 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c clearing
				for range test.working {
					defer c.work()()
				}
				for i := range test.ended {
					done := c.begin()
					time.AfterFunc(test.cleared*time.Duration(i+1)/time.Duration(test.ended), done)
				}
				began := time.Now()
				c.wait(t.Context())
				if took := time.Since(began); took != test.want {
					t.Errorf("waits for %s, want %s", took, test.want)
				}
				time.Sleep(time.Hour) // all is cleared up
				again := time.Now()
				c.wait(t.Context())
				if took := time.Since(again); took != 0 {
					t.Errorf("waits for %s when nothing is cleared up any more", took)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		var c clearing
		defer c.work()()
		defer c.begin()()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if c.wait(ctx); time.Since(began) != time.Millisecond {
			t.Errorf("waits for %s where it is interrupted after 1ms", time.Since(began))
		}
	})
}
