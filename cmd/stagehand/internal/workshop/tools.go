package workshop

import (
	"cmp"
	"context"
	"strings"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
)

// Tools are what most commands need.
type Tools struct {
	Engine containers.Engine
	Ledger *ledger.Ledger
	// Key seals secrets in the ledger.
	Key *secrets.Key
}

// Tools opens ledger and engine.
func (w *Workshop) Tools(ctx context.Context) (*Tools, error) {
	l, err := w.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	engine, err := w.Engine(ctx)
	if err != nil {
		return nil, err
	}
	return &Tools{Engine: engine, Ledger: l, Key: w.Key(l)}, nil
}

// ToolsFor is Tools for a stack that the engine must be able to run: it tells what the engine
// cannot do of it, and the error says what it would refuse.
func (w *Workshop) ToolsFor(ctx context.Context, stack *stages.Stack) (*Tools, error) {
	tools, err := w.Tools(ctx)
	if err != nil {
		return nil, err
	}
	return tools, w.judge(ctx, stack, tools.Engine)
}

// Ledger opens the ledger.
func (w *Workshop) Ledger(ctx context.Context) (*ledger.Ledger, error) {
	l, err := w.OpenLedger(ctx)
	if err == nil {
		w.opened = append(w.opened, l)
	}
	return l, err
}

// OpenLedger is Ledger for a caller who closes it.
func (w *Workshop) OpenLedger(ctx context.Context) (*ledger.Ledger, error) {
	address := w.ledgerAddress()
	if address != "" && !strings.Contains(address, "://") {
		address = w.Within(address)
	}
	return ledger.Open(ctx, address)
}

func (w *Workshop) ledgerAddress() string {
	return cmp.Or(w.o.Flags.Ledger, w.Getenv("STAGEHAND_LEDGER"))
}

// LedgerAddress is where the open ledger l is found from any folder.
func (w *Workshop) LedgerAddress(l *ledger.Ledger) string {
	if address := w.ledgerAddress(); strings.Contains(address, "://") {
		return address
	}
	return l.Path()
}

// Key is what the secrets in the ledger are sealed with; nil where there is no place for one.
func (w *Workshop) Key(l *ledger.Ledger) *secrets.Key {
	if path := w.Getenv("STAGEHAND_KEY_FILE"); path != "" {
		return secrets.KeyAt(w.Within(path))
	}
	path, err := l.KeyFile()
	if err != nil {
		return nil // where there is no home, nothing is sealed, and so not kept
	}
	return secrets.KeyAt(path)
}

// Engine connects to the engine.
func (w *Workshop) Engine(ctx context.Context) (containers.Engine, error) {
	engine, err := w.Connect(ctx)
	if err == nil {
		w.opened = append(w.opened, engine)
	}
	return engine, err
}

// Connect is Engine for a caller who closes it.
func (w *Workshop) Connect(ctx context.Context) (containers.Engine, error) {
	engine, err := w.o.Connect(ctx, w.Endpoint())
	if err != nil && ctx.Err() == nil {
		return nil, &exit.Error{Code: exit.Engine, Err: err}
	}
	return engine, err
}

// Endpoint names the engine.
func (w *Workshop) Endpoint() string {
	return cmp.Or(w.o.Flags.Engine, w.Getenv("STAGEHAND_ENGINE"))
}
