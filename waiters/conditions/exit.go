package conditions

import (
	"context"
	"fmt"

	"github.com/stagehand-dev/stagehand/waiters"
)

// Exit holds when the service's container has ended with Code. Another code
// is a *Dead, and so is a container that has vanished while it was waited for: how it
// ended is unknown, and unknown is never success.
type Exit struct {
	Service string
	Code    int
}

// Look asks the engine for the container's status.
func (e Exit) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	o, _, err := e.look(ctx, w)
	return o, err
}

func (e Exit) look(ctx context.Context, w waiters.World) (o waiters.Observation, there bool, err error) {
	s, there, err := w.Status(ctx, e.Service)
	switch {
	case err != nil:
		return waiters.Observation{}, false, err
	case !there || !s.Ended():
		return waiters.Observation{Detail: where(s, there)}, there, nil
	case s.ExitCode == e.Code && !s.OOMKilled:
		return waiters.Observation{Holds: true, Detail: s.Verdict()}, true, nil
	}
	reason := ""
	if e.Code != 0 {
		reason = fmt.Sprintf("%s has ended: %s instead of exit %d", e.Service, s.Verdict(), e.Code)
	}
	return waiters.Observation{Detail: s.Verdict()}, true, w.Dead(ctx, e.Service, s, reason)
}

// String is "exit SERVICE", with the code where it is not 0.
func (e Exit) String() string {
	if e.Code != 0 {
		return fmt.Sprintf("exit %s with %d", e.Service, e.Code)
	}
	return "exit " + e.Service
}

// References is the service.
func (e Exit) References() []string { return []string{e.Service} }

// Begin forgets whether the container was there.
func (e Exit) Begin() waiters.Condition { return &watchedExit{Exit: e} }

// watchedExit remembers that the container was there.
type watchedExit struct {
	Exit
	seen bool
}

func (e *watchedExit) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	o, there, err := e.look(ctx, w)
	if err == nil && !there && e.seen {
		return o, &waiters.Dead{Name: e.Service, Reason: e.Service + " has vanished: how it ended is unknown"}
	}
	e.seen = e.seen || there
	return o, err
}
