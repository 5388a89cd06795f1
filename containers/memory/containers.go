package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/files"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/logs"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/networks"
)

// container is guarded by Engine.mu, but for log and files, which have locks.
type container struct {
	spec    containers.Spec
	id      string
	image   image
	half    bool // a Create failed before the files were there
	log     *logs.Book
	files   *files.Tree
	mounts  []files.Mount
	sharing string // the container whose namespace this one uses, if any

	member   *networks.Member
	bindings []containers.Binding

	state                      containers.State
	exitCode, restarts, ends   int
	oom                        bool
	failure                    string
	health                     containers.Health
	healthLog                  string
	created, started, finished time.Time

	main      *process      // nil while none runs
	held      int64         // bytes of memory, by all its processes
	stopping  bool          // somebody wants its end: no restart
	interrupt chan struct{} // closed to end the pause before a restart
	removed   bool
	last      containers.Status // at its last end
	changed   chan struct{}     // closed and replaced at each change
}

// alive tells whether a program runs or will by itself.
func (c *container) alive() bool {
	return c.state == containers.StateRunning || c.state == containers.StateRestarting
}

// touch wakes all who wait for a change of c.
func (c *container) touch() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *container) status() containers.Status {
	status := containers.Status{
		ID: c.id, Name: c.spec.Name, Image: c.spec.Image, ImageID: c.image.id, State: c.state,
		ExitCode: c.exitCode, OOMKilled: c.oom, Error: c.failure, Health: c.health, HealthLog: c.healthLog,
		Restarts: c.restarts, Created: c.created, Started: c.started, Finished: c.finished,
		Labels: maps.Clone(c.spec.Labels), Ports: slices.Clone(c.bindings), Networks: map[string]string{},
	}
	for _, m := range c.mounts {
		if m.Volume != "" {
			status.Volumes = append(status.Volumes, m.Volume)
		}
	}
	slices.Sort(status.Volumes)
	for _, p := range c.spec.Ports {
		status.Exposed = append(status.Exposed, fmt.Sprintf("%d/%s", p.Container, cmp.Or(p.Protocol, "tcp")))
	}
	for _, port := range c.spec.Expose {
		if !strings.Contains(port, "/") {
			port += "/tcp"
		}
		status.Exposed = append(status.Exposed, port)
	}
	status.Exposed = containers.SortPorts(status.Exposed)
	for _, attachment := range c.attachments() {
		status.Networks[attachment.Network] = c.member.Addresses[attachment.Network]
	}
	return status
}

func (e *Engine) lookup(name string) (*container, error) {
	c := e.containers[name]
	if c == nil {
		return nil, fmt.Errorf("container %s: %w", name, containers.ErrNotFound)
	}
	return c, nil
}

// Create makes the container at once, files and all.
func (e *Engine) Create(ctx context.Context, spec containers.Spec) (containers.Status, error) {
	return e.create(ctx, "Create", spec, false)
}

// CreateHalf leaves the container half-made, as a Create does that lost its
// engine before the files were copied in, and answers ErrUnavailable. See
// package faults.
func (e *Engine) CreateHalf(ctx context.Context, spec containers.Spec) (containers.Status, error) {
	status, err := e.create(ctx, "Create", spec, true)
	if err == nil {
		status, err = containers.Status{}, fmt.Errorf("create %s: the answer was lost: %w", spec.Name, containers.ErrUnavailable)
	}
	return status, err
}

func (e *Engine) create(ctx context.Context, method string, spec containers.Spec, half bool) (containers.Status, error) {
	if err := e.enter(ctx, method); err != nil {
		return containers.Status{}, err
	}
	defer e.mu.Unlock()
	if c := e.containers[spec.Name]; c != nil {
		if c.spec.Labels[containers.LabelSpec] != spec.Labels[containers.LabelSpec] {
			return c.status(), fmt.Errorf("container %s: the name is taken by another spec: %w", spec.Name, containers.ErrConflict)
		}
		if c.half && !half {
			c.put(c.spec.Files)
			c.half = false
		}
		return c.status(), nil
	}
	c, err := e.build(spec)
	if err != nil {
		return containers.Status{}, err
	}
	c.half = half
	if !half {
		c.put(spec.Files)
	}
	e.containers[spec.Name] = c
	e.emit(c, containers.EventCreated)
	return c.status(), nil
}

// build makes the container, without its files, or nothing.
func (e *Engine) build(spec containers.Spec) (*container, error) {
	if spec.Name == "" || spec.Image == "" {
		return nil, fmt.Errorf("%w: a container needs a name and an image", containers.ErrInvalid)
	}
	img, ok := e.images[spec.Image]
	if !ok {
		return nil, fmt.Errorf("container %s: %w: %s", spec.Name, containers.ErrImage, spec.Image)
	}
	c := &container{
		spec: spec, id: digest("container", e.next(), spec.Name), image: img, log: logs.New(), files: files.New(),
		state: containers.StateCreated, created: time.Now(), changed: make(chan struct{}),
	}
	c.member = &networks.Member{Name: spec.Name, ID: c.id}
	c.spec.Labels = maps.Clone(spec.Labels)
	c.files.Folder("/tmp") // what programs expect of any image
	if other, ok := strings.CutPrefix(spec.NetworkMode, "container:"); ok {
		c.sharing = other
	}
	for _, attachment := range c.attachments() {
		if !e.networks.Has(attachment.Network) {
			return nil, fmt.Errorf("container %s: network %s: %w", spec.Name, attachment.Network, containers.ErrNotFound)
		}
	}
	for _, m := range spec.Mounts {
		if m.Kind == containers.MountBind && !m.CreateHostPath && !e.hostFiles.Has(m.Source) {
			return nil, fmt.Errorf("container %s: %w: bind source %s does not exist", spec.Name, containers.ErrInvalid, m.Source)
		}
	}
	for i, m := range spec.Mounts {
		c.mounts = append(c.mounts, e.mount(c, i, m))
		c.files.Folder(m.Target)
	}
	for target, options := range spec.Tmpfs {
		readOnly := slices.Contains(strings.Split(options, ","), "ro")
		c.mounts = append(c.mounts, e.mount(c, 0, containers.Mount{Kind: containers.MountTmpfs, Target: target, ReadOnly: readOnly}))
		c.files.Folder(target)
	}
	return c, nil
}

