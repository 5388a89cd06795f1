package conditions

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

// File holds when the regular file Path stands in the service's container and its
// content matches Match, if that is set. The container need not run.
type File struct {
	Service string
	// Path is absolute.
	Path  string
	Match *regexp.Regexp
}

// Look copies the file out.
func (f File) Look(ctx context.Context, w waiters.World) (waiters.Observation, error) {
	copier, ok := w.Engine.(containers.Copier)
	if !ok {
		return waiters.Observation{}, &waiters.Dead{Name: f.Service, Reason: f.String() + ": this engine cannot read files of containers"}
	}
	s, there, err := w.Status(ctx, f.Service)
	if err != nil {
		return waiters.Observation{}, err
	}
	if !there {
		return waiters.Observation{Detail: where(s, there)}, nil
	}
	content, err := copier.CopyOut(ctx, s.Name, f.Path)
	switch {
	case errors.Is(err, containers.ErrNotFound):
		return waiters.Observation{Detail: "no such file"}, nil
	case err != nil:
		return waiters.Observation{}, fmt.Errorf("%s: %w", f, err)
	case f.Match != nil && !texts.Match(f.Match, content):
		return waiters.Observation{Detail: fmt.Sprintf("the file (%d bytes) does not match", len(content))}, nil
	}
	return waiters.Observation{Holds: true, Detail: fmt.Sprintf("%d bytes", len(content))}, nil
}

// String is "file SERVICE:PATH".
func (f File) String() string { return "file " + f.Service + ":" + texts.Shorten(f.Path) }

// References is the service.
func (f File) References() []string { return []string{f.Service} }
