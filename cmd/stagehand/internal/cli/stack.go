package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
)

// source says which files the command line means.
func (in *invocation) source() (compose.Options, error) {
	o := compose.Options{
		Files: slices.Clone(in.flags.Files), Profiles: in.flags.Profiles, EnvFiles: slices.Clone(in.flags.EnvFiles),
		Name: in.flags.Name, Environ: in.Environ, Secrets: in.masker,
	}
	for _, list := range [][]string{o.Files, o.EnvFiles} {
		for i, file := range list {
			if file != "-" {
				list[i] = in.within(file)
			}
		}
	}
	if len(o.Files) == 0 {
		o.Dir = in.Dir
	}
	if slices.Contains(o.Files, "-") {
		text, err := io.ReadAll(in.Stdin)
		if err != nil {
			return o, fmt.Errorf("standard input: %w", err)
		}
		o.Stdin = text
	}
	return o, nil
}

// load reads the stack and tells its warnings.
func (in *invocation) load(ctx context.Context) (*stages.Stack, error) {
	o, err := in.source()
	if err != nil {
		return nil, err
	}
	return in.loadFrom(ctx, o)
}

func (in *invocation) loadFrom(ctx context.Context, o compose.Options) (*stages.Stack, error) {
	stack, err := stages.Load(ctx, o)
	if err != nil {
		return nil, err
	}
	in.warn(stack)
	return stack, nil
}

// warn tells the stack's warnings.
func (in *invocation) warn(stack *stages.Stack) { in.warnings(stack.Warnings) }

// judge tells what the engine cannot do of the stack; the error says what it would refuse.
func (in *invocation) judge(ctx context.Context, stack *stages.Stack, engine containers.Engine) error {
	list, err := stack.Judge(ctx, engine)
	if err != nil {
		return exit.OfEngine(err)
	}
	in.warnings(list.Warnings())
	return list.Err()
}

func (in *invocation) warnings(list []problems.Problem) {
	for _, w := range list {
		text := fmt.Sprintf("%s: warning: %s", w.Pos, w.Message)
		if w.Expected != "" {
			text += " (" + w.Expected + ")"
		}
		fmt.Fprintln(in.masker.Writer(in.Stderr), text)
	}
}

// target is the stack that a command is about when it needs no more than its
// name: that of -p, or of the file. The file's stack comes with it where a
// file was meant and can be read; else it is nil.
func (in *invocation) target(ctx context.Context) (string, *stages.Stack, error) {
	if in.flags.Name != "" && len(in.flags.Files) == 0 {
		return in.flags.Name, nil, nil
	}
	o, err := in.source()
	if err != nil {
		return "", nil, err
	}
	stack, err := stages.Load(ctx, o)
	if err == nil {
		return stack.Name, stack, nil
	}
	var broken *problems.Error
	if !errors.As(err, &broken) {
		return "", nil, err
	}
	// A file with problems still has a name, and what runs can be looked at and
	// taken down by that.
	list := &problems.List{}
	if source := compose.Open(o, list); source != nil {
		in.say("%s has problems, so only what the engine and the ledger know is used (see %s)", source.Files[0].Name, in.flags.Command(source.Name, "validate"))
		return source.Name, nil, nil
	}
	return "", nil, fmt.Errorf("%w      = or name the stack with -p NAME\n", err)
}

// steps are the stack's, as a plan has them; none for no stack.
func steps(stack *stages.Stack) []*plan.Step {
	if stack == nil {
		return nil
	}
	return plan.Make(stack, plan.Facts{}, time.Now()).Steps
}

// lines is the view of a run of the stack for people; file may be nil.
func (in *invocation) lines(name string, file *stages.Stack) *views.Lines {
	lines := &views.Lines{W: in.Stdout, Brief: in.quiet, Command: func(words ...string) string { return in.flags.Command(name, words...) }}
	lines.After = map[string]string{}
	for _, s := range steps(file) {
		lines.Steps = append(lines.Steps, s.ID)
		lines.After[s.ID] = strings.Join(slices.Concat(s.After, s.Needs), ", ")
	}
	return lines
}

// closing are the ledger and the engine that a command line has opened, until its end.
type closing []io.Closer

// close closes them, the latest first.
func (c closing) close() error {
	var errs []error
	for _, opened := range slices.Backward(c) {
		errs = append(errs, opened.Close())
	}
	return errors.Join(errs...)
}

// ledger is openLedger, closed at the command line's end.
func (in *invocation) ledger(ctx context.Context) (*ledger.Ledger, error) {
	l, err := in.openLedger(ctx)
	if err == nil {
		in.closing = append(in.closing, l)
	}
	return l, err
}

// openLedger opens the ledger of the command line.
func (in *invocation) openLedger(ctx context.Context) (*ledger.Ledger, error) {
	address := in.flags.Ledger
	if address == "" {
		address = in.getenv("STAGEHAND_LEDGER")
	}
	if address != "" && !strings.Contains(address, "://") {
		address = in.within(address)
	}
	return ledger.Open(ctx, address)
}

// ledgerAddress is where the open ledger l is found from any folder.
func (in *invocation) ledgerAddress(l *ledger.Ledger) string {
	if address := cmp.Or(in.flags.Ledger, in.getenv("STAGEHAND_LEDGER")); strings.Contains(address, "://") {
		return address
	}
	return l.Path()
}

// workshop is what most commands need.
type workshop struct {
	engine containers.Engine
	ledger *ledger.Ledger
	// key seals secrets in the ledger.
	key *secrets.Key
}

// open opens ledger and engine, until the command line's end.
func (in *invocation) open(ctx context.Context) (*workshop, error) {
	l, err := in.ledger(ctx)
	if err != nil {
		return nil, err
	}
	engine, err := in.engine(ctx)
	if err != nil {
		return nil, err
	}
	return &workshop{engine, l, in.key(l)}, nil
}

// openFor is open for a stack that the engine must be able to run.
func (in *invocation) openFor(ctx context.Context, stack *stages.Stack) (*workshop, error) {
	w, err := in.open(ctx)
	if err != nil {
		return nil, err
	}
	return w, in.judge(ctx, stack, w.engine)
}

// engine is connect, until the command line's end.
func (in *invocation) engine(ctx context.Context) (containers.Engine, error) {
	engine, err := in.connect(ctx)
	if err == nil {
		in.closing = append(in.closing, engine)
	}
	return engine, err
}

// connect connects to the engine of the command line.
func (in *invocation) connect(ctx context.Context) (containers.Engine, error) {
	engine, err := in.Open(ctx, in.endpoint())
	if err != nil && ctx.Err() == nil {
		return nil, &exit.Error{Code: exit.Engine, Err: err}
	}
	return engine, err
}

// endpoint names the engine of the command line.
func (in *invocation) endpoint() string {
	return cmp.Or(in.flags.Engine, in.getenv("STAGEHAND_ENGINE"))
}

// runID makes the ID of a new run: sortable, and readable in a terminal.
func runID() string {
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails, as of Go 1.24
	return fmt.Sprintf("%s-%x", time.Now().UTC().Format("20060102-150405"), random)
}
