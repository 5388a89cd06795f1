package conditions

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
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
func (l Log) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	return (&logReader{Log: l}).Look(ctx, w)
}

// String is "log SERVICE: /REGEXP/".
func (l Log) String() string {
	text := "log " + l.Service + ": /" + texts.Shorten(l.Match.String()) + "/"
	if l.Count > 1 {
		text += fmt.Sprintf(" x%d", l.Count)
	}
	return text
}

// References is the service.
func (l Log) References() []string { return []string{l.Service} }

// Begin forgets what was read.
func (l Log) Begin() waiters.Condition { return &logReader{Log: l} }

// logReader reads on where it stopped, as long as it is the same start of
// the same container. The last second is read again at every look: an engine
// notes the lines of the two streams side by side, and one may come later than
// its time says.
type logReader struct {
	Log
	id      string
	started time.Time
	// settled is the number of matching lines before from; those since are counted anew.
	settled int
	from    time.Time
}

const overlap = time.Second

func (r *logReader) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	s, there, err := w.Status(ctx, r.Service)
	if err != nil {
		return waiters.Observation{}, err
	}
	if !there || s.State == containers.StateCreated {
		return waiters.Observation{Detail: where(s, there)}, nil
	}
	if s.ID != r.id || !r.Since.All && !s.Started.Equal(r.started) {
		r.id, r.started, r.settled, r.from = s.ID, s.Started, 0, r.begins(s)
	}
	found, err := r.read(ctx, w, s.Name)
	if err != nil {
		if errors.Is(err, containers.ErrNotFound) {
			return waiters.Observation{Detail: where(s, false)}, nil
		}
		return waiters.Observation{}, fmt.Errorf("log of %s: %w", r.Service, err)
	}
	count := max(r.Count, 1)
	o := waiters.Observation{Holds: found >= count, Detail: "no line matches"}
	switch {
	case count > 1:
		o.Detail = fmt.Sprintf("%d of %d lines", min(found, count), count)
	case o.Holds:
		o.Detail = "a line matches"
	}
	return o, nil
}

const (
	// startLag is how much earlier than its noted start a process may have
	// printed: Docker 20.10 notes the start when containerd has answered.
	startLag = time.Second
	// restartLag is the same where an earlier run ended just before at an unknown
	// time. Docker waits at least 100 ms before it restarts a container.
	restartLag = 50 * time.Millisecond
)

// begins is the time from which lines count. Of a container's present start that is half
// way between the end before and the start: see startLag.
func (r *logReader) begins(s containers.Status) time.Time {
	switch {
	case r.Since.All:
		return time.Time{}
	case r.Since.Ago > 0:
		return time.Now().Add(-r.Since.Ago)
	case !s.Finished.IsZero() && s.Finished.Before(s.Started):
		return s.Finished.Add(s.Started.Sub(s.Finished) / 2)
	case s.Restarts > 0:
		return s.Started.Add(-restartLag)
	}
	return s.Started.Add(-startLag)
}

// read returns how many lines match in all.
func (r *logReader) read(ctx context.Context, w waiters.World, container string) (int, error) {
	logs, err := w.Engine.Logs(ctx, container, containers.LogOptions{Since: r.from, Timestamps: true})
	if err != nil {
		return 0, err
	}
	defer logs.Close()
	newest, matches := r.from, []time.Time(nil)
	err = texts.EachLine(logs, func(line string) bool {
		stamp, text, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil || at.Before(r.from) {
			// What has no time cannot be told from itself at the next look.
			return true
		}
		if at.After(newest) {
			newest = at
		}
		if r.Match.MatchString(text) {
			matches = append(matches, at)
		}
		return r.settled+len(matches) < max(r.Count, 1)
	})
	if err != nil {
		return 0, err
	}
	found := r.settled + len(matches)
	if next := newest.Add(-overlap); next.After(r.from) {
		for _, at := range matches {
			if at.Before(next) {
				r.settled++
			}
		}
		r.from = next
	}
	return found, nil
}
