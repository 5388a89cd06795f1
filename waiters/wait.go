package waiters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/sleep"
)

const (
	// firstPause is the time between the first two looks. Each later pause is half
	// as long again, up to what the wait can bear: a lagShare of the time that it
	// has taken already, or so many times what a look costs, whichever is
	// more. So what is nearly there is noticed at once, what takes minutes costs
	// four looks a second, and an engine that is busy is not asked the more. A look that is
	// over before a process could have been started in a container costs but a
	// few messages, and may be taken more often.
	firstPause   = 10 * time.Millisecond
	longestPause = 250 * time.Millisecond
	lagShare     = 200
	cheapLook    = 20 * time.Millisecond
	cheapShare   = 3
	lookShare    = 8
	// lookLimit bounds one look of a condition that names no limit of its own.
	lookLimit = 10 * time.Second
	// patience is how long an engine that does not answer is asked again.
	patience = 30 * time.Second
)

// TimedOut says that a condition did not hold within its timeout.
type TimedOut struct {
	// Condition is its short form.
	Condition string
	// After is the timeout.
	After time.Duration
	// Last is what the last look saw.
	Last Observation
}

// Error names the condition, the time and what was seen last.
func (t *TimedOut) Error() string {
	text := fmt.Sprintf("%s: timed out after %s", t.Condition, t.After)
	if t.Last.Detail != "" {
		text += ": " + t.Last.Detail
	}
	return text
}

// Wait looks at c until it holds. It looks at once, then every 10 ms, backing off to
// 250 ms where that adds little to the wait or where looks are expensive, or at
// the Pace of a Timed. report, if not nil, is told every
// observation that differs from the one before, in order.
//
// Wait returns nil when c holds (and has held for Pace.StableFor), a *Dead when it never
// can any more, a *TimedOut after Pace.Timeout, ctx's error when ctx ends
// first, and any other error when the engine is broken: containers.ErrUnavailable
// is asked again for 30 s before it is returned.
func Wait(ctx context.Context, w World, c Condition, report func(Observation)) error {
	timed := asTimed(c)
	l := loop{name: c.String(), began: time.Now(), report: report, part: part{Condition: begin(timed.Condition), pace: timed.Pace}}
	inner, cancel := context.WithCancel(ctx)
	if timed.Pace.Timeout > 0 {
		inner, cancel = context.WithTimeout(ctx, timed.Pace.Timeout)
	}
	defer cancel()
	for ctx.Err() == nil {
		done, err := l.look(inner, w)
		switch {
		case done:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case inner.Err() != nil:
			return l.timedOut()
		case err != nil:
			return err
		}
		l.sleep(inner)
		if ctx.Err() == nil && inner.Err() != nil {
			return l.timedOut()
		}
	}
	return ctx.Err()
}

// asTimed gives every condition a pace. Of a Timed inside a Timed the outer
// one's times count where it names any.
func asTimed(c Condition) Timed {
	var pace Pace
	for {
		t, ok := c.(Timed)
		if !ok {
			return Timed{Condition: c, Pace: pace}
		}
		c = t.Condition
		if pace == (Pace{}) {
			pace = t.Pace
		}
	}
}

// loop is one wait.
type loop struct {
	name   string
	report func(Observation)
	part   part
	began  time.Time
	pause  time.Duration
	cost   time.Duration // of the last look
	// told is whether last was ever reported.
	told bool
	last Observation
	// silent is when the engine stopped answering; zero while it answers.
	silent    time.Time
	silentErr error
}

// look looks once. err ends the wait.
func (l *loop) look(ctx context.Context, w World) (done bool, err error) {
	looked := time.Now()
	o, err := l.part.look(ctx, w)
	l.cost = time.Since(looked)
	switch {
	case err == nil:
		l.silent, l.silentErr = time.Time{}, nil
		l.tell(o)
		return o.Holds, nil
	case ctx.Err() != nil:
		return false, nil //nolint:nilerr // cut off by the timeout: it says nothing about the engine
	case errors.Is(err, containers.ErrUnavailable):
		if l.silent.IsZero() {
			l.silent = time.Now()
		}
		l.silentErr = err
		l.tell(Observation{Detail: err.Error()})
		if time.Since(l.silent) >= patience {
			return false, err
		}
		return false, nil
	}
	return false, err
}

// tell reports o if it differs from what was told before.
func (l *loop) tell(o Observation) {
	if l.told && o == l.last {
		return
	}
	l.told, l.last = true, o
	if l.report != nil {
		l.report(o)
	}
}

