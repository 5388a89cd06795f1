package lease

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/stagehand-dev/stagehand/containers"
)

// Options say where and how a lease is held. All must be set.
type Options struct {
	API *client.Client
	// Image is on the engine, and Program the path in it of a program whose
	// command Command is Main.
	Image, Program string
	TTL            time.Duration
}

// Lease implements containers.Lease.
type Lease struct {
	api   *client.Client
	id    string
	token int64
	ttl   time.Duration

	conn types.HijackedResponse
	// first is closed at the first echo, farewell at that of the last line.
	first, farewell chan struct{}
	lost, over      chan struct{}
	end             sync.Once
	group           sync.WaitGroup // its two goroutines

	writing sync.Mutex // whole lines, one after another

	mu sync.Mutex
	// sent holds when each beat that was not answered was sent; alive is
	// when the last one that was answered was sent: then the container's time began anew, or later.
	sent   map[int]time.Time
	beats  int
	alive  time.Time
	silent *time.Timer
}

// The kinds of lines, by their first byte. A beat's number follows, or the note.
const (
	lineBeat     = 'b'
	lineNote     = 'n'
	lineFarewell = 'e'
)

// Take takes the lease or returns a *containers.HeldError.
func Take(ctx context.Context, o Options, name string, holder containers.Holder) (*Lease, error) {
	object := containers.LeaseObject(name)
	unseen := 0
	for wait := pause(0); ; {
		config, host := o.config(name, holder)
		made, err := o.API.ContainerCreate(ctx, config, host, nil, nil, object)
		if err == nil {
			return begin(ctx, o, name, made.ID)
		}
		if !taken(err) {
			return nil, err
		}
		found, present, lookErr := look(ctx, o.API, name, object)
		switch {
		case cerrdefs.IsNotFound(lookErr) && unseen < 100:
			// It has just gone, or is only just being made.
			unseen++
			if err := wait.next(ctx); err != nil {
				return nil, err
			}
			continue
		case cerrdefs.IsNotFound(lookErr):
			return nil, err // a name that the engine holds for nothing
		case lookErr != nil:
			return nil, lookErr
		}
		holder.Token = max(holder.Token, present.Token)
		gone := false
		if !held(found.State) {
			if gone, err = reclaim(ctx, o.API, found.ID); err != nil {
				return nil, err
			}
		}
		if !gone {
			return nil, &containers.HeldError{Name: name, Holder: present}
		}
	}
}

// cleanLimit bounds the removal of a container whose lease came to nothing.
const cleanLimit = 10 * time.Second

// begin starts the container that was made, attached to it, and returns when
// it has answered. What fails is removed.
func begin(ctx context.Context, o Options, name, id string) (lease *Lease, err error) {
	defer func() {
		if err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
			defer cancel()
			// What cannot be removed has no holder, and ends or is reclaimed.
			_ = remove(clean, o.API, id)
		}
	}()
	_, holder, err := look(ctx, o.API, name, id)
	if err != nil {
		return nil, err
	}
	conn, err := o.API.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
	if err != nil {
		return nil, err
	}
	l := &Lease{
		api: o.API, id: id, token: holder.Token, ttl: o.TTL, conn: conn, sent: map[int]time.Time{}, alive: time.Now(),
		first: make(chan struct{}), farewell: make(chan struct{}), lost: make(chan struct{}), over: make(chan struct{}),
	}
	if err := o.API.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		conn.Close()
		return nil, err
	}
	l.silent = time.AfterFunc(l.patience(), l.lose)
	l.group.Go(l.listen)
	l.group.Go(l.beat)
	select {
	case <-l.first:
		return l, nil
	case <-l.lost:
		err = errors.New("the lease's container ended at once, or does not answer")
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.close(false)
	l.group.Wait()
	return nil, err
}

// patience is how long after a beat that was answered the lease counts: the container
// ends a TTL after it at the earliest, and a quarter is left to stop in.
func (l *Lease) patience() time.Duration { return l.ttl * 3 / 4 }

// Token implements containers.Lease.
func (l *Lease) Token() int64 { return l.token }

// Lost implements containers.Lease. A process that was stopped for a while, or whose
// machine slept, finds out here, before its timers do.
func (l *Lease) Lost() <-chan struct{} {
	l.mu.Lock()
	now := time.Now()
	// By the wall's clock too: the other one stands still while a machine sleeps.
	silence := max(now.Sub(l.alive), now.Round(0).Sub(l.alive.Round(0)))
	l.mu.Unlock()
	if silence > l.patience() {
		l.lose()
	}
	return l.lost
}

func (l *Lease) lose() { l.close(true) }

// close ends the lease on this side; the container follows, its input having ended.
func (l *Lease) close(lost bool) {
	l.end.Do(func() {
		if lost {
			close(l.lost)
		}
		close(l.over)
		l.silent.Stop()
		l.conn.Close()
	})
}

