package waiters

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/containers"
)

// Exec holds when Command, run in the service's container, exits 0 and its
// output (both streams, the first 64 KiB) matches Output, if that is set.
type Exec struct {
	Service string
	Command []string
	Output  *regexp.Regexp
}

// Look runs the command once.
func (e Exec) Look(ctx context.Context, w World) (Observation, error) {
	execer, ok := w.Engine.(containers.Execer)
	if !ok {
		return Observation{}, &Dead{Name: e.Service, Reason: e.String() + ": this engine cannot run commands in containers"}
	}
	s, there, err := w.status(ctx, e.Service)
	if err != nil {
		return Observation{}, err
	}
	if !there || !s.Running() {
		return Observation{Detail: where(s, there)}, nil
	}
	var out capped
	code, err := execer.Exec(ctx, s.Name, e.Command, &out)
	switch {
	case errors.Is(err, containers.ErrNotFound), errors.Is(err, containers.ErrConflict):
		return Observation{Detail: "not running"}, nil
	case err != nil:
		return Observation{}, fmt.Errorf("%s: %w", e, err)
	case code != 0:
		return Observation{Detail: withOutput(fmt.Sprintf("exit %d", code), out.last())}, nil
	case e.Output != nil && !matches(e.Output, out.Bytes()):
		return Observation{Detail: withOutput("exit 0, but the output does not match", out.last())}, nil
	}
	return Observation{Holds: true, Detail: "exit 0"}, nil
}

// limit is generous: a command that is cut off goes on in its container.
func (e Exec) limit() time.Duration { return time.Minute }

// String is "exec SERVICE: COMMAND".
func (e Exec) String() string {
	return "exec " + e.Service + ": " + shorten(strings.Join(e.Command, " "))
}

// References is the service.
func (e Exec) References() []string { return []string{e.Service} }

func (d *decoder) exec(node *yaml.Node, p *pacing) Condition {
	if !d.mapping(node, "exec", "{service, command}") {
		return nil
	}
	f := d.long(node, p, "exec", "service", "command", "output")
	e := Exec{Service: f.service(), Command: f.command("command"), Output: f.pattern("output", false)}
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