// timedOut is the wait's error after its time. While the engine does not
// answer nobody knows whether the condition holds: then that is the error.
func (l *loop) timedOut() error {
	if l.silentErr != nil {
		return l.silentErr
	}
	return &TimedOut{Condition: l.name, After: l.part.pace.Timeout, Last: l.last}
}

// sleep waits until the next look is due or ctx ends.
func (l *loop) sleep(ctx context.Context) {
	switch {
	case l.part.pace.Every > 0:
		l.pause = l.part.pace.Every
	case l.pause == 0:
		l.pause = firstPause
	default:
		share := time.Duration(lookShare)
		if l.cost < cheapLook {
			share = cheapShare
		}
		bearable := max(time.Since(l.began)/lagShare, l.cost*share, firstPause)
		l.pause = min(l.pause*3/2, bearable, longestPause)
	}
	pause := l.pause
	if left := l.part.unstable(); left > 0 {
		pause = min(pause, left)
	}
	_ = sleep.For(ctx, pause) // the loop looks at ctx
}

// part is a condition with what one wait remembers of its times.
type part struct {
	Condition
	pace Pace
	// since is the first of an unbroken row of looks that held.
	since time.Time
}

// look looks once and holds when the condition has held for StableFor.
func (p *part) look(ctx context.Context, w World) (Observation, error) {
	o, err := observe(ctx, w, p.Condition)
	if err != nil && ctx.Err() != nil {
		return o, err // cut off: nothing was seen that could break the row
	}
	if err != nil || !o.Holds {
		p.since = time.Time{}
		return o, err
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	if p.unstable() > 0 {
		return Observation{Detail: fmt.Sprintf("holds, must stay so for %s", p.pace.StableFor)}, nil
	}
	return o, nil
}

// unstable is for how long the condition must go on holding; 0 when it has
// held long enough or does not hold.
func (p *part) unstable() time.Duration {
	if p.since.IsZero() {
		return 0
	}
	return max(0, p.pace.StableFor-time.Since(p.since))
}

// nested is a Timed inside all or any for the time of one wait. Its Every is
// the least time between two looks: the wait's own pace is the other bound.
type nested struct {
	part
	started time.Time
	looked  time.Time
	last    Observation
}

// Look looks if it is time to and gives *TimedOut when the part's time is over.
func (n *nested) Look(ctx context.Context, w World) (Observation, error) {
	if n.looked.IsZero() || time.Since(n.looked) >= n.pace.Every {
		n.looked = time.Now()
		o, err := n.look(ctx, w)
		if err != nil {
			return o, err
		}
		n.last = o
	}
	if limit := n.pace.Timeout; !n.last.Holds && limit > 0 && time.Since(n.started) >= limit {
		return n.last, &TimedOut{Condition: n.String(), After: limit, Last: n.last}
	}
	return n.last, nil
}

func (n *nested) References() []string { return References(n.Condition) }
func (n *nested) composite()           {}

// begin makes c ready for one wait.
func begin(c Condition) Condition {
	switch c := c.(type) {
	case Timed:
		t := asTimed(c)
		return &nested{part: part{Condition: begin(t.Condition), pace: t.Pace}, started: time.Now()}
	case Beginner:
		return c.Begin()
	}
	return c
}

// composer marks conditions made of others, whose parts are observed one by one.
type composer interface{ composite() }

// observe looks once, within the condition's limit, and when the look does not
// hold asks whether what it looks at has died: then the error is a *Dead.
func observe(ctx context.Context, w World, c Condition) (Observation, error) {
	if t, ok := c.(Timed); ok {
		c = asTimed(t).Condition
	}
	if _, ok := c.(composer); ok {
		return c.Look(ctx, w)
	}
	o, err := bounded(ctx, w, c)
	if err != nil || o.Holds {
		return o, err
	}
	dead, err := w.FirstDead(ctx, References(c))
	if err != nil || dead == nil {
		return o, err
	}
	// It may have become true between the look and the death: the last log
	// line, the file written on the way out.
	if o, err = bounded(ctx, w, c); err != nil || o.Holds {
		return o, err
	}
	return o, dead
}

// bounded looks once. A look that takes longer than its limit is an answer.
func bounded(ctx context.Context, w World, c Condition) (Observation, error) {
	limit := lookLimit
	if l, ok := c.(Limiter); ok {
		limit = l.Limit()
	}
	if limit <= 0 {
		return c.Look(ctx, w)
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o, err := c.Look(inner, w)
	if err != nil && ctx.Err() == nil && inner.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return Observation{Detail: fmt.Sprintf("no answer within %s", limit)}, nil
	}
	return o, err
}
