package decode

import (
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

var execForm = form{
	"exec", "A command in the service's running container exits with 0", false, shapes.Fields{
		shapes.Key("service", "The service in whose container the command runs", shapes.Scalar()),
		shapes.Key("command", "A list, run as it stands, or a text, run by /bin/sh -c", shapes.OneOrMore(shapes.Scalar())),
		shapes.Key("output", "A regular expression (Go's, RE2) that what it prints must match", shapes.Scalar()),
	}, []string{"service", "command"},
}

func (d *decoder) exec(node *yaml.Node, p *pacing) waiters.Condition {
	if !d.mapping(node, "exec", "{service, command}") {
		return nil
	}
	f := d.long(node, p, execForm)
	e := conditions.Exec{Service: f.service(), Command: f.command("command"), Output: f.pattern("output", false)}
	if !f.ok {
		return nil
	}
	return e
}

// command is a list, run as it stands, or a text, run by /bin/sh -c.
func (f *fields) command(key string) []string {
	node := f.values[key]
	if node == nil || node.Kind != yaml.SequenceNode {
		text := f.text(key, true)
		return []string{"/bin/sh", "-c", text}
	}
	if len(node.Content) == 0 {
		f.bad(node, "", "%s must not be empty", key)
	}
	var command []string
	for _, item := range node.Content {
		item = resolve(item)
		word, ok := f.d.text(item, "a word of "+key)
		f.ok = f.ok && ok
		command = append(command, word)
	}
	return command
}
