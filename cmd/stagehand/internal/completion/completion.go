// Package completion says how the words of a command line may go on: the names in
// the stack file, and what the ledger has.
package completion

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/starter"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/workshop"
	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

// candidates lists what a word may be, each "WORD" or "WORD\tDESCRIPTION".
type candidates func(ctx context.Context) []string

// completer knows what a command line is about.
type completer struct {
	*workshop.Workshop
	flags *flags.Globals
}

// Complete gives each command under root its candidates, and those of flags, as of w and f when
// they are asked for.
func Complete(root *cobra.Command, w *workshop.Workshop, f *flags.Globals) {
	c := &completer{w, f}
	parts := many(c.services(false), c.stages, c.appNames)
	arguments := map[string]cobra.CompletionFunc{
		"start": many(c.services(true)), "stop": many(c.services(true)), "restart": many(c.services(true)),
		"up": parts, "plan": parts,
		"pull": many(c.services(false)), "build": many(c.services(false)),
		"exec": first(c.services(false)), "debug": first(c.steps(true)),
		"logs": many(c.steps(false), c.stages, c.services(false), c.appNames),
		"show": first(c.appNames), "history": many(c.appNames), "remove": many(c.appNames),
		"diff": many(c.runIDs), "export": first(fixed("compose")),
		"help": first(func(context.Context) []string { return flags.Names(root) }),
		"man": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		"test": nil, // programs and files, which the shell knows
	}
	values := map[string]candidates{
		"rerun": joined(c.steps(false), c.stages, c.appNames), "from": c.stages,
		"run": c.runIDs, "project-name": c.stacks, "profile": c.profiles, "on-failure": fixed("keep", "down"),
		"example": fixed(starter.Examples()...),
	}
	for _, cmd := range flags.Commands(root) {
		if arguments, special := arguments[cmd.Name()]; special {
			cmd.ValidArgsFunction = arguments
		} else if len(cmd.ValidArgs) == 0 && !cmd.Hidden && cmd != root {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for name, list := range values {
			if cmd.LocalFlags().Lookup(name) != nil {
				must(cmd.RegisterFlagCompletionFunc(name, many(list)))
			}
		}
	}
	must(root.MarkPersistentFlagFilename("file", "yaml", "yml"))
}

// must is for errors that only a wrong table above can give.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// many completes each argument that was not given yet.
func many(lists ...candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
		defer cancel()
		found := joined(lists...)(ctx)
		return slices.DeleteFunc(found, func(c string) bool {
			word, _, _ := strings.Cut(c, "\t")
			return slices.Contains(args, word)
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

// completionLimit is how long people wait for a completion, of a ledger far away for example.
const completionLimit = 3 * time.Second

// first completes the first argument; what follows is not ours.
func first(list candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return many(list)(cmd, args, word)
	}
}

// joined are the candidates of all lists, each word once.
func joined(lists ...candidates) candidates {
	return func(ctx context.Context) []string {
		var out []string
		seen := map[string]bool{}
		for _, list := range lists {
			for _, c := range list(ctx) {
				word, _, _ := strings.Cut(c, "\t")
				if !seen[word] && word != "" {
					seen[word], out = true, append(out, c)
				}
			}
		}
		return out
	}
}

func fixed(words ...string) candidates {
	return func(context.Context) []string { return slices.Clone(words) }
}

// named is the stack of the command line; nil where there is none, or none that can be
// read: whoever is still typing wants no error.
func (c *completer) named(ctx context.Context) *stages.Stack {
	if slices.Contains(c.flags.Files, "-") {
		return nil // standard input is the terminal
	}
	o, err := c.Source()
	if err != nil {
		return nil
	}
	stack, err := stages.Load(ctx, o)
	if err != nil {
		return nil
	}
	return stack
}

// services are the stack's, and templates; staying leaves out helpers.
func (c *completer) services(staying bool) candidates {
	return func(ctx context.Context) (out []string) {
		stack := c.named(ctx)
		if stack == nil {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(stack.Services)) {
			s := stack.Services[name]
			if stage := stack.StageOf(name); stage != nil && (!staying || stage.Verb == stages.Start) {
				out = append(out, name+"\tservice of stage "+stage.Name)
				if s.Template != s.Shared() {
					out = append(out, s.Template+"\tservice of each app")
				}
			}
		}
		return out
	}
}

// steps are the IDs of the stack's steps; contained leaves out those without a container.
func (c *completer) steps(contained bool) candidates {
	return func(ctx context.Context) (out []string) {
		stack := c.named(ctx)
		if stack == nil {
			return nil
		}
		for _, s := range plan.Make(stack, plan.Facts{}, time.Now()).Steps {
			if !contained || s.Spec != nil {
				out = append(out, s.ID+"\tstep: "+string(s.Verb))
			}
		}
		return out
	}
}

func (c *completer) stages(ctx context.Context) (out []string) {
	if stack := c.named(ctx); stack != nil {
		for _, s := range stack.Stages {
			out = append(out, s.Name+"\tstage: "+string(s.Verb))
		}
	}
	return out
}

func (c *completer) appNames(ctx context.Context) (out []string) {
	if stack := c.named(ctx); stack != nil {
		for _, a := range stack.Apps {
			out = append(out, a.Name+"\tapp")
		}
	}
	return out
}

// profiles are those that the stack file's services have.
func (c *completer) profiles(context.Context) []string {
	if slices.Contains(c.flags.Files, "-") {
		return nil
	}
	o, err := c.Source()
	if err != nil {
		return nil
	}
	source := compose.Open(o, &problems.List{})
	if source == nil {
		return nil
	}
	var out []string
	for _, f := range slices.Concat(source.Files, source.Included) {
		for _, doc := range f.Docs {
			_, services := trees.Get(doc, "services")
			if services == nil {
				continue
			}
			for _, s := range trees.Entries(services) {
				if _, profiles := trees.Get(s.Value, "profiles"); profiles != nil {
					for _, p := range trees.Resolve(profiles).Content {
						out = append(out, trees.Resolve(p).Value)
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// runIDs are the IDs of the stack's runs, the latest first; of all stacks where none is named.
func (c *completer) runIDs(ctx context.Context) (out []string) {
	name := c.flags.Name
	if stack := c.named(ctx); stack != nil {
		name = stack.Name
	}
	for _, r := range c.recorded(ctx, name) {
		out = append(out, r.ID+"\t"+r.Stack+", "+r.Started.Local().Format(time.DateTime)+" "+string(r.Verdict))
	}
	return out
}

// stacks are those that the ledger has runs of.
func (c *completer) stacks(ctx context.Context) (out []string) {
	for _, r := range c.recorded(ctx, "") {
		if !slices.Contains(out, r.Stack) {
			out = append(out, r.Stack)
		}
	}
	return out
}

func (c *completer) recorded(ctx context.Context, stack string) []ledger.Run {
	l, err := c.OpenLedger(ctx)
	if err != nil {
		return nil
	}
	runs, err := l.Runs(ctx, stack)
	if errors.Join(err, l.Close()) != nil {
		return nil
	}
	return runs
}
