package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

const image = "stagehand/actor"

func engine(t *testing.T) *memory.Engine {
	e := memory.New(memory.Options{Images: map[string]memory.Program{image: actor.Main}, Commands: map[string][]string{image: actor.Command}})
	t.Cleanup(e.Halt)
	return e
}

func spec(command string) containers.Spec {
	s := containers.Spec{
		Name: "a", Image: image, Command: strings.Fields(command), Labels: map[string]string{},
		Files: []containers.File{{Path: "/file", Content: []byte("content\n"), Mode: 0o644}},
	}
	s.Labels[containers.LabelSpec] = s.Hash()
	return s
}

// Without faults the decorated engine is the engine.
func TestContract(t *testing.T) {
	for _, c := range enginetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := engine(t)
				c.Run(t, enginetest.Harness{
					Engine: faults.New(e, faults.Options{}), Image: image, LimitsMemory: true, Sever: e.Sever, Restore: e.Restore,
				})
			})
		})
	}
}

func TestFaults(t *testing.T) {
	lost := errors.New("lost")
	tests := []struct {
		name   string
		decide func(faults.Call) faults.Fault
		// act is done on the decorated engine; want is its error.
		act  func(ctx context.Context, e containers.Engine) error
		want error
		// real is how often the method then reached the engine under it.
		method string
		real   int
	}{
		{
			name:   "before: the engine does not act",
			decide: faults.Nth("Create", 1, faults.Fault{Before: containers.ErrUnavailable}),
			act:    create, want: containers.ErrUnavailable, method: "Create", real: 0,
		}, {
			name:   "after: the engine has acted, the answer is lost",
			decide: faults.Nth("Create", 1, faults.Fault{After: lost}),
			act:    create, want: lost, method: "Create", real: 1,
		}, {
			name:   "only the nth call is met",
			decide: faults.Nth("Create", 2, faults.Fault{Before: lost}),
			act: func(ctx context.Context, e containers.Engine) error {
				return errors.Join(create(ctx, e), ignore(create(ctx, e), lost), create(ctx, e))
			},
			method: "Create", real: 2,
		}, {
			name:   "every call for one name is met",
			decide: faults.Every("", "a", faults.Fault{Before: lost}),
			act: func(ctx context.Context, e containers.Engine) error {
				_, err := e.Status(ctx, "a")
				return errors.Join(ignore(err, lost), e.Destroy(ctx, "b"))
			},
			method: "Status", real: 0,
		}, {
			name: "of several, the first that meets the call counts",
			decide: faults.First(faults.Nth("Create", 2, faults.Fault{Before: errors.New("other")}),
				faults.Every("Create", "", faults.Fault{Before: lost}), faults.Every("", "", faults.Fault{Before: errors.New("third")})),
			act: create, want: lost, method: "Create", real: 0,
		}, {
			name:   "a half-made container is finished by the next create",
			decide: faults.Nth("Create", 1, faults.Fault{Half: true}),
			act: func(ctx context.Context, e containers.Engine) error {
				first := create(ctx, e)
				if !errors.Is(first, containers.ErrUnavailable) {
					return fmt.Errorf("first create: %w", first)
				}
				if err := e.Start(ctx, "a"); !errors.Is(err, containers.ErrConflict) {
					return fmt.Errorf("start of a half-made container: %w", err)
				}
				if _, err := e.(containers.Copier).CopyOut(ctx, "a", "/file"); !errors.Is(err, containers.ErrNotFound) {
					return fmt.Errorf("its file is there: %w", err)
				}
				err := create(ctx, e)
				_, out := e.(containers.Copier).CopyOut(ctx, "a", "/file")
				return errors.Join(err, out, e.Start(ctx, "a"))
			},
			method: "Create", real: 2,
		}, {
			name:   "exec and copy are met too",
			decide: faults.First(faults.Every("Exec", "", faults.Fault{Before: lost}), faults.Every("CopyIn", "", faults.Fault{After: lost})),
			act: func(ctx context.Context, e containers.Engine) error {
				_, err := e.(containers.Execer).Exec(ctx, "a", []string{"/actor"}, nil)
				return errors.Join(ignore(err, lost), ignore(e.(containers.Copier).CopyIn(ctx, "a", nil), lost))
			},
			method: "CopyIn", real: 1,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inner := engine(t)
			err := test.act(t.Context(), faults.New(inner, faults.Options{Decide: test.decide}))
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			if got := inner.Calls()[test.method]; got != test.real {
				t.Errorf("%d calls of %s reached the engine, want %d", got, test.method, test.real)
			}
		})
	}
}

