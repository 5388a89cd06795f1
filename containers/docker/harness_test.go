package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
)

// actorImage stays on the engine, where other processes may test with it at the
// same time. A change of what the suite expects of it asks for another tag: an
// older checkout that tests beside this one must not put its own in its place.
const actorImage = "stagehand-actor:contract-2"

// atExit is what was made for all tests together.
var atExit []func()

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range atExit {
		f()
	}
	os.Exit(code)
}

// needEngine lets a test run only where it may use an engine. One that does
// not answer fails the test later: a suite that skips itself proves nothing.
func needEngine(t *testing.T) {
	t.Helper()
	if os.Getenv("STAGEHAND_NO_ENGINE") == "1" {
		t.Skip("STAGEHAND_NO_ENGINE=1: not tested against an engine")
	}
}

// patience is how long a test waits for what must happen, however slow the machine.
const patience = 5 * time.Minute

// loadActor puts the actor's image on the engine, once in this process.
var loadActor = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	archive, err := actor.Tar(ctx, actorImage)
	if err != nil {
		return err
	}
	engine, err := Open(ctx, Options{})
	if err != nil {
		return err
	}
	response, err := engine.api.ImageLoad(ctx, bytes.NewReader(archive), client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close(), engine.Close())
})

func needActor(t *testing.T) {
	t.Helper()
	needEngine(t)
	if err := loadActor(); err != nil {
		t.Fatalf("the actor's image: %v (no engine here? STAGEHAND_NO_ENGINE=1 skips these tests)", err)
	}
}

// openEngine opens the engine at hand; it is closed with the test.
func openEngine(t *testing.T, options Options) *Engine {
	t.Helper()
	needActor(t)
	engine, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return engine
}

// cutter is an address in front of the engine's socket that can go away and come back.
type cutter struct {
	address string // unix:///PATH or tcp://HOST:PORT
	far     string // the path of the engine's own socket
	listen  func() (net.Listener, error)

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	serving  sync.WaitGroup
}

// socketOfEngine is the path of the socket of the engine at hand.
func socketOfEngine(t *testing.T) string {
	t.Helper()
	needActor(t)
	engine, err := Open(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := engine.endpoint.SocketPath()
	_ = engine.Close()
	if path == "" {
		t.Fatalf("the engine at %s is not behind a socket", engine.endpoint.Display())
	}
	return path
}

// newCutter is a cutter behind a socket.
func newCutter(t *testing.T) *cutter {
	t.Helper()
	far := socketOfEngine(t)
	// Not t.TempDir: a socket's path has at most 108 bytes.
	folder, err := os.MkdirTemp("", "cut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "s")
	c := &cutter{address: "unix://" + path, far: far, listen: func() (net.Listener, error) { return net.Listen("unix", path) }}
	c.begin(t)
	return c
}

// begin serves until the test ends.
func (c *cutter) begin(t *testing.T) {
	c.conns = map[net.Conn]bool{}
	c.restore()
	t.Cleanup(func() {
		c.sever()
		c.serving.Wait()
	})
}

func (c *cutter) restore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		return
	}
	listener, err := c.listen()
	if err != nil {
		panic(err)
	}
	c.listener = listener
	c.serving.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			c.serving.Go(func() { c.serve(near) })
		}
	})
}

func (c *cutter) sever() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener == nil {
		return
	}
	_ = c.listener.Close()
	c.listener = nil
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}

// drop breaks all connections; new ones are served.
func (c *cutter) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}

func (c *cutter) serve(near net.Conn) {
	defer near.Close()
	if !shakeHands(near) {
		return
	}
	far, err := net.Dial("unix", c.far)
	if err != nil {
		return
	}
	defer far.Close()
	c.mu.Lock()
	if c.listener == nil {
		c.mu.Unlock()
		return
	}
	c.conns[near], c.conns[far] = true, true
	c.mu.Unlock()
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		ways.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].(interface{ CloseWrite() error }).CloseWrite()
		})
	}
	ways.Wait()
	c.mu.Lock()
	delete(c.conns, near)
	delete(c.conns, far)
	c.mu.Unlock()
}

func words(text string) []string { return strings.Fields(text) }
