package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/starter"
	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/terminal"
	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/views/text"
)

type initOptions struct {
	example, output string
	force           bool
}

func (in *invocation) init() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init [OPTIONS]",
		Short: "Writes a first stack file: from a Compose file, from questions, or an example",
		Long: `Writes a stack file, stagehand.yaml:
  of the Compose file that -f names, or that is here: it is included as it is,
  and the stages are those that follow from depends_on;
  with --example, of an example;
  else, on a terminal, of the answers to a few questions.

A file that is there already is not touched, unless you say so when you are asked, or
with --force. What is written has been read by validate before.`,
		Example: `  stagehand init
  stagehand init -f docker-compose.yml
  stagehand init --example hello -o hello.yaml`,
		Args: flags.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.runInit(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.example, "example", "", "write the example `NAME`: "+starter.Alternatives())
	cmd.Flags().StringVarP(&o.output, "output", "o", "stagehand.yaml", "write to `FILE`; - is standard output")
	cmd.Flags().BoolVar(&o.force, "force", false, "overwrite the file that is there")
	return cmd
}

func (in *invocation) runInit(ctx context.Context, o initOptions) error {
	if in.flags.JSON {
		return exit.Misuse("init writes YAML: leave --json out")
	}
	if o.example != "" && len(in.flags.Files) > 0 {
		return exit.Misuse("--example and --file exclude each other")
	}
	var asker *starter.Asker
	if tty := terminal.Of(in.Stdin); tty != nil {
		asker = starter.NewAsker(in.Stdin, in.Stderr)
	}
	target := in.Within(o.output)
	if _, err := os.Lstat(target); o.output != "-" && !errors.Is(err, fs.ErrNotExist) && !o.force {
		if err != nil {
			return exit.Misuse("%v", err)
		}
		if asker == nil {
			return exit.Misuse("%s is there already: name another file with -o, or overwrite it with --force", o.output)
		}
		if o.force, err = asker.Agree(ctx, o.output+" is there already. Overwrite it"); err != nil || !o.force {
			return orMisuse(err, "%s stays as it is: name another file with -o", o.output)
		}
	}
	content, err := in.firstFile(ctx, o, asker, target)
	if err != nil {
		return err
	}
	if o.output == "-" {
		_, err := in.Stdout.Write([]byte(content))
		return err
	}
	stack, err := starter.Place(ctx, target, content, o.force, compose.Options{Profiles: in.flags.Profiles, EnvFiles: in.flags.EnvFiles, Environ: in.Environ})
	if err != nil {
		return err
	}
	in.Warn(stack)
	if o.output != "stagehand.yaml" {
		in.flags.Files = []string{o.output}
	} else {
		in.flags.Files = nil // it is found by its name
	}
	_, err = fmt.Fprintf(in.Stdout, "%s: %s, %s\n  %s  what would happen\n  %s    do it\n", o.output,
		text.Plural(len(stack.Stages), "stage"), text.Plural(len(stack.Services), "service"), in.flags.Command("", "plan"), in.flags.Command("", "up"))
	return err
}

// orMisuse is err, or a misuse where there is none.
func orMisuse(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return exit.Misuse(format, args...)
}

// firstFile is the content of the stack file to be.
func (in *invocation) firstFile(ctx context.Context, o initOptions, asker *starter.Asker, target string) (string, error) {
	if o.example != "" {
		content, ok := starter.Example(o.example)
		if !ok {
			return "", exit.Misuse("%s", starter.Unknown(o.example))
		}
		return content, nil
	}
	files, err := in.composeFiles()
	if err != nil {
		return "", err
	}
	if len(files) > 0 {
		return in.fromCompose(ctx, files, target)
	}
	if asker == nil {
		return "", exit.Misuse("there is no Compose file here and no terminal to ask on: name one with -f, or write an example with --example (%s)", starter.Alternatives())
	}
	content, err := asker.Interview(ctx, cmp.Or(in.flags.Name, filepath.Base(absolute(in.Within(".")))))
	if errors.Is(err, starter.ErrNoAnswer) {
		return "", exit.Misuse("%v", err)
	}
	return content, err
}

// composeFiles are those of the command line, or those that Compose would find in this folder.
func (in *invocation) composeFiles() ([]string, error) {
	if slices.Contains(in.flags.Files, "-") {
		return nil, exit.Misuse("a file that comes on standard input cannot be included: name a file")
	}
	if len(in.flags.Files) > 0 {
		o, err := in.Source()
		return o.Files, err
	}
	first := func(names ...string) (files []string) {
		for _, name := range names {
			if _, err := os.Stat(in.Within(name)); err == nil {
				return []string{in.Within(name)}
			}
		}
		return nil
	}
	found := first("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
	if len(found) > 0 {
		found = append(found, first("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml")...)
	}
	return found, nil
}

func (in *invocation) fromCompose(ctx context.Context, files []string, target string) (string, error) {
	o, err := in.Source()
	if err != nil {
		return "", err
	}
	o.Files = files
	stack, err := in.LoadFrom(ctx, o)
	if err != nil {
		return "", err
	}
	var paths []string
	for _, s := range stack.Stages {
		if !s.Implicit {
			return "", exit.Misuse("%s has stages already: it is a stack file as it stands", filepath.Base(files[0]))
		}
	}
	if len(stack.Stages) == 0 {
		return "", exit.Misuse("%s has no service that could be started", filepath.Base(files[0]))
	}
	dir := filepath.Dir(absolute(target))
	if target == in.Within("-") {
		dir = absolute(in.Within("."))
	}
	for _, file := range stack.Files {
		path, err := filepath.Rel(dir, file)
		if err != nil {
			path = file
		}
		paths = append(paths, filepath.ToSlash(path))
	}
	return starter.FromCompose(stack, paths), nil
}

// absolute is the path from the root; as it is where that cannot be known.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
