package waiters

import (
	"context"
	"fmt"

	"gopkg.in/yaml.v3"
)

// Exit holds when the service's container has ended with Code. Another code
// is a *Dead, and so is a container that has vanished while it was waited for: how it
// ended is unknown, and unknown is never success.
type Exit struct {
	Service string
	Code    int
}

// Look asks the engine for the container's status.
func (e Exit) Look(ctx context.Context, w World) (Observation, error) {
	o, _, err := e.look(ctx, w)
	return o, err
}

func (e Exit) look(ctx context.Context, w World) (o Observation, there bool, err error) {
	s, there, err := w.status(ctx, e.Service)
	switch {
	case err != nil:
		return Observation{}, false, err
	case !there || !s.Ended():
		return Observation{Detail: where(s, there)}, there, nil
	case s.ExitCode == e.Code && !s.OOMKilled:
		return Observation{Holds: true, Detail: s.Verdict()}, true, nil
	}
	reason := ""
	if e.Code != 0 {
		reason = fmt.Sprintf("%s has ended: %s instead of exit %d", e.Service, s.Verdict(), e.Code)
	}
	return Observation{Detail: s.Verdict()}, true, w.dead(ctx, e.Service, s, reason)
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

func (e Exit) begin() Condition { return &watchedExit{Exit: e} }

// watchedExit remembers that the container was there.
type watchedExit struct {
	Exit
	seen bool
}

func (e *watchedExit) Look(ctx context.Context, w World) (Observation, error) {
	o, there, err := e.look(ctx, w)
	if err == nil && !there && e.seen {
		return o, &Dead{Name: e.Service, Reason: e.Service + " has vanished: how it ended is unknown"}
	}
	e.seen = e.seen || there
	return o, err
}

func (d *decoder) exit(node *yaml.Node, p *pacing) Condition {
	if name, short := d.short(node); short {
		return Exit{Service: d.service(node, name)}
	}
	if !d.mapping(node, "exit", "a service, or {service, code}") {
		return nil
	}
	f := d.long(node, p, "exit", "service", "code")
	e := Exit{Service: f.service(), Code: f.integer("code", 0, 0)}
	if e.Code > 255 {
		f.bad(f.values["code"], "expected 0 to 255", "code cannot be %d", e.Code)
	}
	if !f.ok {
		return nil
	}
	return e
}
