package images

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
)

// pulling is how many images are pulled at a time: each is pulled by layers side by side.
const pulling = 4

// Image is one that is to be pulled.
type Image struct{ Ref, Platform string }

// ToPull are the images to pull, of the services that the words name, or of all, each once. Of a service that was named and
// has none to pull it says why.
func ToPull(stack *stages.Stack, words []string, say Say) ([]Image, error) {
	var out []Image
	services, err := chosen(stack, words)
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		if len(words) > 0 && !pulled(s.Spec) {
			say("%s is left out: it is built here, or its pull_policy is never", s.Name)
		}
		for _, spec := range append([]containers.Spec{s.Spec}, s.Spec.PreStart...) {
			if i := (Image{spec.Image, spec.Platform}); pulled(spec) && !slices.Contains(out, i) {
				out = append(out, i)
			}
		}
	}
	return out, nil
}

func pulled(spec containers.Spec) bool { return spec.Build == nil && spec.Pull != containers.PullNever }

// Pull pulls the images, tells each that is there then, one at a time, and says which cannot be had and how
// many these are. The error is the engine's, or that of told.
func Pull(ctx context.Context, engine containers.Engine, wanted []Image, say Say, told func(containers.Image) error) (missing int, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pulling)
	for _, i := range wanted {
		group.Go(func() error {
			found, err := engine.EnsureImage(ctx, i.Ref, i.Platform, containers.PullAlways, nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, containers.ErrImage):
				missing++
				say("%v", err)
				return nil
			case err != nil:
				return err
			}
			return told(found)
		})
	}
	err = group.Wait()
	return missing, err
}
