// Package schemas holds a Compose file's tree against compose-go's embedded
// JSON schema and says everything that does not fit, where compose-go itself
// stops at one thing.
package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/stagehand-dev/stagehand/problems"
)

// Violation is one thing that the schema forbids.
type Violation struct {
	// Path leads to the value: keys, and indexes of lists as decimals.
	Path []string
	// Key is true where the key at the end of Path is what is wrong.
	Key      bool
	Message  string
	Expected string
	// Missing is true where something required is not there: of several
	// files that are merged another may have it.
	Missing bool
	key     string // what is missing
}

const name = "compose-spec.json"

// compiled is the schema, ready to use, and as plain JSON to look things up in.
var compiled = sync.OnceValues(func() (*jsonschema.Schema, map[string]any) {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.Schema))
	if err != nil {
		panic(fmt.Sprintf("schemas: compose-go's schema is no JSON: %v", err))
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, document); err != nil {
		panic(fmt.Sprintf("schemas: %v", err))
	}
	compiler.RegisterFormat(&jsonschema.Format{Name: "duration", Validate: func(v any) error {
		text, ok := v.(string)
		if !ok {
			return errors.New("expected a string")
		}
		_, err := time.ParseDuration(text)
		return err
	}})
	s, err := compiler.Compile(name)
	if err != nil {
		panic(fmt.Sprintf("schemas: compose-go's schema does not compile: %v", err))
	}
	var plain map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &plain); err != nil {
		panic(fmt.Sprintf("schemas: %v", err))
	}
	return s, plain
})

// Validate returns every violation, sorted by path. more are further keys that may stand
// at the top level, for the suggestions.
func Validate(tree map[string]any, more ...string) []Violation {
	s, plain := compiled()
	text, err := json.Marshal(tree)
	if err != nil {
		return []Violation{{Message: fmt.Sprintf("a value that YAML allows and JSON does not: %v", err)}}
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return []Violation{{Message: err.Error()}}
	}
	var failed *jsonschema.ValidationError
	if !errors.As(s.Validate(value), &failed) {
		return nil
	}
	c := collector{root: plain, more: more}
	c.collect(failed)
	c.found = slices.DeleteFunc(c.found, c.misspelt)
	slices.SortStableFunc(c.found, func(a, b Violation) int { return slices.Compare(a.Path, b.Path) })
	return slices.CompactFunc(c.found, func(a, b Violation) bool {
		return slices.Equal(a.Path, b.Path) && a.Message == b.Message
	})
}

// misspelt tells whether something is missing only because its key is
// misspelt, which is reported already.
func (c *collector) misspelt(missing Violation) bool {
	if !missing.Missing {
		return false
	}
	for _, v := range c.found {
		if v.Key && len(v.Path) == len(missing.Path)+1 && slices.Equal(v.Path[:len(missing.Path)], missing.Path) &&
			problems.Nearest(v.Path[len(v.Path)-1], []string{missing.key}) != "" {
			return true
		}
	}
	return false
}

type collector struct {
	root  map[string]any
	more  []string
	found []Violation
}

func (c *collector) add(e *jsonschema.ValidationError, v Violation) {
	if v.Path == nil {
		v.Path = slices.Clone(e.InstanceLocation)
	}
	c.found = append(c.found, v)
}

func (c *collector) collect(e *jsonschema.ValidationError) {
	switch k := e.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf:
		c.choice(e)
	case *kind.AdditionalProperties:
		for _, key := range slices.Sorted(slices.Values(k.Properties)) {
			c.unknownKey(e, append(slices.Clone(e.InstanceLocation), key), c.keysAt(parent(e.SchemaURL)))
		}
	case *kind.FalseSchema:
		c.forbidden(e)
	case *kind.Type:
		c.add(e, Violation{Message: "this is " + article(k.Got), Expected: "expected a " + types(k.Want)})
	case *kind.Required:
		for _, key := range slices.Sorted(slices.Values(k.Missing)) {
			c.add(e, Violation{Message: fmt.Sprintf("%q is missing", key), Expected: "add " + key + ":", Missing: true, key: key})
		}
	case *kind.Enum:
		values := make([]string, len(k.Want))
		for i, w := range k.Want {
			values[i] = fmt.Sprint(w)
		}
		c.add(e, Violation{Message: fmt.Sprintf("%q is not allowed here", fmt.Sprint(k.Got)), Expected: problems.OneOf(fmt.Sprint(k.Got), values)})
	case *kind.Pattern:
		c.add(e, Violation{Message: fmt.Sprintf("%q is not allowed here", k.Got), Expected: "expected text that matches " + k.Want})
	case *kind.Minimum:
		c.add(e, Violation{Message: fmt.Sprintf("%s is too small", k.Got.RatString()), Expected: "expected at least " + k.Want.RatString()})
	case *kind.Maximum:
		c.add(e, Violation{Message: fmt.Sprintf("%s is too large", k.Got.RatString()), Expected: "expected at most " + k.Want.RatString()})
	case *kind.UniqueItems:
		path := append(slices.Clone(e.InstanceLocation), fmt.Sprint(k.Duplicates[1]))
		c.add(e, Violation{Path: path, Message: "this item stands in the list twice"})
	case *kind.Format:
		c.add(e, Violation{Message: fmt.Sprintf("%q is no %s", fmt.Sprint(k.Got), k.Want), Expected: formats[k.Want]})
	default:
		if len(e.Causes) > 0 {
			for _, cause := range e.Causes {
				c.collect(cause)
			}
			return
		}
		c.add(e, Violation{Message: e.ErrorKind.LocalizedString(message.NewPrinter(language.English))})
	}
}

var formats = map[string]string{"duration": "expected a time such as 30s or 1m30s"}

