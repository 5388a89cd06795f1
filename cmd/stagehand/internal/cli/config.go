package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/stages"
)

type configOptions struct{ services, images, quiet bool }

func (in *invocation) config() *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use:   "config [OPTIONS]",
		Short: "Prints the stack's Compose model, with everything resolved",
		Long: `Prints the stack's Compose model as YAML: variables replaced, files merged,
templates once for each app. Values of the environment stand in it as they are,
secret ones too. It needs no engine.`,
		Example: `  stagehand config
  stagehand config --services
  stagehand config --json`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runConfig(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.services, "services", false, "print the services' names only, one a line")
	cmd.Flags().BoolVar(&o.images, "images", false, "print the images' names only, one a line")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print nothing: only say what is wrong with the files")
	return cmd
}

func (in *invocation) runConfig(ctx context.Context, o configOptions) error {
	asked := 0
	for _, flag := range []bool{o.services, o.images, o.quiet, in.flags.JSON} {
		if flag {
			asked++
		}
	}
	if asked > 1 {
		return exit.Misuse("--services, --images, --quiet and --json exclude each other")
	}
	source, err := in.Source()
	if err != nil {
		return err
	}
	stack, model, err := stages.Config(ctx, source)
	if err != nil {
		return err
	}
	in.Warn(stack)
	switch {
	case o.quiet:
		return nil
	case o.services:
		return in.list(slices.Sorted(maps.Keys(stack.Services)))
	case o.images:
		images := map[string]bool{}
		for _, s := range stack.Services {
			images[s.Spec.Image] = true
		}
		return in.list(slices.Sorted(maps.Keys(images)))
	}
	write := model.YAML
	if in.flags.JSON {
		write = model.JSON
	}
	text, err := write()
	if err != nil {
		return err
	}
	_, err = io.WriteString(in.Stdout, text)
	return err
}

// list writes one name a line.
func (in *invocation) list(names []string) error {
	for _, name := range names {
		if _, err := fmt.Fprintln(in.Stdout, name); err != nil {
			return err
		}
	}
	return nil
}
