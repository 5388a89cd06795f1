package cli

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// controlVerb is what stop, start and restart have of their own.
type controlVerb struct {
	act func(context.Context, runner.ControlOptions) (runner.Result, error)
	// fileless tells that a stack's name is enough.
	fileless bool
	// stops tells that there is a grace to be said.
	stops bool
}

func (in *invocation) stop() *cobra.Command {
	return in.controls(&cobra.Command{
		Use:   "stop [OPTIONS] [SERVICE...]",
		Short: "Stops services; their containers stay",
		Long: `Stops the named services, or all: what needs others before those, each by its own
signal and stop_grace_period. The containers stay, for start or up. Helpers are
left alone. With -p NAME no stack file is needed.`,
		Example: `  stagehand stop
  stagehand stop api`,
	}, controlVerb{runner.Stop, true, true})
}

func (in *invocation) start() *cobra.Command {
	return in.controls(&cobra.Command{
		Use:   "start [OPTIONS] [SERVICE...]",
		Short: "Starts services that were stopped, and waits until they are ready",
		Long: `Starts the containers of the named services, or of all, in the stages' order, and
waits until each is ready as its stage says. It makes no container and runs no
helper: that is up's.`,
		Example: `  stagehand start
  stagehand start db api`,
	}, controlVerb{runner.Start, false, false})
}

func (in *invocation) restart() *cobra.Command {
	return in.controls(&cobra.Command{
		Use:   "restart [OPTIONS] [SERVICE...]",
		Short: "Stops services and starts them again, and waits until they are ready",
		Long: `Stops the named services, or all, and starts their containers again: stop, then
start. Running services whose depends_on says restart: true of one of them are
restarted with it. What changed in the stack file is not applied: that is up's.`,
		Example: `  stagehand restart
  stagehand restart api`,
	}, controlVerb{runner.Restart, false, true})
}

func (in *invocation) controls(cmd *cobra.Command, verb controlVerb) *cobra.Command {
	var timeout lockTimeout
	var stopping *grace
	if verb.stops {
		stopping = &grace{}
		stopping.bind(cmd.Flags())
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return in.runControl(cmd.Context(), cmd.Name(), verb, timeout, stopping, args)
	}
	timeout.bind(cmd.Flags())
	in.bindQuiet(cmd.Flags())
	return cmd
}

func (in *invocation) runControl(ctx context.Context, name string, verb controlVerb, timeout lockTimeout, stopping *grace, words []string) (err error) {
	lock, err := in.lock(timeout)
	if err != nil {
		return err
	}
	o := runner.ControlOptions{Run: runID(), Lock: lock}
	if stopping != nil {
		if o.Grace, err = stopping.given(); err != nil {
			return err
		}
	}
	if verb.fileless {
		o.Name, o.Stack, err = in.Target(ctx)
	} else if o.Stack, err = in.Load(ctx); err == nil {
		o.Name = o.Stack.Name
	}
	if err != nil {
		return err
	}
	w, err := in.Tools(ctx)
	if err != nil {
		return err
	}
	list, err := containers.ListStack(ctx, w.Engine, o.Name)
	if err != nil {
		return exit.OfEngine(err)
	}
	if o.Stack != nil && !verb.fileless {
		if o.Stack, err = in.LoadStanding(ctx, o.Stack, list); err != nil {
			return err
		}
	}
	if o.Services, err = services(o.Name, o.Stack, list, words); err != nil {
		return err
	}
	keep, err := in.retained()
	if err != nil {
		return err
	}
	defer func() { in.prune(ctx, w.Ledger, o.Name, keep, err) }()
	o.Engine, o.Ledger, o.Key = w.Engine, w.Ledger, w.Key
	result, err := in.control(ctx, w, o, verb)
	switch {
	case errors.Is(err, exit.ErrInterrupted) || err == nil && result.Verdict == events.VerdictInterrupted:
		in.say("interrupted; %s goes on", in.flags.Command(o.Name, append([]string{name}, words...)...))
		return &exit.Error{Code: exit.Interrupted}
	case errors.Is(err, runner.ErrNotMade):
		return exit.Misuse("%v to %s: %s makes it", err, name, in.flags.Command(o.Name, "up"))
	case err != nil:
		return exit.OfEngine(err)
	}
	return upshot(result)
}

// control carries the verb out with a view beside it. The error is
// exit.ErrInterrupted where the user asked to stop.
func (in *invocation) control(ctx context.Context, w *workshop.Tools, o runner.ControlOptions, verb controlVerb) (runner.Result, error) {
	info, err := w.Engine.Info(ctx)
	if err != nil {
		return runner.Result{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o.Kill = in.onInterrupt(cancel)
	result, err := in.shown(ctx, info, in.lines(o.Name, o.Stack), nil, w.Ledger, func(sink events.Sink) (runner.Result, error) {
		o.Sink = sink
		return verb.act(ctx, o)
	})
	if err != nil && errors.Is(context.Cause(ctx), exit.ErrInterrupted) {
		err = exit.ErrInterrupted
	}
	return result, err
}

// services are the names in the stack of the services that words mean: that of one container, a
// service's own, which stands for all of its containers, or a template's, for those of each app.
// A helper, or a word that means nothing, is a misuse. Without the stack's
// file (nil) the containers say what there is.
func services(name string, stack *stages.Stack, list []containers.Status, words []string) ([]string, error) {
	known, helpers := map[string][]string{}, map[string]bool{}
	add := func(word, service string) {
		if !slices.Contains(known[word], service) {
			known[word] = append(known[word], service)
		}
	}
	standing := map[string]bool{}
	for _, s := range list {
		service, own := s.Labels[containers.LabelService], containers.InstanceOf(s.Labels)
		standing[own] = true
		if stack != nil && stack.StageOf(service) == nil {
			continue
		}
		switch staying := containers.RoleOf(s.Labels) == containers.RoleService; {
		case staying && (stack == nil || stack.Services[own].Name == ""): // of the latter the file has fewer
			add(own, own)
			add(service, own)
		case !staying && stack == nil:
			helpers[service] = true
		}
	}
	if stack != nil {
		for _, stage := range stack.Stages {
			for _, u := range stage.Units {
				service, ok := stack.Services[u.Service]
				switch {
				case !ok, service.Number > 1 && !standing[service.Name]:
				case stage.Verb == stages.Start:
					add(service.Name, service.Name)
					add(service.Shared(), service.Name)
					add(service.Template, service.Name)
				default:
					helpers[service.Name], helpers[service.Template] = true, true
				}
			}
		}
	}
	var out []string
	for _, word := range words {
		switch {
		case len(known[word]) > 0:
			out = append(out, known[word]...)
		case helpers[word]:
			return nil, exit.Misuse("%s of %s is a helper, which ends by itself: only services can be named", word, name)
		default:
			return nil, exit.Misuse("%s has no service %q: %s", name, word, problems.OneOf(word, slices.Sorted(maps.Keys(known))))
		}
	}
	return out, nil
}