// mount finds or makes what m mounts.
func (e *Engine) mount(c *container, index int, m containers.Mount) files.Mount {
	target := "/" + strings.Trim(m.Target, "/")
	switch m.Kind {
	case containers.MountBind:
		e.hostFiles.Folder(m.Source)
		return files.Mount{Target: target, Tree: e.hostFiles, Inside: m.Source, ReadOnly: m.ReadOnly}
	case containers.MountTmpfs:
		return files.Mount{Target: target, Tree: files.New(), Inside: "/", ReadOnly: m.ReadOnly, Tmpfs: true}
	}
	name, v := m.Source, e.volumes[m.Source]
	switch {
	case name == "":
		name = digest("volume", c.id, strconv.Itoa(index))
		v = e.newVolume(name, nil, true)
	case v == nil: // Docker makes it too
		v = e.newVolume(name, nil, false)
	}
	return files.Mount{Target: target, Tree: v.files, Inside: "/" + m.Subpath, ReadOnly: m.ReadOnly, Volume: name}
}

// Status looks once.
func (e *Engine) Status(ctx context.Context, name string) (containers.Status, error) {
	if err := e.enter(ctx, "Status"); err != nil {
		return containers.Status{}, err
	}
	defer e.mu.Unlock()
	c, err := e.lookup(name)
	if err != nil {
		return containers.Status{}, err
	}
	return c.status(), nil
}

// List returns them by name.
func (e *Engine) List(ctx context.Context, labels map[string]string) ([]containers.Status, error) {
	if err := e.enter(ctx, "List"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	var found []containers.Status
	for _, name := range sortedKeys(e.containers) {
		if c := e.containers[name]; carries(c.spec.Labels, labels) {
			found = append(found, c.status())
		}
	}
	return found, nil
}

// Wait sees every end that comes after it was called, however short.
func (e *Engine) Wait(ctx context.Context, name string) (containers.Status, error) {
	if err := e.enter(ctx, "Wait"); err != nil {
		return containers.Status{}, err
	}
	c, err := e.lookup(name)
	if err != nil {
		e.mu.Unlock()
		return containers.Status{}, err
	}
	if c.state == containers.StateExited {
		defer e.mu.Unlock()
		return c.status(), nil
	}
	cut, before := e.cut, c.ends
	e.mu.Unlock()
	var status containers.Status
	err = e.await(ctx, cut, c, func() bool {
		switch {
		case c.ends > before:
			status = c.last
		case !c.removed:
			return false
		}
		return true
	})
	if err == nil && status.ID == "" {
		err = fmt.Errorf("container %s vanished: %w", name, containers.ErrNotFound)
	}
	return status, err
}

// Stop ends the wait for grace early when the container ends.
func (e *Engine) Stop(ctx context.Context, name string, grace time.Duration) (containers.Status, error) {
	if err := e.enter(ctx, "Stop"); err != nil {
		return containers.Status{}, err
	}
	c, err := e.lookup(name)
	if err != nil {
		e.mu.Unlock()
		return containers.Status{}, err
	}
	cut := e.cut
	c.stopping = true
	if grace <= 0 {
		e.killAll(c)
	} else {
		e.signal(c)
	}
	e.mu.Unlock()

	ended := func() bool { return !c.alive() }
	patient, cancel := context.WithTimeout(ctx, max(grace, 1))
	defer cancel()
	err = e.await(patient, cut, c, ended)
	if err != nil && patient.Err() != nil && ctx.Err() == nil {
		e.mu.Lock()
		e.killAll(c)
		e.mu.Unlock()
		err = e.await(ctx, cut, c, ended)
	}
	if err != nil {
		return containers.Status{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return c.status(), nil
}

// Destroy waits for the program to return; a Program that ignores the end of its ctx keeps the name.
func (e *Engine) Destroy(ctx context.Context, name string) error {
	if err := e.enter(ctx, "Destroy"); err != nil {
		return err
	}
	e.endLease(name)
	c, cut := e.containers[name], e.cut
	if c == nil {
		e.mu.Unlock()
		return nil
	}
	c.stopping = true
	e.killAll(c)
	e.mu.Unlock()
	if err := e.await(ctx, cut, c, func() bool { return !c.alive() }); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.removed || c.alive() { // somebody was faster, or started it again
		return nil
	}
	delete(e.containers, name)
	for _, m := range c.mounts {
		if v := e.volumes[m.Volume]; v != nil && v.anonymous {
			delete(e.volumes, m.Volume)
		}
	}
	c.removed = true
	e.emit(c, containers.EventDestroyed)
	c.touch()
	return nil
}
