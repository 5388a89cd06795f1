package reaper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// Leftover is something of stagehand's on an engine that nobody needs any more,
// or in Findings.Spared, might be thought not to be needed.
type Leftover struct {
	Kind  Kind   `json:"kind"`
	Name  string `json:"name"`
	Stack string `json:"stack,omitempty"`
	Run   string `json:"run,omitempty"`
	// Cause says why it is one, or why it is spared.
	Cause string `json:"cause"`
	// Since is when it ended or, of what has not run, when it was made; zero where the engine does not say.
	Since time.Time `json:"since,omitzero"`

	id string // the engine's, of containers and images
}

// Kind is what a Leftover is.
type Kind string

// The kinds, in the order in which they are removed.
const (
	Container Kind = "container"
	Network   Kind = "network"
	Volume    Kind = "volume"
	Image     Kind = "image"
)

// Search says what to look for on an engine.
type Search struct {
	Engine containers.Engine
	// Alive tells whether a runner lives that works on the stack; "" is any stack.
	// Where it is not certain it must say yes, or return an error.
	Alive func(ctx context.Context, stack string) (bool, error)
	// Stack, if not empty, leaves out what is not this stack's.
	Stack string
	// Older, if not nil, spares what is younger, and takes also what is only
	// spared without it: helpers of lasting runs that still run.
	Older *time.Duration
}

// Findings are what a Search has found, each list in the order of removal.
type Findings struct {
	Leftovers []Leftover `json:"leftovers"`
	Spared    []Leftover `json:"spared,omitempty"`
}

const (
	// fresh is how young a probe may be that belongs to a look without a run (a
	// plan), and a lease that is just being taken.
	fresh = time.Minute
	// imageAge is how long an image of ours stays although nobody uses it:
	// the next run would have to make it anew.
	imageAge = 24 * time.Hour
)

// Find looks for leftovers of dead runs. It looks only at what carries our
// labels, leaves out services of lasting runs and all that belongs to a
// stack with a live runner, and changes nothing.
func Find(ctx context.Context, s Search) (Findings, error) {
	f := &finder{Search: s, now: time.Now(), alive: map[string]bool{}}
	for _, look := range []func(context.Context) error{f.containers, f.leases, f.networks, f.volumes, f.images} {
		if err := look(ctx); err != nil {
			return Findings{}, err
		}
	}
	return f.found, nil
}

type finder struct {
	Search
	now   time.Time
	alive map[string]bool // by stack
	found Findings
}

// lives is Alive, asked once.
func (f *finder) lives(ctx context.Context, stack string) (bool, error) {
	if known, ok := f.alive[stack]; ok {
		return known, nil
	}
	alive, err := f.Alive(ctx, stack)
	if err == nil {
		f.alive[stack] = alive
	}
	return alive, err
}

// add puts a leftover to the others, unless it is too young.
func (f *finder) add(l Leftover) {
	if f.Older != nil && !l.Since.IsZero() && f.now.Sub(l.Since) < *f.Older {
		l.Cause += ", but younger than " + f.Older.String()
		f.found.Spared = append(f.found.Spared, l)
		return
	}
	f.found.Leftovers = append(f.found.Leftovers, l)
}

// labels narrow a search down to the stack that is asked for.
func (f *finder) labels(key, value string) map[string]string {
	labels := map[string]string{key: value}
	if f.Stack != "" {
		labels[containers.LabelStack] = f.Stack
	}
	return labels
}

