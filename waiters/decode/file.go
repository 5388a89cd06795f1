package decode

import (
	"path"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

var fileForm = form{
	"file", "A file exists in the service's container", false, shapes.Fields{
		shapes.Key("service", "The service in whose container the file is", shapes.Scalar()),
		shapes.Key("path", "The file's path, which begins with /", shapes.Matching("^/")),
		shapes.Key("match", "A regular expression (Go's, RE2) that a line of it must match", shapes.Scalar()),
	}, []string{"service", "path"},
}

func (d *decoder) file(node *yaml.Node, p *pacing) waiters.Condition {
	if !d.mapping(node, "file", "{service, path}") {
		return nil
	}
	f := d.long(node, p, fileForm)
	c := conditions.File{Service: f.service(), Path: f.text("path", true), Match: f.pattern("match", false)}
	if c.Path != "" && !path.IsAbs(c.Path) && !strings.HasPrefix(c.Path, texts.HandedOpen) {
		f.bad(f.values["path"], "expected a path that begins with /", "path cannot be %q", c.Path)
	}
	if !f.ok {
		return nil
	}
	c.Path = path.Clean(c.Path)
	return c
}
