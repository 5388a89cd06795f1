package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
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

// pulling is how many images are pulled at a time: each is pulled by layers side by side.
const pulling = 4

// image is one that is to be pulled.
type image struct{ ref, platform string }

func (in *invocation) runPull(ctx context.Context, words []string) error {
	stack, err := in.Load(ctx)
	if err != nil {
		return err
	}
	wanted, err := in.wanted(stack, words)
	if err != nil {
		return err
	}
	engine, err := in.Engine(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	missing := 0
	var got []containers.Image
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pulling)
	for _, i := range wanted {
		group.Go(func() error {
			found, err := engine.EnsureImage(ctx, i.ref, i.platform, containers.PullAlways, nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, containers.ErrImage):
				missing++
				in.say("%v", err)
				return nil
			case err != nil:
				return err
			}
			got = append(got, found)
			if in.flags.JSON {
				return nil
			}
			_, err = fmt.Fprintf(in.Stdout, "%s: %s\n", found.Ref, found.ID)
			return err
		})
	}
	if err := group.Wait(); err != nil {
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

// wanted are the images to pull, each once. Of a service that was named and
// has none to pull it says why.
func (in *invocation) wanted(stack *stages.Stack, words []string) ([]image, error) {
	var out []image
	services, err := chosen(stack, words)
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		i := image{s.Spec.Image, s.Spec.Platform}
		switch {
		case slices.Contains(out, i):
		case s.Spec.Build != nil || s.Spec.Pull == containers.PullNever:
			if len(words) > 0 {
				in.say("%s is left out: it is built here, or its pull_policy is never", s.Name)
			}
		default:
			out = append(out, i)
		}
	}
	return out, nil
}
