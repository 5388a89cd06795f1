package images

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/secrets"
	"github.com/stagehand-dev/stagehand/stages"
)

// BuildOptions say how images are built. Say must be set; with Args also Getenv and Masker.
type BuildOptions struct {
	NoCache, Pull, Quiet bool
	// Args win over the file's: KEY=VALUE, or KEY for the environment's value.
	Args   []string
	Getenv func(name string) string
	// Masker learns the values of Args that are secret.
	Masker *secrets.Masker
	Say    Say
}

// ToBuild are the services whose images are to be built: those that the words name, or all; of those that
// share an image the first. Of a service that was named and has no build: it says so.
func ToBuild(stack *stages.Stack, words []string, say Say) ([]stages.Service, error) {
	var out []stages.Service
	seen := map[string]bool{}
	services, err := chosen(stack, words)
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		if s.Spec.Build == nil {
			if len(words) > 0 {
				say("%s is left out: it has no build:", s.Name)
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

// Build builds one image after another, as each build uses all there is,
// tries them all, tells each that was built, and says what could not be.
func Build(ctx context.Context, engine containers.Engine, wanted []stages.Service, o BuildOptions, told func(containers.Image) error) error {
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
		b.NoCache, b.Pull = b.NoCache || o.NoCache, b.Pull || o.Pull
		b.Args = o.withArgs(b.Args)
		var progress func(string)
		if !o.Quiet {
			progress = func(line string) { o.Say("%s: %s", s.Name, line) }
		}
		image, err := builder.Build(ctx, s.Spec.Image, s.Spec.Platform, b, progress)
		switch {
		case errors.Is(err, containers.ErrImage):
			failed++
			o.Say("%v", err)
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

// withArgs are the file's arguments with those of the command line, which win,
// sorted by key. One without a value has the environment's, or is left out.
func (o BuildOptions) withArgs(file []string) []string {
	values := map[string]string{}
	for _, pair := range file {
		key, value, _ := strings.Cut(pair, "=")
		values[key] = value
	}
	for _, pair := range o.Args {
		key, value, given := strings.Cut(pair, "=")
		if !given {
			if value = o.Getenv(key); value == "" {
				continue
			}
		}
		values[key] = value
		o.Masker.Pair(key, value)
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		out = append(out, key+"="+values[key])
	}
	return out
}
