// Package reaper sees to it that nothing outlives its reason: it watches a
// runner from a process of its own and removes what an ephemeral run made when
// the runner has died, and it finds what dead runs have left on an engine.
package reaper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
)

// Request says what a watching process is there for: one JSON object on the
// first line of its standard input.
type Request struct {
	Run   string `json:"run"`
	Stack string `json:"stack"`
	// Endpoint is the engine's, as on the command line; EngineID is the engine
	// that the runner found there.
	Endpoint string `json:"endpoint,omitempty"`
	EngineID string `json:"engine_id"`
	// Ledger is the address that the runner's ledger was opened with.
	Ledger string `json:"ledger,omitempty"`
}

// The words between runner and watching process, a line each.
const (
	wordReady = "ready" // the watching process: the engine answers, I watch
	wordDone  = "done"  // the runner: nothing of the run is left, go
)

// Report is what became of a watch.
type Report struct {
	Request
	// Died: the runner ended without a word, and what it had made was removed.
	Died    bool
	Removed Removed
}

// Hands are what a watching process works with.
type Hands struct {
	// Open connects to the request's engine.
	Open func(context.Context, Request) (containers.Engine, error)
	// Bury is called once the runner has died, beside the removal; nil for nothing.
	Bury func(context.Context, Request) error
}

// Watch is the watching process. It reads its Request from in, opens the
// engine and says on out that it is ready, or why not. Then it waits: for the
// runner's word that all is done, or for in to end without it, which
// is the runner's death; then it removes all that carries the run's label and
// returns when that is gone. ctx ends it at once.
func Watch(ctx context.Context, in io.Reader, out io.Writer, hands Hands) (report Report, err error) {
	lines := bufio.NewReader(in)
	text, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, &report.Request)
	}
	if err == nil && report.Run == "" {
		err = errors.New("no run is named")
	}
	if err != nil {
		return report, fmt.Errorf("what to watch for cannot be read: %w", err)
	}
	engine, err := connect(ctx, report.Request, hands.Open)
	if err != nil {
		fmt.Fprintln(out, oneLine(err.Error())) // that nobody reads it any more changes nothing
		return report, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if _, err := fmt.Fprintln(out, wordReady); err != nil {
		return report, fmt.Errorf("the runner is gone before it began: %w", err)
	}
	word, err := lines.ReadString('\n')
	if err == nil && word == wordDone+"\n" {
		return report, nil
	}
	report.Died = true
	var group errgroup.Group
	group.Go(func() error {
		if hands.Bury == nil {
			return nil
		}
		return hands.Bury(ctx, report.Request)
	})
	report.Removed, err = clear(ctx, engine, report.Request)
	return report, errors.Join(err, group.Wait())
}

// connect opens the engine and makes sure that it is the runner's: contexts
// and addresses may change between two looks.
func connect(ctx context.Context, request Request, open func(context.Context, Request) (containers.Engine, error)) (containers.Engine, error) {
	engine, err := open(ctx, request)
	if err != nil {
		return nil, err
	}
	info, err := engine.Info(ctx)
	if err == nil && info.ID != request.EngineID {
		err = fmt.Errorf("%s is not the engine that the runner uses", info.Endpoint)
	}
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return engine, nil
}
