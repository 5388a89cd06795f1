package decode

import (
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

func (d *decoder) exec(node *yaml.Node, p *pacing) waiters.Condition {
	if !d.mapping(node, "exec", "{service, command}") {
		return nil
	}
	f := d.long(node, p, "exec", "service", "command", "output")
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
