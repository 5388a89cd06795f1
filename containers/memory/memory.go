// Package memory is the reference engine: complete, in this process, and
// deterministic. Its containers run Go functions; their networks, volumes and
// files are held in memory. What other engines must do is what this one does,
// and tests of everything above an engine run on it, in real time or in a
// testing/synctest bubble: it knows time only through package time.
package memory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/files"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/networks"
	"github.com/stagehand-dev/stagehand/containers/program"
)

// Program is what an image runs. Of a container, Process.Name and Args are
// its entrypoint and command; an image's own entrypoint is one word, and its
// command is empty. The same function also gets what Exec and a healthcheck
// run, with their first word as Process.Name: the function is all programs of
// its image. A panic is exit code 2, as of any Go program.
type Program = program.Func

// Process is what a Program sees.
type Process = program.Process

// entrypoint is the image's own: Process.Name where the spec names none.
const entrypoint = "/program"

// Options configure an Engine. The zero value is an engine without images.
type Options struct {
	// Images by reference: on the engine from the start.
	Images map[string]Program
	// Commands are the images' own, by reference; one that is not here has none.
	Commands map[string][]string
	// Registry holds images that EnsureImage can pull, besides Images.
	Registry map[string]Program
	// HostFiles is the file system of the engine's host, for bind mounts.
	HostFiles []containers.File
	// ID is the engine's, "memory" where empty.
	ID string
}

// Engine implements containers.Engine, Execer and Copier. A nil one is of no use: see New.
type Engine struct {
	id        string
	hostFiles *files.Tree

	// mu guards all that follows, and every field of containers, processes,
	// networks and volumes that does not say otherwise.
	mu          sync.Mutex
	severed     bool
	cut         chan struct{} // closed while severed
	calls       map[string]int
	serial      int // of objects, for their ids and addresses
	images      map[string]image
	registry    map[string]image
	networks    *networks.Networks
	volumes     map[string]*volume
	containers  map[string]*container
	subscribers []*subscriber
	leases      map[string]*lease
	tokens      map[string]int64 // the last lease's, by its name
}

var (
	_ containers.Engine = (*Engine)(nil)
	_ containers.Execer = (*Engine)(nil)
	_ containers.Copier = (*Engine)(nil)
	_ containers.Walker = (*Engine)(nil)
)

type image struct {
	id      string
	program Program
	command []string
}

// New returns an engine. Its only resources are memory and the goroutines of
// the containers that run: see Halt.
func New(opts Options) *Engine {
	e := &Engine{
		id:         opts.ID,
		hostFiles:  files.New(),
		cut:        make(chan struct{}),
		calls:      map[string]int{},
		images:     map[string]image{},
		registry:   map[string]image{},
		networks:   networks.New(), // with what a container gets that asks for none, as on Docker
		volumes:    map[string]*volume{},
		containers: map[string]*container{},
		leases:     map[string]*lease{},
		tokens:     map[string]int64{},
	}
	if e.id == "" {
		e.id = "memory"
	}
	for _, file := range opts.HostFiles {
		e.hostFiles.Put(file)
	}
	for ref, p := range opts.Registry {
		e.registry[ref] = image{digest("image", ref), p, opts.Commands[ref]}
	}
	for ref, p := range opts.Images {
		e.registry[ref] = image{digest("image", ref), p, opts.Commands[ref]}
		e.images[ref] = e.registry[ref]
	}
	return e
}

// Push puts another program under ref into the registry, with an ID of its own.
// The engine runs it once EnsureImage has pulled it.
func (e *Engine) Push(ref string, p Program) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.registry[ref] = image{digest("image", ref, e.next()), p, e.registry[ref].command}
}

// Calls returns how often each method of the engine was called, whether or not
// it did something.
func (e *Engine) Calls() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.calls)
}

// Sever makes every call fail with ErrUnavailable, those under way too, until
// Restore. Containers go on. Leases are lost: they live by their connection.
func (e *Engine) Sever() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.severed {
		e.severed = true
		close(e.cut)
		for _, l := range e.leases {
			l.end(true)
		}
	}
}

// Restore ends what Sever began.
func (e *Engine) Restore() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.severed {
		e.severed = false
		e.cut = make(chan struct{})
	}
}

// Halt kills all containers, as a power cut does, and returns when no program
// runs any more. What they left stays to be looked at. For the end of tests.
func (e *Engine) Halt() {
	e.mu.Lock()
	var all []*container
	for _, c := range e.containers {
		c.stopping = true
		e.killAll(c)
		all = append(all, c)
	}
	e.mu.Unlock()
	for _, c := range all {
		_ = e.await(context.Background(), nil, c, func() bool { return !c.alive() })
	}
}

// Close does nothing: there is no connection, and containers go on.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls["Close"]++
	return nil
}

// Info never has an API version: there is no client.
func (e *Engine) Info(ctx context.Context) (containers.Info, error) {
	if err := e.enter(ctx, "Info"); err != nil {
		return containers.Info{}, err
	}
	defer e.mu.Unlock()
	return containers.Info{Kind: "memory", Version: "1", ID: e.id, Endpoint: "memory://" + e.id, OS: "memory", Arch: "memory"}, nil
}

// EnsureImage finds ref among the engine's images or in its registry. All
// platforms are one.
func (e *Engine) EnsureImage(ctx context.Context, ref, _ string, policy containers.Pull, progress func(string)) (containers.Image, error) {
	if err := e.enter(ctx, "EnsureImage"); err != nil {
		return containers.Image{}, err
	}
	here, present := e.images[ref]
	there, offered := e.registry[ref]
	pull := policy == containers.PullAlways || !present && policy != containers.PullNever
	if pull && offered {
		here, present = there, true
		e.images[ref] = there
	}
	e.mu.Unlock()
	if !present {
		return containers.Image{}, fmt.Errorf("%w: %s", containers.ErrImage, ref)
	}
	if pull && progress != nil {
		progress("pulled " + ref)
	}
	return containers.Image{Ref: ref, ID: here.id}, nil
}

// enter counts the call and begins it: on success the engine is locked.
func (e *Engine) enter(ctx context.Context, method string) error {
	e.mu.Lock()
	e.calls[method]++
	err := ctx.Err()
	if err == nil && e.severed {
		err = fmt.Errorf("%s: %w", method, containers.ErrUnavailable)
	}
	if err != nil {
		e.mu.Unlock()
	}
	return err
}

// await blocks until done, which is called with the engine locked, says so.
// cut is the channel that was valid when the call began; nil for none.
func (e *Engine) await(ctx context.Context, cut <-chan struct{}, c *container, done func() bool) error {
	for {
		e.mu.Lock()
		changed := c.changed
		ready := done()
		e.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-cut:
			return fmt.Errorf("the answer was lost: %w", containers.ErrUnavailable)
		}
	}
}

// next returns a number that no object has yet.
func (e *Engine) next() string {
	e.serial++
	return fmt.Sprint(e.serial)
}

// digest makes an identifier that looks like an engine's and is the same in every run.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// carries tells whether labels holds all of wanted.
func carries(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// pause sleeps, unless one of the channels is closed first; then it returns false.
func pause(ctx context.Context, d time.Duration, interrupt <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-interrupt:
	case <-ctx.Done():
	}
	return false
}
