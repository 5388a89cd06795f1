package cli

import (
	"fmt"
	"os"
)

// write writes what a command makes to the file that was asked for, or to
// standard output where none was. It may hold secrets: the user alone can read the file.
func (in *invocation) write(file, what string, content []byte) error {
	if file == "" || file == "-" {
		_, err := in.Stdout.Write(content)
		return err
	}
	if err := os.WriteFile(in.Within(file), content, 0o600); err != nil {
		return fmt.Errorf("writing the %s: %w", what, err)
	}
	return nil
}
