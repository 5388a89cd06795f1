// Package jsonpath finds a value in a JSON document by a path such as
// .a.b[0].c and compares it with one that a stack file names.
package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
)

// Find follows the steps that Parse gave from value on: what encoding/json
// made of a document. ok is false where a step leads nowhere.
func Find(value any, steps []any) (found any, ok bool) {
	for _, step := range steps {
		switch at := value.(type) {
		case map[string]any:
			key, isKey := step.(string)
			if value, ok = at[key]; !isKey || !ok {
				return nil, false
			}
		case []any:
			i, isIndex := step.(int)
			if !isIndex || i >= len(at) {
				return nil, false
			}
			value = at[i]
		default:
			return nil, false
		}
	}
	return value, true
}

func has(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

// Same compares a value of an answer with one of the stack file: single
// values by text or as numbers, lists and mappings part by part.
func Same(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok || len(m) != len(want) {
			return false
		}
		for key, value := range want {
			if !has(m, key) || !Same(m[key], value) {
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
			if !Same(list[i], want[i]) {
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
	return want != nil && SameText(fmt.Sprint(got), fmt.Sprint(want))
}

// SameText compares two single values by their text or, where both are numbers, by number.
func SameText(got, want string) bool {
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

// Parse reads .a.b[0]["c d"], with or without a leading $, into keys (string) and indexes (int).
func Parse(path string) ([]any, error) {
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
