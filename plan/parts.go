package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/secrets"
)

// Bounds of what is kept of a spec, so that an event stays a line that can be
// read: bytes of one argument, of all of them, and the number of variables
// that are told apart.
const (
	maxArgument  = 80
	maxArguments = 1000
	maxKeys      = 64
)

// envPart stands before the name of an environment variable.
const envPart = "env."

// textual are the fields that are kept as they are; of every other one a
// hash is kept.
var textual = []string{"name", "image", "platform", "user", "working_dir", "hostname", "network_mode", "stop_signal"}

// PartsOf takes a spec apart: all that its Hash covers, by the field's JSON
// name, for Changes to compare. Entrypoint and command are texts (a JSON list
// each) in which what looks like a secret is replaced by a hash; environment
// variables are "env.KEY" with a hash of the value. Fields that are not set
// are left out. known are further secrets; it may be nil.
func PartsOf(spec containers.Spec, known *secrets.Masker) map[string]string {
	spec.Labels, spec.Pull, spec.Build = nil, "", nil
	text, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("plan: a spec of plain data does not marshal: %v", err))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		panic(fmt.Sprintf("plan: a spec of plain data is no JSON object: %v", err))
	}
	parts := map[string]string{}
	for name, value := range fields {
		switch text := string(value); {
		case name == "env":
			environment(parts, spec.Env)
		case text == "null", text == "{}", text == `""`:
		case name == "command":
			parts[name] = arguments(spec.Command, known)
		case name == "entrypoint":
			parts[name] = arguments(spec.Entrypoint, known)
		case slices.Contains(textual, name):
			var plain string
			if err := json.Unmarshal(value, &plain); err != nil {
				panic(fmt.Sprintf("plan: %s is no text: %v", name, err))
			}
			parts[name] = known.Text(plain)
		default:
			parts[name] = short(name, text)
		}
	}
	return parts
}

func environment(parts map[string]string, env []string) {
	if len(env) > maxKeys {
		parts["env"] = short("env", strings.Join(env, "\x00"))
		return
	}
	for _, pair := range env {
		key, value, _ := strings.Cut(pair, "=")
		parts[envPart+key] = short(key, value)
	}
}

// short is a hash that tells two values of one field apart and no more: it
// is too short to be sure of a guessed secret, and different for another field.
func short(field, value string) string { return hashText(field + "\x00" + value)[:6] }

// arguments writes a command line down, bounded and without what looks like a secret, or is known as one.
func arguments(all []string, known *secrets.Masker) string {
	kept := secrets.Words(all, hidden)
	for i := range kept {
		kept[i] = argument(known.Each(kept[i], hidden), all[i])
	}
	text, err := json.Marshal(kept)
	if err != nil {
		panic(fmt.Sprintf("plan: words do not marshal: %v", err))
	}
	if len(text) > maxArguments {
		return short("argv", strings.Join(all, "\x00"))
	}
	return string(text)
}

// argument is what is kept of a word; plain is the word without secrets.
func argument(plain, word string) string {
	if len(plain) > maxArgument {
		plain = strings.ToValidUTF8(plain[:maxArgument], "") + "…" + short("argument", word)
	}
	return plain
}

func hidden(secret string) string { return secrets.Hidden + short("secret", secret) }

// Changes says in words what differs between the parts of two specs; "" where
// nothing that is known does. Values are shown where they are short and of no
// secret field: of the environment only the names are.
func Changes(before, after map[string]string) string {
	var said, changed, vars []string
	keys := slices.Sorted(maps.Keys(before))
	for key := range after {
		if _, both := before[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var argv bool
	for _, key := range keys {
		was, had := before[key]
		is, has := after[key]
		switch {
		case had == has && was == is:
		case key == "command", key == "entrypoint":
			argv = true
		case strings.HasPrefix(key, envPart):
			vars = append(vars, variable(strings.TrimPrefix(key, envPart), had, has))
		case key == "env":
			vars = append(vars, "many variables")
		case slices.Contains(textual, key):
			said = append(said, fmt.Sprintf("%s changed: %s → %s", words(key), orNone(was), orNone(is)))
		default:
			changed = append(changed, words(key))
		}
	}
	if len(vars) > 0 {
		said = slices.Insert(said, 0, "environment changed: "+list(vars))
	}
	if argv {
		said = slices.Insert(said, 0, argvChange(before, after))
	}
	if len(changed) > 0 {
		said = append(said, list(changed)+" changed")
	}
	return strings.Join(said, "; ")
}

func variable(name string, had, has bool) string {
	switch {
	case !had:
		return name + " is new"
	case !has:
		return name + " is gone"
	}
	return name
}

// argvChange shows the command lines, entrypoint first, without what they
// have in common where that is long.
func argvChange(before, after map[string]string) string {
	was, is := argv(before), argv(after)
	if was == nil || is == nil {
		return "argv changed"
	}
	if slices.Equal(was, is) { // only where the entrypoint ends and the command begins
		return "argv changed: " + line(was, 0, 0) + " is divided into entrypoint and command in another way"
	}
	head, tail := 0, 0
	if len(line(was, 0, 0))+len(line(is, 0, 0)) > maxArgument {
		for head < min(len(was), len(is)) && was[head] == is[head] {
			head++
		}
		for tail < min(len(was), len(is))-head && was[len(was)-1-tail] == is[len(is)-1-tail] {
			tail++
		}
	}
	return "argv changed: " + line(was, head, tail) + " → " + line(is, head, tail)
}

// argv is entrypoint and command as words, nil where they were too long to be kept.
func argv(parts map[string]string) []string {
	all := []string{}
	for _, key := range []string{"entrypoint", "command"} {
		text, there := parts[key]
		if !there {
			continue
		}
		var some []string
		if json.Unmarshal([]byte(text), &some) != nil {
			return nil
		}
		all = append(all, some...)
	}
	return all
}

// line writes words down but for the first head and the last tail of them.
func line(all []string, head, tail int) string {
	var shown []string
	if head > 0 {
		shown = append(shown, "…")
	}
	for _, word := range all[head : len(all)-tail] {
		if word == "" || strings.ContainsAny(word, " \t\n\"'") {
			word = fmt.Sprintf("%q", word)
		}
		shown = append(shown, word)
	}
	if tail > 0 {
		shown = append(shown, "…")
	}
	return orNone(strings.Join(shown, " "))
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func words(field string) string { return strings.ReplaceAll(field, "_", " ") }

// list joins names; of more than five the rest is counted.
func list(names []string) string {
	if len(names) > 5 {
		names = append(slices.Clone(names[:4]), fmt.Sprintf("%d more", len(names)-4))
	}
	return strings.Join(names, ", ")
}
