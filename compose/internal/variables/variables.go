// Package variables finds the ${…} of a text: for knowing their names and their
// places. Values are filled in by compose-go.
package variables

import "strings"

// reference is one ${NAME…} or $NAME of a text.
type reference struct {
	name string
	// plain: there is neither a default nor a message for when it is not set.
	plain bool
	// inner are the references of its default or replacement, which count
	// when used says so.
	inner []reference
	used  func(value string, set bool) bool
}

// references finds what a text refers to. It decides nothing: values are
// filled in by compose-go; this is for knowing the names and their places.
func references(text string) []reference {
	var found []reference
	for i := 0; i < len(text); {
		if text[i] != '$' || i+1 == len(text) {
			i++
			continue
		}
		next := text[i+1]
		switch next {
		case '$':
			i += 2
		case '{':
			end := closing(text, i+1)
			if end < 0 {
				return found
			}
			if r, ok := braced(text[i+2 : end]); ok {
				found = append(found, r)
			}
			i = end + 1
		default:
			n := nameLength(text[i+1:])
			if n > 0 {
				found = append(found, reference{name: text[i+1 : i+1+n], plain: true})
			}
			i += 1 + n
		}
	}
	return found
}

// closing is the index of the brace that closes the one at open, or -1.
func closing(text string, open int) int {
	depth := 0
	for i := open; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func nameLength(text string) int {
	for i := range len(text) {
		c := text[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}

// braced reads NAME, NAME:-x, NAME-x, NAME:+x, NAME+x, NAME:?x and NAME?x.
func braced(text string) (reference, bool) {
	n := nameLength(text)
	if n == 0 {
		return reference{}, false
	}
	r := reference{name: text[:n], plain: n == len(text)}
	if r.plain {
		return r, true
	}
	rest := text[n:]
	orEmpty := strings.HasPrefix(rest, ":")
	rest = strings.TrimPrefix(rest, ":")
	if rest == "" {
		return reference{}, false
	}
	r.inner = references(rest[1:])
	has := func(value string, set bool) bool { return set && (!orEmpty || value != "") }
	switch rest[0] {
	case '+':
		r.used = has
	case '-', '?':
		r.used = func(value string, set bool) bool { return !has(value, set) }
	default:
		return reference{}, false
	}
	return r, true
}

// Unset returns the names that will be blank because nothing sets them.
func Unset(text string, lookup func(string) (string, bool)) []string {
	if !strings.Contains(text, "$") {
		return nil
	}
	var names []string
	var walk func(refs []reference)
	walk = func(refs []reference) {
		for _, r := range refs {
			value, set := lookup(r.name)
			if r.plain && !set {
				names = append(names, r.name)
			}
			if r.used != nil && r.used(value, set) {
				walk(r.inner)
			}
		}
	}
	walk(references(text))
	return names
}

// Mentioned adds every name that the text mentions.
func Mentioned(text string, names map[string]bool) {
	for i := range len(text) {
		if text[i] != '$' {
			continue
		}
		rest := strings.TrimPrefix(text[i+1:], "{")
		if n := nameLength(rest); n > 0 {
			names[rest[:n]] = true
		}
	}
}
