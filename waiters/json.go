package waiters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// JSON is what a body must hold.
type JSON struct {
	// Path is .a.b[0].c, with or without a leading $; keys with other
	// characters are written ["a key"].
	Path string
	// Value is what must stand there: nil, []any, map[string]any, or a single
	// value, which is compared by its text, or as a number: 1 is "1" and 1.0.
	Value any
	// Present asks only that something other than null or false stands there.
	Present bool
}

// check returns why the body does not hold what is asked for; "" if it does.
func (j *JSON) check(body []byte) string {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return "the body is not JSON"
	}
	steps, err := parsePath(j.Path)
	if err != nil {
		return err.Error()
	}
	for _, step := range steps {
		switch at := value.(type) {
		case map[string]any:
			key, ok := step.(string)
			if value, ok = at[key], ok && has(at, key); !ok {
				return j.Path + " is missing"
			}
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(at) {
				return j.Path + " is missing"
			}
			value = at[i]
		default:
			return j.Path + " is missing"
		}
	}
	if j.Present {
		if value == nil || value == false {
			return fmt.Sprintf("%s is %s", j.Path, show(value))
		}
		return ""
	}
	if !same(value, j.Value) {
		return fmt.Sprintf("%s is %s", j.Path, show(value))
	}
	return ""
}

func has(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

// show is a value's JSON, shortened.
func show(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return shorten(string(text))
}

// same compares a value of an answer with one of the stack file: single
// values by text or as numbers, lists and mappings part by part.
func same(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok || len(m) != len(want) {
			return false
		}
		for key, value := range want {
			if !has(m, key) || !same(m[key], value) {
				return false
			}
		}
		return true
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !same(list[i], want[i]) {
				return false
			}
		}
		return true
	}
	switch got.(type) {
	case map[string]any, []any:
		return false
	case nil:
		return want == nil
	}
	return want != nil && sameText(fmt.Sprint(got), fmt.Sprint(want))
}

// sameText compares two single values by their text or, where both are numbers, by number.
func sameText(got, want string) bool {
	if got == want {
		return true
	}
	a, err1 := strconv.ParseFloat(got, 64)
	b, err2 := strconv.ParseFloat(want, 64)
	if err1 != nil || err2 != nil || a != b {
		return false
	}
	// Beyond 2^53 different whole numbers are one float64: there text decides.
	return a < 1<<53 && a > -1<<53
}

// parsePath reads .a.b[0]["c d"] into keys (string) and indexes (int).
func parsePath(path string) ([]any, error) {
	rest := strings.TrimPrefix(path, "$")
	if rest == "" || rest == "." {
		return []any{}, nil
	}
	if rest[0] != '.' && rest[0] != '[' {
		rest = "." + rest
	}
	var steps []any
	for rest != "" {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 {
				return nil, fmt.Errorf("the path %q has an empty key", path)
			}
			steps, rest = append(steps, rest[1:end+1]), rest[end+1:]
			continue
		}
		if rest[0] != '[' {
			return nil, fmt.Errorf("the path %q has %q where . or [ belongs", path, rest[0])
		}
		step, after, err := bracket(rest)
		if err != nil {
			return nil, fmt.Errorf("the path %q %w", path, err)
		}
		steps, rest = append(steps, step), after
	}
	return steps, nil
}

// bracket reads [0] or ["key"] at the beginning of rest.
func bracket(rest string) (step any, after string, err error) {
	if quoted, qerr := strconv.QuotedPrefix(rest[1:]); qerr == nil && quoted[0] == '"' {
		after = rest[1+len(quoted):]
		if !strings.HasPrefix(after, "]") {
			return nil, "", fmt.Errorf("has a [ without its ]")
		}
		key, err := strconv.Unquote(quoted)
		return key, after[1:], err
	}
	end := strings.IndexByte(rest, ']')
	if end < 0 {
		return nil, "", fmt.Errorf("has a [ without its ]")
	}
	index, err := strconv.Atoi(rest[1:end])
	if err != nil || index < 0 {
		return nil, "", fmt.Errorf("has the index %q", rest[1:end])
	}
	return index, rest[end+1:], nil
}

// json reads {path, value}.
func (f *fields) json(h *HTTP) {
	node := f.values["json"]
	if node == nil {
		return
	}
	if !f.d.mapping(node, "json", "{path, value}") {
		f.ok = false
		return
	}
	j := f.d.fields(node, "json", []string{"path", "value"})
	want := &JSON{Path: j.text("path", true), Present: j.keys["value"] == nil}
	if want.Path != "" {
		if _, err := parsePath(want.Path); err != nil {
			j.bad(j.values["path"], "expected a path such as .state.phase or $.a[0].b", "%v", err)
		}
	}
	if value := j.values["value"]; value != nil {
		want.Value = j.plain(value, 0)
	}
	f.ok = f.ok && j.ok
	h.JSON = want
}

// plain turns a node into what encoding/json would make of it; numbers keep their text.
func (f *fields) plain(node *yaml.Node, depth int) any {
	node = resolve(node)
	if f.d.left--; node == nil || depth > maxDepth || f.d.left < 0 {
		f.bad(node, "", "the value is too deep, or contains itself")
		return nil
	}
	switch node.Kind {
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range node.Content {
			list = append(list, f.plain(item, depth+1))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			m[node.Content[i].Value] = f.plain(node.Content[i+1], depth+1)
		}
		return m
	}
	switch node.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.ToLower(node.Value)
	}
	return node.Value
}
