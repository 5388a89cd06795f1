package stages_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

// FuzzLoad reads any text as a stack file: it ends soon, without a panic,
// with a consistent stack or with problems in their places.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../examples/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			t.Skip("longer than what the seeds grow to in useful ways")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		stack, err := stages.Load(ctx, compose.Options{Files: []string{"-"}, Stdin: text, Dir: dir, Environ: []string{"HOME=/nowhere"}})
		var problem *problems.Error
		switch {
		case ctx.Err() != nil:
			t.Fatal("takes for ever")
		case err == nil:
			consistent(t, "text", stack)
		case !errors.As(err, &problem):
			t.Fatalf("not a problem of the file: %v", err)
		}
	})
}
