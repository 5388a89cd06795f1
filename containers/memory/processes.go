package memory

import (
	"cmp"
	"slices"
	"sync"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/files"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/networks"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/processes"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/sockets"
)

// process is a run of a program in a container: its main one, or of Exec or a
// healthcheck. Its fields are guarded by Engine.mu.
type process struct {
	*processes.Process
	engine    *Engine
	container *container
	held      int64          // bytes of memory
	ending    bool           // the main program has returned: no more children
	children  sync.WaitGroup // what Exec and the healthcheck run
}

// newProcess is called with the engine locked, or beside the main process of c.
func (e *Engine) newProcess(c *container, as containers.Hook) *process {
	hostname := c.spec.Hostname
	if hostname == "" {
		hostname = c.id[:12]
	}
	p := &process{engine: e, container: c}
	uid, gid := owner(cmp.Or(as.User, c.spec.User))
	p.Process = processes.New(processes.Config{
		Host: p, Program: c.image.program, Container: c.spec.Name, Hostname: hostname, Env: slices.Concat(c.spec.Env, as.Env),
		Dir: cmp.Or(as.WorkingDir, c.spec.WorkingDir), UID: uid, GID: gid, Namespace: c.member.Namespace,
	})
	return p
}

// Find implements processes.Host.
func (p *process) Find(name string) (*files.Tree, string, bool) {
	p.engine.mu.Lock() // a start replaces the trees of tmpfs mounts
	defer p.engine.mu.Unlock()
	return p.container.find(name)
}

// Listener implements processes.Host.
func (p *process) Listener(target string) (*sockets.Listener, error) {
	e, c := p.engine, p.container
	e.mu.Lock()
	defer e.mu.Unlock()
	attached := c
	if other := e.containers[c.sharing]; other != nil {
		attached = other
	}
	view := networks.View{OnHost: c.member.Namespace == e.networks.Host(), Own: c.member.Namespace}
	for _, attachment := range attached.attachments() {
		view.Networks = append(view.Networks, attachment.Network)
	}
	return e.networks.Listener(view, target)
}

// Hold implements processes.Host. All processes of a container count together.
func (p *process) Hold(bytes int64) (killed bool) {
	e, c := p.engine, p.container
	e.mu.Lock()
	defer e.mu.Unlock()
	p.held += bytes
	c.held += bytes
	limit := c.spec.Resources.Memory
	if limit > 0 && c.held > limit && c.main != nil && !c.main.Killed() {
		c.oom = true
		e.emit(c, containers.EventOOM)
		c.main.End(processes.ExitKilled)
	}
	return p.Context().Err() != nil || c.main != nil && c.main.Killed()
}

// argv is what the container's main process runs.
func (c *container) argv() []string {
	first, rest := c.spec.Entrypoint, c.spec.Command
	if rest == nil && len(first) == 0 {
		rest = c.image.command
	}
	if first == nil {
		first = []string{entrypoint}
	}
	argv := slices.Concat(first, rest)
	if len(argv) == 0 {
		argv = []string{entrypoint}
	}
	return argv
}
