package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/images"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/views"
)

func (in *invocation) pull() *cobra.Command {
	return &cobra.Command{
		Use:   "pull [OPTIONS] [SERVICE...]",
		Short: "Pulls the services' images",
		Long: `Pulls the images of the named services, helpers too, or of all, but for those that
are built here or have pull_policy: never. Nothing is started: the next up makes
anew what runs on an image that has moved.`,
		Example: `  stagehand pull
  stagehand pull db api`,
		RunE: func(cmd *cobra.Command, args []string) error { return in.runPull(cmd.Context(), args) },
	}
}

func (in *invocation) runPull(ctx context.Context, words []string) error {
	stack, err := in.Load(ctx)
	if err != nil {
		return err
	}
	wanted, err := images.ToPull(stack, words, in.say)
	if err != nil {
		return err
	}
	engine, err := in.Engine(ctx)
	if err != nil {
		return err
	}
	var got []containers.Image
	missing, err := images.Pull(ctx, engine, wanted, in.say, func(image containers.Image) error {
		got = append(got, image)
		if in.flags.JSON {
			return nil
		}
		_, err := fmt.Fprintf(in.Stdout, "%s: %s\n", image.Ref, image.ID)
		return err
	})
	if err != nil {
		return exit.OfEngine(err)
	}
	if in.flags.JSON {
		slices.SortFunc(got, func(a, b containers.Image) int { return cmp.Compare(a.Ref, b.Ref) })
		if err := views.WriteJSON(in.Stdout, got); err != nil {
			return err
		}
	}
	if missing > 0 {
		return &exit.Error{Code: exit.Failed}
	}
	return nil
}