func (f *finder) containers(ctx context.Context) error {
	seen := map[string]bool{}
	for _, labels := range []map[string]string{
		f.labels(containers.LabelEphemeral, "true"), f.labels(containers.LabelRole, containers.RoleHelper), f.labels(containers.LabelRole, containers.RoleProbe),
		f.labels(containers.LabelRole, containers.RoleNamespace),
	} {
		list, err := f.Engine.List(ctx, labels)
		if err != nil {
			return err
		}
		for _, c := range list {
			if seen[c.ID] {
				continue
			}
			seen[c.ID] = true
			if err := f.container(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *finder) container(ctx context.Context, c containers.Status) error {
	l := Leftover{
		Kind: Container, Name: c.Name, Stack: c.Labels[containers.LabelStack], Run: c.Labels[containers.LabelRun], id: c.ID, Since: c.Created,
	}
	if c.Ended() {
		l.Since = c.Finished
	}
	alive, err := f.lives(ctx, l.Stack)
	if err != nil || alive {
		return err
	}
	switch {
	case c.Labels[containers.LabelEphemeral] == "true":
		l.Cause = "of an ephemeral run whose runner is dead"
		f.add(l)
	case c.Labels[containers.LabelRole] == containers.RoleProbe:
		if f.now.Sub(c.Created) >= fresh {
			l.Cause = "a probe that nobody dials through"
			f.add(l)
		}
	case c.Labels[containers.LabelRole] == containers.RoleNamespace:
		return f.namespace(ctx, l)
	default:
		f.helper(c, l)
	}
	return nil
}

// namespace lent its network to helpers, and is needed as long as one of them is there to be taken over.
func (f *finder) namespace(ctx context.Context, l Leftover) error {
	helpers, err := f.Engine.List(ctx, map[string]string{containers.LabelStack: l.Stack, containers.LabelRole: containers.RoleHelper})
	if err != nil {
		return err
	}
	l.Cause = "it lent helpers their network, and their runner is dead"
	if f.Older == nil && slices.ContainsFunc(helpers, containers.Status.Running) {
		l.Cause = "it lends its network to a helper that still runs: the next up takes it over"
		f.found.Spared = append(f.found.Spared, l)
		return nil
	}
	f.add(l)
	return nil
}

// helper is a helper of a lasting run that is over or dead.
func (f *finder) helper(c containers.Status, l Leftover) {
	keep := c.Labels[containers.LabelKeep]
	period, err := time.ParseDuration(keep)
	switch {
	case keep != "" && err == nil && c.Ended():
		if over := c.Finished.Add(period); f.now.After(over) {
			l.Cause = "a helper whose time to be kept (" + keep + ") is over"
			f.add(l)
		}
	case c.Ended() && (keep == "always" || keep == "next_up" || keep == "on_failure" && c.ExitCode != 0):
		// the user wants to look at it
	case c.Running() && f.Older == nil:
		l.Cause = "a helper that still runs although its runner is dead: the next up takes it over"
		f.found.Spared = append(f.found.Spared, l)
	default:
		l.Cause = "a helper whose runner is dead (" + verdict(c) + ")"
		f.add(l)
	}
}

func verdict(c containers.Status) string {
	if c.State == containers.StateCreated {
		return "never started"
	}
	return c.Verdict()
}

// leases are those whose holder is dead and whose container has stayed.
func (f *finder) leases(ctx context.Context) error {
	list, err := f.Engine.List(ctx, map[string]string{containers.LabelRole: containers.RoleLease})
	if err != nil {
		return err
	}
	for _, c := range list {
		l := Leftover{
			Kind: Container, Name: c.Name, Stack: c.Labels[containers.LabelLease], Run: c.Labels[containers.LabelRun],
			Cause: "a lease that nobody holds", Since: c.Created, id: c.ID,
		}
		if l.Stack == "" || f.Stack != "" && f.Stack != l.Stack || f.now.Sub(c.Created) < fresh {
			continue
		}
		alive, err := f.lives(ctx, l.Stack)
		if err != nil {
			return err
		}
		if !alive {
			f.add(l)
		}
	}
	return nil
}

// networks and volumes are leftovers only of ephemeral runs: those of lasting
// ones belong to the stack.
func (f *finder) networks(ctx context.Context) error {
	janitor, ok := f.Engine.(containers.Janitor)
	if !ok {
		return nil
	}
	list, err := janitor.Networks(ctx, f.labels(containers.LabelEphemeral, "true"))
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := f.object(ctx, Leftover{Kind: Network, Name: n.Name, Since: n.Created}, n.Labels); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) volumes(ctx context.Context) error {
	list, err := f.Engine.ListVolumes(ctx, f.labels(containers.LabelEphemeral, "true"))
	if err != nil {
		return err
	}
	for _, v := range list {
		if err := f.object(ctx, Leftover{Kind: Volume, Name: v.Name, Since: v.Created}, v.Labels); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) object(ctx context.Context, l Leftover, labels map[string]string) error {
	l.Stack, l.Run = labels[containers.LabelStack], labels[containers.LabelRun]
	alive, err := f.lives(ctx, l.Stack)
	if err != nil || alive {
		return err
	}
	l.Cause = "of an ephemeral run whose runner is dead"
	f.add(l)
	return nil
}

// images are the probes' images that no container uses. They belong to no
// stack, and stay while any runner that was met lives: it may be about to use one.
func (f *finder) images(ctx context.Context) error {
	janitor, ok := f.Engine.(containers.Janitor)
	if !ok || f.Stack != "" {
		return nil
	}
	list, err := janitor.Images(ctx, map[string]string{containers.LabelRole: containers.RoleProbe})
	if err != nil || len(list) == 0 {
		return err
	}
	alive, err := f.lives(ctx, "")
	if err != nil || alive {
		return err
	}
	var users []containers.Status
	for _, role := range []string{containers.RoleProbe, containers.RoleNamespace} {
		found, err := f.Engine.List(ctx, map[string]string{containers.LabelRole: role})
		if err != nil {
			return err
		}
		users = append(users, found...)
	}
	for _, i := range list {
		used := slices.ContainsFunc(users, func(c containers.Status) bool {
			return c.ImageID == i.ID && !slices.ContainsFunc(f.found.Leftovers, func(l Leftover) bool { return l.id == c.ID })
		})
		if used || f.Older == nil && f.now.Sub(i.Created) < imageAge {
			continue
		}
		name := i.ID
		if len(i.Names) > 0 {
			name = i.Names[0]
		}
		f.add(Leftover{Kind: Image, Name: name, Cause: "a probes' image that nobody uses", Since: i.Created, id: i.ID})
	}
	return nil
}

// Remove removes leftovers in their order and tells each, removed or why not,
// to told. What has changed since it was found is left alone: a runner may have taken it over.
func Remove(ctx context.Context, s Search, leftovers []Leftover, told func(Leftover, error)) error {
	sorted := slices.Clone(leftovers)
	slices.SortStableFunc(sorted, func(a, b Leftover) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	var errs []error
	for _, l := range sorted {
		err := remove(ctx, s, l)
		if err != nil {
			err = fmt.Errorf("%s %s: %w", l.Kind, l.Name, err)
			errs = append(errs, err)
		}
		told(l, err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

func rank(k Kind) int { return slices.Index([]Kind{Container, Network, Volume, Image}, k) }

// ErrTaken: a leftover turned out not to be one any more.
var ErrTaken = errors.New("a runner has taken it over since")

func remove(ctx context.Context, s Search, l Leftover) error {
	if alive, err := s.Alive(ctx, l.Stack); err != nil || alive {
		return cmp.Or(err, ErrTaken)
	}
	switch l.Kind {
	case Container:
		status, err := s.Engine.Status(ctx, l.Name)
		switch {
		case errors.Is(err, containers.ErrNotFound):
			return nil
		case err != nil:
			return err
		case status.ID != l.id:
			return ErrTaken
		}
		return s.Engine.Destroy(ctx, l.Name)
	case Network:
		return s.Engine.RemoveNetwork(ctx, l.Name)
	case Volume:
		return s.Engine.RemoveVolume(ctx, l.Name)
	}
	janitor, _ := s.Engine.(containers.Janitor) // what found it
	return janitor.RemoveImage(ctx, l.id)
}
