package waiters

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/containers"
)

// Log holds when Count lines of the service's log match Match. A container that
// has ended without them is dead.
type Log struct {
	Service string
	Match   *regexp.Regexp
	// Count of lines; 0 means 1.
	Count int
	// Since says which lines count: by default those of the container's present
	// start, since what an earlier one printed says nothing about this one.
	Since Since
}

// Since is where a log is read from; the zero value means the container's present start.
type Since struct {
	// All counts every line that the engine still has.
	All bool
	// Ago counts lines that are at most that old when they are looked for first.
	Ago time.Duration
}

// Look reads the log from its beginning. In one wait each line is read once.
func (l Log) Look(ctx context.Context, w World) (Observation, error) {
	return (&logReader{Log: l}).Look(ctx, w)
}

// String is "log SERVICE: /REGEXP/".
func (l Log) String() string {
	text := "log " + l.Service + ": /" + shorten(l.Match.String()) + "/"
	if l.Count > 1 {
		text += fmt.Sprintf(" x%d", l.Count)
	}
	return text
}

// References is the service.
func (l Log) References() []string { return []string{l.Service} }

func (l Log) begin() Condition { return &logReader{Log: l} }

// logReader reads on where it stopped, as long as it is the same start of
// the same container.
type logReader struct {
	Log
	id      string
	started time.Time
	found   int
	// last is the time of the newest line read, and same the number of lines read
	// that carry it: a log is read again from that time on, without those.
	last time.Time
	same int
}

func (r *logReader) Look(ctx context.Context, w World) (Observation, error) {
	s, there, err := w.status(ctx, r.Service)
	if err != nil {
		return Observation{}, err
	}
	if !there || s.State == containers.StateCreated {
		return Observation{Detail: where(s, there)}, nil
	}
	if s.ID != r.id || !r.Since.All && !s.Started.Equal(r.started) {
		r.id, r.started, r.found, r.same, r.last = s.ID, s.Started, 0, 0, r.from(s)
	}
	if err := r.read(ctx, w, s.Name); err != nil {
		if errors.Is(err, containers.ErrNotFound) {
			return Observation{Detail: where(s, false)}, nil
		}
		return Observation{}, fmt.Errorf("log of %s: %w", r.Service, err)
	}
	count := max(r.Count, 1)
	o := Observation{Holds: r.found >= count, Detail: "no line matches"}
	switch {
	case count > 1:
		o.Detail = fmt.Sprintf("%d of %d lines", min(r.found, count), count)
	case o.Holds:
		o.Detail = "a line matches"
	}
	return o, nil
}

// from is the time from which lines count. A start is noted by engines a moment
// after the process has begun to print (Docker 20.10 sets StartedAt when
// containerd has answered), so the border is half way back to the end before it.
func (r *logReader) from(s containers.Status) time.Time {
	switch {
	case r.Since.All:
		return time.Time{}
	case r.Since.Ago > 0:
		return time.Now().Add(-r.Since.Ago)
	case s.Ended() || s.Finished.IsZero() || s.Finished.After(s.Started):
		if s.Restarts == 0 {
			return time.Time{}
		}
		return s.Started.Add(-startSlack)
	}
	return s.Finished.Add(s.Started.Sub(s.Finished) / 2)
}

// startSlack is how much earlier than its noted start a process may have
// printed, where the end before it is not known any more. An engine's restart
// waits longer than this: Docker's first one 100 ms.
const startSlack = 50 * time.Millisecond

// read counts the lines that came since the last time.
func (r *logReader) read(ctx context.Context, w World, container string) error {
	logs, err := w.Engine.Logs(ctx, container, containers.LogOptions{Since: r.last, Timestamps: true})
	if err != nil {
		return err
	}
	defer logs.Close()
	from, skip := r.last, r.same
	return eachLine(logs, func(line string) bool {
		stamp, text, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			// A line without a time cannot be told from itself at the next look.
			return true
		}
		switch {
		case at.Before(from):
			return true
		case at.Equal(from) && skip > 0:
			skip--
			return true
		case at.After(r.last):
			r.last, r.same = at, 0
		}
		if at.Equal(r.last) {
			r.same++
		}
		if r.Match.MatchString(text) {
			r.found++
		}
		return true
	})
}

func (d *decoder) log(node *yaml.Node, p *pacing) Condition {
	if !d.mapping(node, "log", "{service, match}") {
		return nil
	}
	f := d.long(node, p, "log", "service", "match", "count", "since")
	l := Log{Service: f.service(), Match: f.pattern("match", true), Count: f.integer("count", 1, 1)}
	switch since := f.text("since", false); since {
	case "", "start":
	case "all":
		l.Since.All = true
	default:
		ago, err := time.ParseDuration(since)
		if err != nil || ago <= 0 {
			f.bad(f.values["since"], "expected start, all, or a duration such as 5m", "since cannot be %q", since)
		}
		l.Since.Ago = ago
	}
	if !f.ok {
		return nil
	}
	return l
}