// beat sends a line each quarter of the TTL.
func (l *Lease) beat() {
	tick := time.NewTicker(l.ttl / 4)
	defer tick.Stop()
	for {
		l.mu.Lock()
		l.beats++
		number := l.beats
		l.sent[number] = time.Now()
		l.mu.Unlock()
		l.write(lineBeat, []byte(strconv.Itoa(number)))
		select {
		case <-tick.C:
		case <-l.over:
			return
		}
	}
}

func (l *Lease) write(kind byte, text []byte) {
	l.writing.Lock()
	defer l.writing.Unlock()
	line := append(append([]byte{kind}, text...), '\n')
	if _, err := l.conn.Conn.Write(line); err != nil {
		l.lose()
	}
}

// listen reads the echo until the connection ends.
func (l *Lease) listen() {
	defer l.lose() // unless it was released, which closed the connection
	readLines(l.conn, func(kind byte, text []byte) {
		switch kind {
		case lineBeat:
			if number, err := strconv.Atoi(string(text)); err == nil {
				l.answered(number)
			}
		case lineFarewell:
			select {
			case <-l.farewell:
			default:
				close(l.farewell)
			}
		}
	})
}

func (l *Lease) answered(number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, known := l.sent[number]
	if !known {
		return
	}
	delete(l.sent, number)
	l.alive = at
	l.silent.Reset(l.patience() - time.Since(at))
	if number == 1 {
		close(l.first)
	}
}

// Tell implements containers.Lease.
func (l *Lease) Tell(note []byte) {
	select {
	case <-l.over:
	default:
		l.write(lineNote, note)
	}
}

// farewellLimit bounds the wait for the container to have told the last note.
const farewellLimit = time.Second

// Release implements containers.Lease.
func (l *Lease) Release(ctx context.Context) error {
	select {
	case <-l.over:
	default:
		l.write(lineFarewell, nil)
		timer := time.NewTimer(farewellLimit)
		defer timer.Stop()
		select {
		case <-l.farewell:
		case <-l.over:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	l.close(false)
	l.group.Wait()
	return remove(ctx, l.api, l.id)
}

// Holder says who holds the lease; the client's "not found" when nobody does.
func Holder(ctx context.Context, api *client.Client, name string) (containers.Holder, error) {
	found, holder, err := look(ctx, api, name, containers.LeaseObject(name))
	if err == nil && !held(found.State) && !unstarted(found.State) {
		return containers.Holder{}, fmt.Errorf("lease %s: %w", name, containers.ErrNotFound)
	}
	return holder, err
}

// Await blocks until the lease with that token has ended and returns the
// notes that its holder told.
func Await(ctx context.Context, api *client.Client, name string, token int64) ([][]byte, error) {
	found, holder, err := look(ctx, api, name, containers.LeaseObject(name))
	switch {
	case cerrdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case holder.Token != token || !held(found.State):
		return nil, nil
	}
	// What was told before is read too, and may come a second time.
	conn, err := api.ContainerAttach(ctx, found.ID, container.AttachOptions{Stream: true, Stdout: true, Logs: true})
	var notes [][]byte
	switch {
	case err == nil:
		notes = allNotes(ctx, api, found.ID, conn)
	case !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err):
		return nil, err
	}
	return notes, removed(ctx, api, found.ID)
}

// lateLimit is how long after the container's removal what it told may be on its way.
const lateLimit = time.Second

// allNotes reads until the container's end and closes the connection. Docker
// 20.10 leaves the connection open, for ever, where the container ends in the
// moment in which it is attached to: its removal ends the reading too.
func allNotes(ctx context.Context, api *client.Client, id string, conn types.HijackedResponse) (notes [][]byte) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		defer conn.Close()
		if removed(ctx, api, id) != nil {
			<-ctx.Done() // the engine does not tell: then the connection has to end by itself
			return
		}
		late := time.NewTimer(lateLimit)
		defer late.Stop()
		select {
		case <-late.C:
		case <-ctx.Done():
		}
	})
	readLines(conn, func(kind byte, text []byte) {
		if kind == lineNote {
			notes = append(notes, bytes.Clone(text))
		}
	})
	return notes
}

// readLines hands on the lines of an attached container's output until it ends.
func readLines(conn types.HijackedResponse, handle func(kind byte, text []byte)) {
	reader, writer := io.Pipe()
	var group sync.WaitGroup
	group.Go(func() {
		_, err := stdcopy.StdCopy(writer, io.Discard, conn.Reader)
		writer.CloseWithError(err)
	})
	lines := bufio.NewReader(reader)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			handle(line[0], line[1:])
		}
	}
	group.Wait()
}
