// Package shapes says what may stand in a user's file: which keys, which values, and what
// they mean. A file's readers take their keys and words from it, and editors get it as a JSON
// Schema (https://json-schema.org/draft/2020-12), so that neither can know what the other does not.
//
// A schema says no more than it must: whatever a reader takes it allows, with variables
// (${NAME}) wherever a reader replaces them.
package shapes

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Shape is what may stand in one place, as a JSON Schema has it. The zero value allows anything.
type Shape struct {
	Ref         string `json:"$ref,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	// Type is a type of JSON's or several.
	Type       []string `json:"type,omitempty"`
	Enum       []any    `json:"enum,omitempty"`
	Pattern    string   `json:"pattern,omitempty"` // of texts only
	Minimum    *int     `json:"minimum,omitempty"`
	Maximum    *int     `json:"maximum,omitempty"`
	Items      *Shape   `json:"items,omitempty"`
	MinItems   int      `json:"minItems,omitempty"`
	Properties Fields   `json:"properties,omitempty"`
	// Patterns are the shapes of keys that match; Names is what every key must be.
	Patterns map[string]Shape `json:"patternProperties,omitempty"`
	Names    *Shape           `json:"propertyNames,omitempty"`
	// Others is false, or the Shape of keys that are not among Properties and Patterns.
	Others   any      `json:"additionalProperties,omitempty"`
	Required []string `json:"required,omitempty"`
	OneOf    []Shape  `json:"oneOf,omitempty"`
	AnyOf    []Shape  `json:"anyOf,omitempty"`
}

// Field is one key of a mapping.
type Field struct {
	Key string
	// Meaning is a sentence for people, without a full stop.
	Meaning string
	Shape
}

// Fields are the keys of a mapping, in the order in which people read them.
type Fields []Field

// Key is the Field of that key.
func Key(key, meaning string, shape Shape) Field { return Field{key, meaning, shape} }

// Keys are the fields' keys, in their order.
func (f Fields) Keys() []string {
	keys := make([]string, len(f))
	for i, field := range f {
		keys[i] = field.Key
	}
	return keys
}

// Get is the field with that key; it panics where there is none.
func (f Fields) Get(key string) Field {
	return f[slices.IndexFunc(f, func(field Field) bool { return field.Key == key })]
}

// MarshalJSON writes an object whose members are the fields in their order.
func (f Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, field := range f {
		shape := field.Shape
		shape.Description = field.Meaning
		value, err := json.Marshal(shape)
		if err != nil {
			return nil, err
		}
		key, err := json.Marshal(field.Key)
		if err != nil {
			return nil, err
		}
		b.WriteByte("{,"[min(i, 1)])
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	if len(f) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Variable is a text with a ${NAME} in it, which may come to anything.
func Variable() Shape { return Shape{Type: []string{"string"}, Pattern: `\$`} }

// Scalar is one value of any kind: where a text is wanted, 5432 and true are texts too.
func Scalar() Shape { return Shape{Type: []string{"string", "number", "boolean"}} }

// Matching is a text that matches the regular expression, or any with a variable in it.
func Matching(pattern string) Shape {
	return Shape{Type: []string{"string"}, Pattern: "(" + pattern + `)|\$`}
}

// Label is a DNS label, in which no variable is replaced.
func Label() Shape {
	s := Scalar()
	s.Pattern = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	return s
}

// Words are the only texts that are allowed.
func Words(words ...string) Shape {
	enum := make([]any, len(words))
	for i, word := range words {
		enum[i] = word
	}
	return Either(Shape{Enum: enum}, Variable())
}

// Words are those that Words was given.
func (s Shape) Words() (words []string) {
	for _, part := range s.AnyOf {
		for _, word := range part.Enum {
			if text, ok := word.(string); ok {
				words = append(words, text)
			}
		}
	}
	return words
}

// Bool is true or false, in any way in which strconv.ParseBool has it.
func Bool() Shape {
	return Either(Shape{Type: []string{"boolean"}}, Shape{Enum: []any{0, 1}}, Matching(`^(0|1|t|T|true|TRUE|True|f|F|false|FALSE|False)$`))
}

// Duration is a time such as 90s or 1h30m.
func Duration() Shape {
	return Matching(`^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`)
}

// Whole is a whole number from least to most.
func Whole(least, most int) Shape {
	return Either(Shape{Type: []string{"integer"}, Minimum: &least, Maximum: &most}, Matching(`^\+?[0-9]+$`))
}

// Number is any number.
func Number() Shape {
	return Either(Shape{Type: []string{"number"}}, Matching(`^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$`))
}

// Either is one of several shapes, or more of them at a time.
func Either(shapes ...Shape) Shape { return Shape{AnyOf: shapes} }

// OrNothing is the shape, or no value.
func OrNothing(s Shape) Shape { return Either(s, Shape{Type: []string{"null"}}) }

// List is a list of at least so many items.
func List(item Shape, least int) Shape {
	return Shape{Type: []string{"array"}, Items: &item, MinItems: least}
}

// OneOrMore is the item alone, or a list of at least one.
func OneOrMore(item Shape) Shape { return Either(item, List(item, 1)) }

// Mapping has these fields and no others.
func Mapping(fields Fields, required ...string) Shape {
	return Shape{Type: []string{"object"}, Properties: fields, Others: false, Required: required}
}

// Open has keys that match the regular expression, "" for any, each with such a value.
func Open(key string, value Shape) Shape {
	s := Shape{Type: []string{"object"}, Others: value}
	if key != "" {
		s.Names = &Shape{Pattern: key}
	}
	return s
}

// Choosing has, of the given keys, exactly one.
func (s Shape) Choosing(keys ...string) Shape {
	for _, key := range keys {
		s.OneOf = append(s.OneOf, Shape{Required: []string{key}})
	}
	return s
}

// Reference is the shape of that name among the definitions of the document.
func Reference(name string) Shape { return Shape{Ref: "#/$defs/" + name} }
