package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

func TestClock(t *testing.T) {
	before := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	after := before.Add(30 * time.Second) // a slow answer is no wrong clock
	for _, c := range []struct {
		engine time.Time
		want   State
	}{
		{before.Add(10 * time.Second), Well}, {before.Add(-time.Second), Well}, {after.Add(clockLimit), Well},
		{after.Add(clockLimit + time.Millisecond), Warning}, {before.Add(-time.Hour), Warning}, {time.Time{}, Unknown},
	} {
		if got := clock(c.engine, before, after); got.State != c.want || (got.State == Warning) != (got.Mend != "") {
			t.Errorf("%s: %+v", c.engine, got)
		}
	}
	if got := clock(before.Add(-90*time.Second), before, after); !strings.Contains(got.Text, "1m30s off") {
		t.Error(got.Text)
	}
}

func TestDisk(t *testing.T) {
	for _, c := range []struct {
		room Room
		err  error
		want State
		text string
	}{
		{Room{100 << 30, 1e6}, nil, Well, "100.0 GiB free in /x"},
		{Room{100 << 30, -1}, nil, Well, "100.0 GiB"},
		{Room{100 << 30, 10}, nil, Warning, "room for 10 more files"},
		{Room{1 << 30, 1e6}, nil, Warning, "1.0 GiB"},
		{Room{100 << 20, 1e6}, nil, Failed, "100 MiB"},
		{Room{512, 1e6}, nil, Failed, "0 KiB"},
		{Room{}, errors.New("no such disk"), Unknown, "no such disk"},
	} {
		got := Disk("/x", "make room", func(string) (Room, error) { return c.room, c.err })
		if got.State != c.want || !strings.Contains(got.Text, c.text) || (got.Mend == "make room") != (c.want == Warning || c.want == Failed) {
			t.Errorf("%+v: %+v", c.room, got)
		}
	}
}

func TestRefusal(t *testing.T) {
	tried := errors.Join(
		&containers.AdvisedError{Err: errors.New("one"), Mend: "mend one"},
		fmt.Errorf("again: %w", &containers.AdvisedError{Err: errors.New("two"), Mend: "mend two"}))
	got := Refusal(fmt.Errorf("%w: %w", containers.ErrUnavailable, tried))
	if len(got) != 2 || got[0] != (Check{"engine", Failed, "one", "mend one"}) || got[1] != (Check{"engine", Failed, "two", "mend two"}) {
		t.Errorf("%+v", got)
	}
	if got := Refusal(errors.New("odd")); len(got) != 1 || got[0].Text != "odd" || got[0].Mend == "" {
		t.Errorf("%+v", got)
	}
}

// set is a memory engine that is as it is told.
type set struct {
	*memory.Engine
	vitals containers.Vitals
}

func (s set) Examine(context.Context) (containers.Vitals, error) { return s.vitals, nil }

func TestRun(t *testing.T) {
	engine := memory.New(memory.Options{})
	defer engine.Halt()
	ctx := t.Context()
	held, err := engine.Lease(ctx, "demo", containers.Holder{User: "ann", Host: "there"})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release(ctx)
	x := Examination{
		Engine: set{engine, containers.Vitals{Time: time.Now().Add(-time.Hour), Root: "/r", Here: true, Traps: []containers.Trap{{Text: "a trap", Mend: "its mend"}}}},
		Lease:  "doctor", Free: func(string) (Room, error) { return Room{Bytes: 1 << 40, Files: -1}, nil },
	}
	of := func() map[string]Check {
		t.Helper()
		checks, err := x.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]Check{}
		for _, c := range checks {
			all[c.Of] = c
			if (c.State == Warning || c.State == Failed) != (c.Mend != "") && c.State != Unknown {
				t.Errorf("%+v", c)
			}
		}
		return all
	}
	all := of()
	for what, want := range map[string]State{"engine": Well, "permissions": Well, "disk": Well, "clock": Warning, "trap": Warning, "leftovers": Well} {
		if all[what].State != want {
			t.Errorf("%s: %+v", what, all[what])
		}
	}
	// What nobody may do on the engine shows.
	other, err := engine.Lease(ctx, "doctor", containers.Holder{User: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	if c := of()["permissions"]; c.State != Failed || !strings.Contains(c.Text, "bob") {
		t.Errorf("%+v", c)
	}
	if err := other.Release(ctx); err != nil {
		t.Fatal(err)
	}
	engine.Sever()
	if c := of()["engine"]; c.State != Failed || c.Mend == "" {
		t.Errorf("%+v", c)
	}
}
