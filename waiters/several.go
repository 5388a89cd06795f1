package waiters

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// All holds when every part holds in one look. It is dead when one part is.
type All []Condition

// Any holds when one part holds. It is dead when every part is.
type Any []Condition

// glance is what one look saw of one part.
type glance struct {
	Observation
	err error
}

// ended tells whether the part can never hold any more in this wait.
func (g glance) ended() bool {
	var dead *Dead
	var late *TimedOut
	return errors.As(g.err, &dead) || errors.As(g.err, &late)
}

// glances looks at all parts side by side. enough, if not nil, ends the other looks early.
func glances(ctx context.Context, w World, parts []Condition, enough func(glance) bool) []glance {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := make([]glance, len(parts))
	var group sync.WaitGroup
	for i, c := range parts {
		group.Go(func() {
			o, err := observe(inner, w, c)
			seen[i] = glance{o, err}
			if enough(seen[i]) {
				cancel()
			}
		})
	}
	group.Wait()
	return seen
}

// Look looks at every part.
func (a All) Look(ctx context.Context, w World) (Observation, error) {
	seen := glances(ctx, w, a, glance.ended)
	var broken error
	for _, g := range seen {
		if g.ended() {
			return g.Observation, g.err
		}
		if broken == nil {
			broken = g.err
		}
	}
	if broken != nil {
		return Observation{}, broken
	}
	var missing []string
	for i, g := range seen {
		if !g.Holds {
			missing = append(missing, seenAs(a[i], g.Detail))
		}
	}
	if len(missing) > 0 {
		return Observation{Detail: fmt.Sprintf("%d of %d hold, missing %s", len(a)-len(missing), len(a), strings.Join(missing, "; "))}, nil
	}
	return Observation{Holds: true, Detail: fmt.Sprintf("all %d hold", len(a))}, nil
}

// Look looks at every part until one holds.
func (a Any) Look(ctx context.Context, w World) (Observation, error) {
	seen := glances(ctx, w, a, func(g glance) bool { return g.err == nil && g.Holds })
	var broken, late error
	var missing []string
	ends := 0
	for i, g := range seen {
		switch {
		case g.err == nil && g.Holds:
			return Observation{Holds: true, Detail: seenAs(a[i], g.Detail)}, nil
		case g.ended():
			ends++
			missing = append(missing, seenAs(a[i], g.err.Error()))
			if t := (*TimedOut)(nil); errors.As(g.err, &t) {
				late = t
			}
		case g.err != nil:
			broken = g.err
		default:
			missing = append(missing, seenAs(a[i], g.Detail))
		}
	}
	text := "none holds: " + strings.Join(missing, "; ")
	switch {
	case broken != nil:
		return Observation{}, broken
	case ends < len(a):
		return Observation{Detail: text}, nil
	case late != nil:
		return Observation{Detail: text}, late
	}
	dead := &Dead{Reason: text}
	if first := (*Dead)(nil); errors.As(seen[0].err, &first) {
		dead.Name, dead.Status, dead.Logs = first.Name, first.Status, first.Logs
	}
	return Observation{Detail: text}, dead
}

func seenAs(c Condition, detail string) string {
	if detail == "" {
		return c.String()
	}
	return c.String() + " (" + detail + ")"
}

// String is "all(PART, PART)".
func (a All) String() string { return "all(" + joined(a) + ")" }

// String is "any(PART, PART)".
func (a Any) String() string { return "any(" + joined(a) + ")" }

func joined(parts []Condition) string {
	texts := make([]string, len(parts))
	for i, c := range parts {
		texts[i] = c.String()
	}
	return strings.Join(texts, ", ")
}

// References are those of all parts.
func (a All) References() []string { return references(a) }

// References are those of all parts.
func (a Any) References() []string { return references(a) }

func references(parts []Condition) []string {
	var names []string
	for _, c := range parts {
		names = append(names, References(c)...)
	}
	return names
}

func (a All) composite() {}
func (a Any) composite() {}

// Begin begins every part.
func (a All) Begin() Condition { return All(begun(a)) }

// Begin begins every part.
func (a Any) Begin() Condition { return Any(begun(a)) }

func begun(parts []Condition) []Condition {
	fresh := make([]Condition, len(parts))
	for i, c := range parts {
		fresh[i] = begin(c)
	}
	return fresh
}