func create(ctx context.Context, e containers.Engine) error {
	_, err := e.Create(ctx, spec("cat /file"))
	return err
}

// ignore returns nil for the error that is wanted.
func ignore(err, wanted error) error {
	if errors.Is(err, wanted) {
		return nil
	}
	return fmt.Errorf("got error %w, want %w", err, wanted)
}

// What a lost answer handed out is closed, so that nothing leaks.
func TestLostHandlesAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, inner := t.Context(), engine(t)
		e := faults.New(inner, faults.Options{Decide: faults.First(
			faults.Nth("Dial", 1, faults.Fault{After: containers.ErrUnavailable}),
			faults.Nth("Logs", 1, faults.Fault{After: containers.ErrUnavailable}))})
		server := spec("listen :80")
		if _, err := e.Create(ctx, server); err != nil {
			t.Fatal(err)
		}
		if err := e.Start(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c, err := e.Dial(ctx, "", "a:80"); c != nil || !errors.Is(err, containers.ErrUnavailable) {
			t.Errorf("got connection %v and error %v", c, err)
		}
		if r, err := e.Logs(ctx, "a", containers.LogOptions{Follow: true}); r != nil || !errors.Is(err, containers.ErrUnavailable) {
			t.Errorf("got reader %v and error %v", r, err)
		}
		c, err := e.Dial(ctx, "", "a:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Error(err)
		}
		answer := make([]byte, 4)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "ping" {
			t.Errorf("got %q and error %v", answer, err)
		}
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := engine(t)
		e := faults.New(inner, faults.Options{Decide: faults.Every("Create", "", faults.Fault{Delay: time.Minute})})
		begin := time.Now()
		if err := create(t.Context(), e); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if err := create(ctx, e); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
		if got := inner.Calls()["Create"]; got != 1 {
			t.Errorf("%d calls reached the engine: a call whose ctx ended must not", got)
		}
	})
}

// Every call has a point before and one after it, and a hook that dies at a
// point leaves what stands there.
func TestPoints(t *testing.T) {
	var points []string
	inner := engine(t)
	e := faults.New(inner, faults.Options{
		Decide: faults.Nth("Start", 1, faults.Fault{Before: containers.ErrUnavailable}),
		Hook:   func(p faults.Point) { points = append(points, p.String()) },
	})
	ctx := t.Context()
	_ = create(ctx, e)
	_ = e.Start(ctx, "a")
	_ = e.Start(ctx, "a")
	_, _ = e.Wait(ctx, "a")
	want := []string{
		"before Create a #1", "after Create a #1", "before Start a #1",
		"before Start a #2", "after Start a #2", "before Wait a #1", "after Wait a #1",
	}
	if !slices.Equal(points, want) {
		t.Errorf("got  %q\nwant %q", points, want)
	}
}

// plain hides an engine's abilities.
type plain struct{ containers.Engine }

type execOnly struct {
	containers.Engine
	containers.Execer
}

type copyOnly struct {
	containers.Engine
	containers.Copier
}

func TestAbilities(t *testing.T) {
	e := engine(t)
	for name, inner := range map[string]containers.Engine{
		"none": plain{e}, "exec": execOnly{e, e}, "copy": copyOnly{e, e}, "both": e,
	} {
		decorated := faults.New(inner, faults.Options{})
		_, runs := decorated.(containers.Execer)
		_, copies := decorated.(containers.Copier)
		if runs != (name == "exec" || name == "both") || copies != (name == "copy" || name == "both") {
			t.Errorf("%s: decorated, Execer %t and Copier %t", name, runs, copies)
		}
	}
}
