package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/images"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
	"github.com/stagehand-dev/stagehand/views"
)

func (in *invocation) build() *cobra.Command {
	o := images.BuildOptions{Getenv: in.Getenv, Masker: in.masker, Say: in.say}
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
	cmd.Flags().BoolVar(&o.NoCache, "no-cache", false, "build every layer anew")
	cmd.Flags().BoolVar(&o.Pull, "pull", false, "pull newer images to build from")
	cmd.Flags().BoolVarP(&o.Quiet, "quiet", "q", false, "print the images only, not how they are built")
	cmd.Flags().StringArrayVar(&o.Args, "build-arg", nil, "set a build's argument, `KEY=VALUE`, or KEY for the environment's value; may be repeated")
	return cmd
}

func (in *invocation) runBuild(ctx context.Context, o images.BuildOptions, words []string) error {
	stack, err := in.Load(ctx)
	if err != nil {
		return err
	}
	wanted, err := images.ToBuild(stack, words, in.say)
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
	err = images.Build(ctx, engine, wanted, o, func(image containers.Image) error {
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

// buildFirst builds all of the stack's images, before a run whose plan then
// sees which have moved.
func (in *invocation) buildFirst(ctx context.Context, engine containers.Engine, stack *stages.Stack) error {
	wanted, err := images.ToBuild(stack, nil, in.say)
	if err != nil {
		return err
	}
	return images.Build(ctx, engine, wanted, images.BuildOptions{Say: in.say}, func(containers.Image) error { return nil })
}
