package conditions

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/stagehand-dev/stagehand/waiters/internal/jsonpath"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
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
	steps, err := jsonpath.Parse(j.Path)
	if err != nil {
		return err.Error()
	}
	value, ok := jsonpath.Find(value, steps)
	if !ok {
		return j.Path + " is missing"
	}
	if j.Present {
		if value == nil || value == false {
			return fmt.Sprintf("%s is %s", j.Path, show(value))
		}
		return ""
	}
	if !jsonpath.Same(value, j.Value) {
		return fmt.Sprintf("%s is %s", j.Path, show(value))
	}
	return ""
}

// show is a value's JSON, shortened.
func show(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return texts.Shorten(string(text))
}
