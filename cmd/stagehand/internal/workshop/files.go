package workshop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

// Source says which files the command line means.
func (w *Workshop) Source() (compose.Options, error) {
	o := compose.Options{
		Files: slices.Clone(w.o.Flags.Files), Profiles: w.o.Flags.Profiles, EnvFiles: slices.Clone(w.o.Flags.EnvFiles),
		Name: w.o.Flags.Name, Environ: w.o.Environ, Secrets: w.o.Masker, Scale: w.o.Flags.Scale,
	}
	for _, list := range [][]string{o.Files, o.EnvFiles} {
		for i, file := range list {
			if file != "-" {
				list[i] = w.Within(file)
			}
		}
	}
	if len(o.Files) == 0 {
		o.Dir = w.o.Dir
	}
	if slices.Contains(o.Files, "-") {
		text, err := io.ReadAll(w.o.Stdin)
		if err != nil {
			return o, fmt.Errorf("standard input: %w", err)
		}
		o.Stdin = text
	}
	return o, nil
}

// Load reads the stack and tells its warnings.
func (w *Workshop) Load(ctx context.Context) (*stages.Stack, error) { return w.LoadFor(ctx, nil) }

// LoadFor is Load for a command that names services: as with Docker Compose, that turns their profiles on.
func (w *Workshop) LoadFor(ctx context.Context, services []string) (*stages.Stack, error) {
	o, err := w.Source()
	if err != nil {
		return nil, err
	}
	stack, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	var profiles []string
	for _, name := range services {
		profiles = append(profiles, stack.Inactive[name]...)
	}
	if len(profiles) == 0 {
		return w.told(stack, o)
	}
	w.o.Flags.Profiles = append(w.o.Flags.Profiles, profiles...) // what is told to be typed names them too
	o.Profiles = w.o.Flags.Profiles
	return w.LoadFrom(ctx, o)
}

// LoadFrom is Load for these files.
func (w *Workshop) LoadFrom(ctx context.Context, o compose.Options) (*stages.Stack, error) {
	stack, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	return w.told(stack, o)
}

// told is the stack, its warnings told, and an error where it cannot be scaled as is asked.
func (w *Workshop) told(stack *stages.Stack, o compose.Options) (*stages.Stack, error) {
	w.Warn(stack)
	return stack, scalable(stack, o.Scale)
}

// loadingGC is GOGC while files are read. Nearly all of what that allocates is dropped soon after: a plan of 1,000
// services takes 0.51 s with the usual 100, 0.49 s so, and 13 % more memory.
const loadingGC = 130

func load(ctx context.Context, o compose.Options) (*stages.Stack, error) {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(loadingGC))
	}
	return stages.Load(ctx, o)
}

// scalable is an error where the stack has no such service.
func scalable(stack *stages.Stack, scale map[string]int) error {
	known := map[string]bool{}
	for _, s := range stack.Services {
		known[s.Template] = true
	}
	for name, replicas := range stack.Replicas {
		if replicas == 0 {
			known[name] = true
		}
	}
	for name := range scale {
		if !known[name] {
			return exit.Misuse("--scale: %s has no service %q: %s", stack.Name, name, problems.OneOf(name, slices.Sorted(maps.Keys(known))))
		}
	}
	return nil
}

// LoadStanding is Load with as many containers of each service as there are in list, where those are more.
func (w *Workshop) LoadStanding(ctx context.Context, stack *stages.Stack, list []containers.Status) (*stages.Stack, error) {
	o, err := w.Source()
	if err != nil {
		return nil, err
	}
	o.Scale = map[string]int{}
	for _, s := range list {
		service, known := stack.Services[s.Labels[containers.LabelService]]
		number, err := strconv.Atoi(s.Labels[containers.LabelNumber])
		if _, meant := stack.Services[containers.InstanceOf(s.Labels)]; known && !meant && err == nil {
			o.Scale[service.Template] = max(o.Scale[service.Template], number)
		}
	}
	if len(o.Scale) == 0 {
		return stack, nil
	}
	return load(ctx, o)
}

// Warn tells the stack's warnings.
func (w *Workshop) Warn(stack *stages.Stack) { w.warnings(stack.Warnings) }

// judge tells what the engine cannot do of the stack; the error says what it would refuse.
func (w *Workshop) judge(ctx context.Context, stack *stages.Stack, engine containers.Engine) error {
	list, err := stack.Judge(ctx, engine)
	if err != nil {
		return exit.OfEngine(err)
	}
	w.warnings(list.Warnings())
	return list.Err()
}

func (w *Workshop) warnings(list []problems.Problem) {
	for _, p := range list {
		text := fmt.Sprintf("%s: warning: %s", p.Pos, p.Message)
		if p.Expected != "" {
			text += " (" + p.Expected + ")"
		}
		fmt.Fprintln(w.o.Masker.Writer(w.o.Stderr), text)
	}
}

// Target is the stack that a command is about when it needs no more than its
// name: that of -p, or of the file. The file's stack comes with it where a
// file was meant and can be read; else it is nil.
func (w *Workshop) Target(ctx context.Context) (string, *stages.Stack, error) {
	if w.o.Flags.Name != "" && len(w.o.Flags.Files) == 0 {
		return w.o.Flags.Name, nil, nil
	}
	o, err := w.Source()
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
		w.o.Say("%s has problems, so only what the engine and the ledger know is used (see %s)", source.Files[0].Name, w.o.Flags.Command(source.Name, "validate"))
		return source.Name, nil, nil
	}
	return "", nil, fmt.Errorf("%w      = or name the stack with -p NAME\n", err)
}
