package runner_test

import (
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers/faults"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// TestAHelperThatHasEndedIsNotStopped: the run is interrupted before it has
// heard of the end. The work is done all the same, and is not done again.
func TestAHelperThatHasEndedIsNotStopped(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		v := s.volume("v")
		s.service("job", "sleep 1s then append /v/log x", mount(v, "/v"))
		s.stage(stages.Stage{Name: "job", Verb: stages.Run}, "job")
		interrupt := make(chan struct{})
		b.opts = runner.Options{Interrupt: interrupt, Engine: faults.New(b.engine, faults.Options{
			Decide: faults.Every("Wait", "", faults.Fault{Delay: 10 * time.Second}),
		})}
		time.AfterFunc(2*time.Second, func() { close(interrupt) })
		if r := b.up(s); r.Verdict != events.VerdictInterrupted {
			t.Errorf("verdict %s", r.Verdict)
		}
		if o := b.book.outcomes()["job"]; o != events.Done {
			t.Errorf("the job is %s", o)
		}
		if stops := b.book.of(events.StepStopping); len(stops) > 0 {
			t.Errorf("told to stop: %v", stops)
		}
	})
}

// TestAnAnswerToTheStopSignalIsNoSuccess: a helper that is told to stop and
// ends with 0 has not done its work, even if its run died right then.
func TestAnAnswerToTheStopSignalIsNoSuccess(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("job", "trap SIGTERM 1s exit 0", nil)
		s.stage(stages.Stage{Name: "job", Verb: stages.Run}, "job")
		interrupt := make(chan struct{})
		b.opts.Interrupt = interrupt
		time.AfterFunc(2*time.Second, func() { close(interrupt) })
		b.book.fail = func(e events.Event) error {
			if e.Kind == events.StepEnded {
				return errPlanned
			}
			return nil
		}
		if _, err := b.try(s); err == nil {
			t.Fatal("the ledger failed and nobody said so")
		}
		b.book.fail, b.opts.Interrupt = nil, nil
		changed := time.AfterFunc(5*time.Second, func() { _, _ = b.engine.Stop(t.Context(), "s-job-1", 0) })
		defer changed.Stop()
		if r := b.up(s); r.Verdict == events.VerdictDone || r.Plan.Step("job").Action != "recreate" {
			t.Errorf("%s: %s %s", r.Verdict, r.Plan.Step("job").Action, r.Plan.Step("job").Cause)
		}
	})
}
