package cli

import "github.com/spf13/pflag"

// accepted takes a flag of docker compose that asks for what the command does anyway, so that
// whoever types it out of habit is understood; false changes nothing.
func accepted(flags *pflag.FlagSet, name, short, usage string) {
	flags.BoolP(name, short, true, usage)
}
