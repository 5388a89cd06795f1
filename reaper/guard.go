package reaper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// startLimit bounds how long a watching process may take to be ready: over
// ssh an engine takes its time.
const startLimit = 45 * time.Second

// endLimit bounds how long a watching process that has nothing left to do may
// take to end.
const endLimit = 10 * time.Second

// Guard is the runner's end of a watching process. Done or Abandon must be
// called once.
type Guard struct {
	words io.WriteCloser
	ended <-chan struct{} // closed when the process has ended
	kill  func()
}

// Start makes a watching process of program, which must pass its standard input and
// output to Watch, and returns when that is ready. It leads a session of its
// own: what is sent to the runner's terminal, group or session does not reach
// it. The pipe to it is all that holds it: the engine closes no file of ours,
// and a child of ours does not inherit it.
func Start(ctx context.Context, request Request, program string, args ...string) (*Guard, error) {
	cmd := exec.Command(program, args...) // not with ctx: it must outlive it
	cmd.SysProcAttr = ownSession()
	words, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watching process: %w", err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("watching process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("watching process: %w", err)
	}
	ended, ready := make(chan struct{}), make(chan string, 1)
	go func() { // owned by the Guard: ends with the process, which ends with words
		defer close(ended)
		line, _ := bufio.NewReader(answers).ReadString('\n')
		ready <- strings.TrimSpace(line)
		_ = cmd.Wait() // it has told what there is to tell
	}()
	guard := &Guard{words: words, ended: ended, kill: func() { _ = cmd.Process.Kill() }}
	return guard, guard.begin(ctx, request, ready)
}

// InProcess is Start with watch in place of a process, for where there is none
// to be had: it protects from nothing but tests the rest.
func InProcess(ctx context.Context, request Request, watch func(in io.Reader, out io.Writer) error) (*Guard, error) {
	in, words := io.Pipe()
	answers, out := io.Pipe()
	ended, ready := make(chan struct{}), make(chan string, 1)
	go func() { // owned by the Guard, as the process is
		defer close(ended)
		_ = watch(in, out) // it has told what there is to tell
		_ = out.Close()    // a pipe's Close gives no error
		_ = in.Close()
	}()
	go func() { // ends with out
		line, _ := bufio.NewReader(answers).ReadString('\n')
		ready <- strings.TrimSpace(line)
	}()
	guard := &Guard{words: words, ended: ended, kill: func() { _ = in.Close() }}
	return guard, guard.begin(ctx, request, ready)
}

func (g *Guard) begin(ctx context.Context, request Request, ready <-chan string) error {
	text, err := json.Marshal(request)
	if err == nil {
		_, err = g.words.Write(append(text, '\n'))
	}
	if err != nil {
		g.give()
		return fmt.Errorf("watching process: %w", err)
	}
	timer := time.NewTimer(startLimit)
	defer timer.Stop()
	select {
	case answer := <-ready:
		if answer == wordReady {
			return nil
		}
		err = errors.New("it ended at once")
		if answer != "" {
			err = errors.New(answer)
		}
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = fmt.Errorf("not ready in %s", startLimit)
	}
	g.give()
	return fmt.Errorf("watching process: %w", err)
}

// give ends a process that has not become ready.
func (g *Guard) give() {
	_ = g.words.Close()
	g.kill()
	<-g.ended
}

// Lost is closed when the watching process has ended. Before Done or Abandon
// that means that nobody watches any more.
func (g *Guard) Lost() <-chan struct{} { return g.ended }

// Done tells the watching process that nothing of the run is left, and waits
// for its end. One that has ended already is not missed any more: no error.
func (g *Guard) Done() {
	_, _ = io.WriteString(g.words, wordDone+"\n")
	_ = g.words.Close()
	timer := time.NewTimer(endLimit)
	defer timer.Stop()
	select {
	case <-g.ended:
	case <-timer.C:
		g.kill()
		<-g.ended
	}
}

// Abandon leaves what there is of the run to the watching process, as the
// runner's death does, and does not wait for it.
func (g *Guard) Abandon() { _ = g.words.Close() }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
