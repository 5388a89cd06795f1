package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/flags"
	"github.com/stagehand-dev/stagehand/views"
)

// release is set by the release build: -ldflags "-X …/internal/cli.release=v1.2.3".
var release string

func (in *invocation) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version [OPTIONS]",
		Short:   "Prints the version",
		Example: `  stagehand version`,
		Args:    flags.NoArguments,
		RunE:    func(*cobra.Command, []string) error { return in.runVersion() },
	}
}

func (in *invocation) runVersion() error {
	v := buildVersion()
	if in.flags.JSON {
		return views.WriteJSON(in.Stdout, v)
	}
	_, err := fmt.Fprintf(in.Stdout, "stagehand %s (%s, %s)\n", v.Version, v.Go, v.Platform)
	return err
}

type built struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() built {
	version := release
	if info, ok := debug.ReadBuildInfo(); ok && version == "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	return built{cmp.Or(version, "development"), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
}