// choice reports the alternatives that the value was meant to be: those whose
// type it has; where it has none's, all the types at once.
func (c *collector) choice(e *jsonschema.ValidationError) {
	var meant []*jsonschema.ValidationError
	wanted := map[string]bool{}
	for _, cause := range e.Causes {
		if types := mismatch(cause, len(e.InstanceLocation)); types != nil {
			for _, t := range types {
				wanted[t] = true
			}
			continue
		}
		meant = append(meant, cause)
	}
	switch {
	case len(meant) > 0:
		best := slices.MinFunc(meant, func(a, b *jsonschema.ValidationError) int { return leaves(a) - leaves(b) })
		c.collect(best)
	case len(wanted) > 0:
		c.add(e, Violation{Message: "this is " + article(got(e)), Expected: "expected a " + types(slices.Sorted(maps.Keys(wanted)))})
	default:
		c.add(e, Violation{Message: e.ErrorKind.LocalizedString(message.NewPrinter(language.English))})
	}
}

// mismatch returns the types that the alternative wants, if the value at depth has another one.
func mismatch(e *jsonschema.ValidationError, depth int) []string {
	if k, ok := e.ErrorKind.(*kind.Type); ok && len(e.InstanceLocation) == depth {
		return k.Want
	}
	var all []string
	for _, cause := range e.Causes {
		if t := mismatch(cause, depth); t != nil {
			all = append(all, t...)
		}
	}
	return all
}

// got is the type that some alternative found instead of its own.
func got(e *jsonschema.ValidationError) string {
	if k, ok := e.ErrorKind.(*kind.Type); ok {
		return k.Got
	}
	for _, cause := range e.Causes {
		if t := got(cause); t != "" {
			return t
		}
	}
	return ""
}

func leaves(e *jsonschema.ValidationError) int {
	if len(e.Causes) == 0 {
		return 1
	}
	n := 0
	for _, cause := range e.Causes {
		n += leaves(cause)
	}
	return n
}

// forbidden is a key that no part of its mapping's schema allows. When one
// part has failed for another reason the validator takes all of that part's keys for
// such, so those that are known are no news.
func (c *collector) forbidden(e *jsonschema.ValidationError) {
	if len(e.InstanceLocation) == 0 {
		return
	}
	keys := c.keysAt(parent(e.SchemaURL))
	if slices.Contains(keys, e.InstanceLocation[len(e.InstanceLocation)-1]) {
		return
	}
	c.unknownKey(e, slices.Clone(e.InstanceLocation), keys)
}

func (c *collector) unknownKey(e *jsonschema.ValidationError, path, keys []string) {
	key := path[len(path)-1]
	v := Violation{Path: path, Key: true, Message: fmt.Sprintf("unknown key %q", key)}
	switch {
	case len(path) == 1:
		v.Expected = problems.OneOf(key, append(slices.Clone(keys), c.more...))
	case len(keys) > 0:
		v.Expected = problems.OneOf(key, keys)
	default:
		v.Message = fmt.Sprintf("%q cannot be a name", key)
		v.Expected = "expected letters, digits, dots, - and _"
	}
	c.add(e, v)
}

// parent cuts the last keyword off a schema's address.
func parent(url string) string {
	for _, keyword := range []string{"/unevaluatedProperties", "/additionalProperties"} {
		url = strings.TrimSuffix(url, keyword)
	}
	return url
}

// keysAt returns the properties that the schema at the address knows, with
// those of the schemas that it refers to.
func (c *collector) keysAt(url string) []string {
	_, pointer, _ := strings.Cut(url, "#")
	keys := map[string]bool{}
	c.keysOf(c.at(pointer), keys, 0)
	return slices.Sorted(maps.Keys(keys))
}

func (c *collector) keysOf(node map[string]any, keys map[string]bool, depth int) {
	if node == nil || depth > 8 {
		return
	}
	if properties, ok := node["properties"].(map[string]any); ok {
		for key := range properties {
			keys[key] = true
		}
	}
	if ref, ok := node["$ref"].(string); ok {
		_, pointer, _ := strings.Cut(ref, "#")
		c.keysOf(c.at(pointer), keys, depth+1)
	}
	for _, keyword := range []string{"allOf", "oneOf", "anyOf"} {
		parts, _ := node[keyword].([]any)
		for _, part := range parts {
			if p, ok := part.(map[string]any); ok {
				c.keysOf(p, keys, depth+1)
			}
		}
	}
}

// at follows a JSON pointer.
func (c *collector) at(pointer string) map[string]any {
	var here any = c.root
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if step == "" {
			continue
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch v := here.(type) {
		case map[string]any:
			here = v[step]
		case []any:
			i := 0
			if _, err := fmt.Sscanf(step, "%d", &i); err != nil || i < 0 || i >= len(v) {
				return nil
			}
			here = v[i]
		default:
			return nil
		}
	}
	m, _ := here.(map[string]any)
	return m
}

func article(t string) string {
	if t == "null" {
		return "empty"
	}
	return "a " + plainType(t)
}

func plainType(t string) string {
	switch t {
	case "object":
		return "mapping"
	case "array":
		return "list"
	case "integer":
		return "whole number"
	}
	return t
}

func types(want []string) string {
	names := map[string]bool{}
	for _, w := range want {
		names[plainType(w)] = true
	}
	if names["number"] {
		delete(names, "whole number")
	}
	delete(names, "null") // allowed, but not what one would write
	sorted := slices.Sorted(maps.Keys(names))
	if len(sorted) < 2 {
		return strings.Join(sorted, "")
	}
	return strings.Join(sorted[:len(sorted)-1], ", ") + " or " + sorted[len(sorted)-1]
}
