package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
)

type buildOptions struct {
	noCache, pull, quiet bool
	args                 []string
}

func (in *invocation) build() *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build [OPTIONS] [SERVICE...]",
		Short: "Builds the services' images",
		Long: `Builds the images of the named services, helpers too, or of all that have build:,
one after another, whether they are there already or not. Nothing is started: the
next up makes anew what runs on an image that has moved. up --build does both.`,
		Example: `  stagehand build
  stagehand build --no-cache api`,
		RunE: func(cmd *cobra.Command, args []string) error { return in.runBuild(cmd.Context(), o, args) },
	}
	cmd.Flags().BoolVar(&o.noCache, "no-cache", false, "build every layer anew")
	cmd.Flags().BoolVar(&o.pull, "pull", false, "pull newer images to build from")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print the images only, not how they are built")
	cmd.Flags().StringArrayVar(&o.args, "build-arg", nil, "set a build's argument, `KEY=VALUE`, or KEY for the environment's value; may be repeated")
	return cmd
}

func (in *invocation) runBuild(ctx context.Context, o buildOptions, words []string) error {
	stack, err := in.Load(ctx)
	if err != nil {
		return err
	}
	wanted, err := in.toBuild(stack, words)
	if err != nil {
		return err
	}
	engine, err := in.Engine(ctx)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		in.say("nothing to build: no service has build:")
	}
	built := []containers.Image{}
	err = in.buildImages(ctx, engine, wanted, o, func(image containers.Image) error {
		built = append(built, image)
		if in.flags.JSON {
			return nil
		}
		_, err := fmt.Fprintf(in.Stdout, "%s: %s\n", image.Ref, image.ID)
		return err
	})
	if in.flags.JSON {
		err = errors.Join(views.WriteJSON(in.Stdout, built), err)
	}
	return err
}

// toBuild are the services whose images are to be built, of those that share
// one the first. Of a service that was named and has no build: it says so.
func (in *invocation) toBuild(stack *stages.Stack, words []string) ([]stages.Service, error) {
	var out []stages.Service
	seen := map[string]bool{}
	services, err := chosen(stack, words)
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		if s.Spec.Build == nil {
			if len(words) > 0 {
				in.say("%s is left out: it has no build:", s.Name)
			}
			continue
		}
		text, err := json.Marshal(s.Spec.Build)
		if err != nil {
			return nil, err
		}
		if key := s.Spec.Image + "\x00" + s.Spec.Platform + "\x00" + string(text); !seen[key] {
			seen[key] = true
			out = append(out, s)
		}
	}
	return out, nil
}

// buildImages builds one image after another, as each build uses all there is,
// tries them all, tells each that was built, and says what could not be.
func (in *invocation) buildImages(ctx context.Context, engine containers.Engine, wanted []stages.Service, o buildOptions, told func(containers.Image) error) error {
	if len(wanted) == 0 {
		return nil
	}
	builder, can := containers.AsBuilder(engine)
	if !can {
		return exit.Misuse("this engine builds no images")
	}
	failed := 0
	for _, s := range wanted {
		b := *s.Spec.Build
		b.NoCache, b.Pull = b.NoCache || o.noCache, b.Pull || o.pull
		b.Args = in.withArgs(b.Args, o.args)
		var progress func(string)
		if !o.quiet {
			progress = func(line string) { in.say("%s: %s", s.Name, line) }
		}
		image, err := builder.Build(ctx, s.Spec.Image, s.Spec.Platform, b, progress)
		switch {
		case errors.Is(err, containers.ErrImage):
			failed++
			in.say("%v", err)
			continue
		case err != nil:
			return exit.OfEngine(err)
		}
		if err := told(image); err != nil {
			return err
		}
	}
	if failed > 0 {
		return &exit.Error{Code: exit.Failed}
	}
	return nil
}

// buildFirst builds all of the stack's images, before a run whose plan then
// sees which have moved.
func (in *invocation) buildFirst(ctx context.Context, engine containers.Engine, stack *stages.Stack) error {
	wanted, err := in.toBuild(stack, nil)
	if err != nil {
		return err
	}
	return in.buildImages(ctx, engine, wanted, buildOptions{}, func(containers.Image) error { return nil })
}

// withArgs are the file's arguments with those of the command line, which win,
// sorted by key. One without a value has the environment's, or is left out.
func (in *invocation) withArgs(file, asked []string) []string {
	values := map[string]string{}
	for _, pair := range file {
		key, value, _ := strings.Cut(pair, "=")
		values[key] = value
	}
	for _, pair := range asked {
		key, value, given := strings.Cut(pair, "=")
		if !given {
			if value = in.Getenv(key); value == "" {
				continue
			}
		}
		values[key] = value
		in.masker.Pair(key, value)
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		out = append(out, key+"="+values[key])
	}
	return out
}
