package starter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
)

// Place writes the content to a file beside the target, reads that as a stack, and only then
// makes it the target. It overwrites nothing unless over is true. o is how else the stack is read.
func Place(ctx context.Context, target, content string, over bool, o compose.Options) (stack *stages.Stack, err error) {
	file, err := os.CreateTemp(filepath.Dir(target), "stagehand.*.yaml")
	if err != nil {
		return nil, exit.Misuse("%v", err)
	}
	defer func() {
		if removed := os.Remove(file.Name()); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}()
	_, err = file.WriteString(content)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return nil, fmt.Errorf("writing a stack file: %w", err)
	}
	o.Files = []string{file.Name()}
	if stack, err = stages.Load(ctx, o); err != nil {
		return nil, fmt.Errorf("what would have been written is no stack file: %w", err)
	}
	if over {
		return stack, os.Rename(file.Name(), target)
	}
	fresh, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, exit.Misuse("%v", err)
	}
	_, err = fresh.WriteString(content)
	return stack, errors.Join(err, fresh.Close())
}
