package waiters

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/containers"
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
func (f File) Look(ctx context.Context, w World) (Observation, error) {
	copier, ok := w.Engine.(containers.Copier)
	if !ok {
		return Observation{}, &Dead{Name: f.Service, Reason: f.String() + ": this engine cannot read files of containers"}
	}
	s, there, err := w.status(ctx, f.Service)
	if err != nil {
		return Observation{}, err
	}
	if !there {
		return Observation{Detail: where(s, there)}, nil
	}
	content, err := copier.CopyOut(ctx, s.Name, f.Path)
	switch {
	case errors.Is(err, containers.ErrNotFound):
		return Observation{Detail: "no such file"}, nil
	case err != nil:
		return Observation{}, fmt.Errorf("%s: %w", f, err)
	case f.Match != nil && !matches(f.Match, content):
		return Observation{Detail: fmt.Sprintf("the file (%d bytes) does not match", len(content))}, nil
	}
	return Observation{Holds: true, Detail: fmt.Sprintf("%d bytes", len(content))}, nil
}

// String is "file SERVICE:PATH".
func (f File) String() string { return "file " + f.Service + ":" + shorten(f.Path) }

// References is the service.
func (f File) References() []string { return []string{f.Service} }

func (d *decoder) file(node *yaml.Node, p *pacing) Condition {
	if !d.mapping(node, "file", "{service, path}") {
		return nil
	}
	f := d.long(node, p, "file", "service", "path", "match")
	c := File{Service: f.service(), Path: f.text("path", true), Match: f.pattern("match", false)}
	if c.Path != "" && !path.IsAbs(c.Path) && !strings.HasPrefix(c.Path, handedOpen) {
		f.bad(f.values["path"], "expected a path that begins with /", "path cannot be %q", c.Path)
	}
	if !f.ok {
		return nil
	}
	c.Path = path.Clean(c.Path)
	return c
}
