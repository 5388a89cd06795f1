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
	"github.com/stagehand-dev/stagehand/containers/docker/internal/backoff"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/sleep"
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
	// asked is when the container was asked for, before it was made.
	asked time.Time

	// kept is closed when the container has answered for the first time, farewell at the
	// echo of the last line.
	kept, farewell chan struct{}
	lost, over     chan struct{}
	end            sync.Once
	cause          error // why it was lost, where that is known; final once over is closed
	cancel         context.CancelFunc
	group          sync.WaitGroup // its goroutines

	writing sync.Mutex              // whole lines, one after another
	conn    *types.HijackedResponse // nil before the container runs
	early   []byte                  // the lines written until then

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

// Take takes the lease or returns a *containers.HeldError. The name is had once the
// container is made; that it starts, and is heard, is not waited for: see Allow.
func Take(ctx context.Context, o Options, name string, holder containers.Holder) (*Lease, error) {
	object := containers.LeaseObject(name)
	unseen := 0
	for wait := (backoff.Backoff{Most: longestPause}); ; {
		config, host := o.config(name, holder)
		asked := time.Now()
		made, err := o.API.ContainerCreate(ctx, config, host, nil, nil, object)
		if err == nil {
			return begin(ctx, o, name, made.ID, asked)
		}
		if !taken(err) {
			return nil, err
		}
		found, present, lookErr := look(ctx, o.API, name, object)
		switch {
		case cerrdefs.IsNotFound(lookErr) && unseen < 100:
			// It has just gone, or is only just being made.
			unseen++
			if err := wait.Wait(ctx); err != nil {
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

// begin has the container that was made start.
func begin(ctx context.Context, o Options, name, id string, asked time.Time) (*Lease, error) {
	_, holder, err := look(ctx, o.API, name, id)
	if err != nil {
		discard(ctx, o.API, id)
		return nil, err
	}
	living, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the call
	l := &Lease{
		api: o.API, id: id, token: holder.Token, ttl: o.TTL, asked: asked, alive: asked, cancel: cancel, sent: map[int]time.Time{},
		kept: make(chan struct{}), farewell: make(chan struct{}), lost: make(chan struct{}), over: make(chan struct{}),
	}
	l.silent = time.AfterFunc(l.patience(), func() { l.lose(nil) })
	l.group.Go(func() { l.start(living) })
	return l, nil
}

// discard removes a container whose lease came to nothing. What cannot be removed has
// no holder, and ends or is reclaimed.
func discard(ctx context.Context, api *client.Client, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	_ = remove(ctx, api, id)
}

// start starts the container, attached to it, and keeps it from then on.
func (l *Lease) start(ctx context.Context) {
	var conn types.HijackedResponse
	var begun time.Time
	err := l.insist(ctx, func() (err error) {
		conn, err = l.api.ContainerAttach(ctx, l.id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
		return err
	})
	if err == nil {
		err = l.insist(ctx, func() error {
			begun = time.Now()
			return l.api.ContainerStart(ctx, l.id, container.StartOptions{})
		})
		if err != nil {
			conn.Close()
		}
	}
	if err != nil {
		l.lose(fmt.Errorf("starting its container: %w", err))
		discard(ctx, l.api, l.id)
		return
	}
	l.mu.Lock()
	l.livesSince(begun)
	l.mu.Unlock()
	l.writing.Lock()
	l.conn = &conn
	_, err = conn.Conn.Write(l.early)
	l.early = nil
	l.writing.Unlock()
	if err != nil {
		l.lose(nil)
	}
	l.group.Go(l.beat)
	l.group.Go(func() { // ends with the connection
		<-l.over
		conn.Close()
	})
	l.listen(conn)
}

// insist repeats a call that the engine does not answer, as long as nobody may have
// reclaimed the container.
func (l *Lease) insist(ctx context.Context, call func() error) error {
	for wait := (backoff.Backoff{Most: longestPause}); ; {
		err := call()
		if err == nil || time.Since(l.asked) > startLimit || !errors.Is(failure.Of(ctx, err, ""), containers.ErrUnavailable) {
			return err
		}
		if wait.Wait(ctx) != nil {
			return err
		}
	}
}

// patience is how long after a beat that was answered the lease counts: the container
// ends a TTL after it at the earliest, and a quarter is left to stop in.
func (l *Lease) patience() time.Duration { return l.ttl * 3 / 4 }

// livesSince notes that the container's time began anew then, or later. mu is held.
func (l *Lease) livesSince(at time.Time) {
	l.alive = at
	l.silent.Reset(l.patience() - time.Since(at))
}

// Token implements containers.Lease.
func (l *Lease) Token() int64 { return l.token }

// headStart is for how long after the container was asked for it counts as kept, although nobody has
// heard it: it is not reclaimed before startLimit is over, and what is left of that is
// for what was begun.
const headStart = startLimit / 2

// Allow implements containers.Lease. Starting a container takes the engine longer than much
// of what the lease is taken for, and meanwhile that can begin.
func (l *Lease) Allow(ctx context.Context) error {
	l.Lost()
	select {
	case <-l.over:
		return l.loss()
	default:
	}
	if sinceByAnyClock(l.asked) < headStart {
		return nil
	}
	select {
	case <-l.kept:
		return nil
	case <-l.over:
		return l.loss()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loss is the error of what the lease does not allow any more.
func (l *Lease) loss() error {
	if l.cause == nil {
		return fmt.Errorf("%w: somebody ended it, or the connection to the engine broke", containers.ErrLeaseLost)
	}
	return fmt.Errorf("%w: %w", containers.ErrLeaseLost, l.cause)
}

// sinceByAnyClock is the time since then, by the wall's clock too: the other one stands still while a
// machine sleeps.
func sinceByAnyClock(then time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// Lost implements containers.Lease. A process that was stopped for a while, or whose
// machine slept, finds out here, before its timers do.
func (l *Lease) Lost() <-chan struct{} {
	l.mu.Lock()
	silence := sinceByAnyClock(l.alive)
	l.mu.Unlock()
	if silence > l.patience() {
		l.lose(nil)
	}
	return l.lost
}

func (l *Lease) lose(cause error) {
	if l.close(cause) {
		close(l.lost)
	}
}

// close ends the lease on this side, once; the container follows, its input having ended.
func (l *Lease) close(cause error) (first bool) {
	l.end.Do(func() {
		first, l.cause = true, cause
		close(l.over)
		l.cancel()
		l.silent.Stop()
	})
	return first
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
	if l.conn == nil {
		l.early = append(l.early, line...)
		return
	}
	if _, err := l.conn.Conn.Write(line); err != nil {
		l.lose(nil)
	}
}

// listen reads the echo until the connection ends.
func (l *Lease) listen(conn types.HijackedResponse) {
	defer l.lose(nil) // unless it was released, which closed the connection
	readLines(conn.Reader, func(kind byte, text []byte) {
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
	l.livesSince(at)
	if number == 1 {
		close(l.kept)
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
	if l.told() {
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
	l.close(nil)
	l.group.Wait()
	return remove(ctx, l.api, l.id)
}

// told tells whether there is anything that those who wait have to be told before
// the container ends.
func (l *Lease) told() bool {
	select {
	case <-l.over:
		return false
	default:
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.conn != nil || len(l.early) > 0
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
	case holder.Token != token:
		return nil, nil
	case !held(found.State) && !unstarted(found.State):
		return nil, nil
	}
	return hear(ctx, api, found.ID, unstarted(found.State))
}

// hear returns the notes told in the container of that ID, once it is removed. One that does not run
// yet is listened to before it does, so that nothing of a short life is missed.
func hear(ctx context.Context, api *client.Client, id string, early bool) ([][]byte, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	attach := func() (types.HijackedResponse, error) {
		return api.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdout: true})
	}
	var beside sync.WaitGroup
	var before [][]byte
	listening := make(chan struct{})
	beside.Go(func() { before = logged(ctx, api, id, listening) })
	conn, err := attach()
	switch {
	case early && err == nil:
		beside.Go(func() {
			if _, err := reclaim(ctx, api, id); err != nil {
				fail(err)
			}
		})
	case early && !cerrdefs.IsNotFound(err): // Podman's: only of one that runs
		if _, err = reclaim(ctx, api, id); err == nil {
			conn, err = attach()
		}
	}
	close(listening)
	var notes [][]byte
	switch {
	case err == nil:
		notes = allNotes(ctx, api, id, conn)
	case !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err):
		fail(err)
	}
	beside.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return joined(before, notes), removed(ctx, api, id)
}

// logTime is how long what a container says may be on its way into the engine's log.
const logTime = 100 * time.Millisecond

// logged are the notes of the engine's log: of the time before the stream, which has begun when
// listening is closed. A container that ends takes its log with it, so that it is read early too.
func logged(ctx context.Context, api *client.Client, id string, listening <-chan struct{}) (notes [][]byte) {
	read := func() (there bool) {
		body, err := api.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true})
		if err != nil {
			return !cerrdefs.IsNotFound(err)
		}
		defer body.Close()
		if found := readNotes(body); len(found) > len(notes) {
			notes = found
		}
		return true
	}
	if !read() {
		return notes
	}
	select {
	case <-listening:
	case <-ctx.Done():
	}
	if read() && sleep.For(ctx, logTime) == nil {
		read()
	}
	return notes
}

// joined are the notes of the log and, behind its last one, those of the stream: it began somewhere within.
func joined(before, stream [][]byte) [][]byte {
	if len(before) == 0 {
		return stream
	}
	last := before[len(before)-1]
	for i := len(stream) - 1; i >= 0; i-- {
		if bytes.Equal(stream[i], last) {
			return append(before, stream[i+1:]...)
		}
	}
	return append(before, stream...)
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
	return readNotes(conn.Reader)
}

func readNotes(output io.Reader) (notes [][]byte) {
	readLines(output, func(kind byte, text []byte) {
		if kind == lineNote {
			notes = append(notes, bytes.Clone(text))
		}
	})
	return notes
}

// readLines hands on the lines of a container's output until it ends.
func readLines(output io.Reader, handle func(kind byte, text []byte)) {
	reader, writer := io.Pipe()
	var group sync.WaitGroup
	group.Go(func() {
		_, err := stdcopy.StdCopy(writer, io.Discard, output)
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
