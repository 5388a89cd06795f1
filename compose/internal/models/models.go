// Package models makes of a file's text what compose-go is to read: its
// documents as plain values, without our keys, and reduced to what counts.
package models

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	yaml4 "go.yaml.in/yaml/v4"

	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// Documents are those of one file.
type Documents struct {
	// Models are their mappings as compose-go takes them, without our keys.
	Models []map[string]any
	// Tagged: there is !reset or !override, which compose-go only finds in a
	// text; that is made by Content.
	Tagged bool

	nodes []*yaml4.Node
	own   []string
}

// Decode reads a file's text by the YAML library that compose-go itself uses,
// so that every value means the same to it. own are the top-level keys that
// compose-go does not see. What cannot be read is reported to list under the
// file's name; then the result is not ok.
func Decode(name string, text []byte, own []string, list *problems.List) (d Documents, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			list.Add(problems.Pos{File: name}, "", "the file cannot be read: %v", r)
			ok = false
		}
	}()
	d.own = own
	decoder := yaml4.NewDecoder(bytes.NewReader(text))
	var documents []*yaml4.Node
	for {
		var doc yaml4.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			trees.Syntax(name, text, err, list)
			return d, false
		}
		if len(doc.Content) == 1 && doc.Content[0].Kind == yaml4.MappingNode {
			documents = append(documents, &doc)
		}
	}
	for _, doc := range documents {
		d.Tagged = d.Tagged || hasTag(doc)
	}
	if d.Tagged {
		d.nodes = documents
	}
	for _, doc := range documents {
		if d.Tagged {
			doc = untagged(doc)
		}
		var value any
		if err := doc.Decode(&value); err != nil {
			trees.Syntax(name, text, err, list)
			return d, false
		}
		model, isMap := textKeys(value).(map[string]any)
		if !isMap {
			continue
		}
		for key := range model {
			// Aliases are resolved by now, so that extensions mean nothing any more.
			if slices.Contains(own, key) || strings.HasPrefix(key, "x-") {
				delete(model, key)
			}
		}
		d.Models = append(d.Models, model)
	}
	return d, true
}

// textKeys makes map[string]any of every mapping.
func textKeys(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = textKeys(e)
		}
		return v
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = textKeys(e)
		}
		return m
	case []any:
		for i, e := range v {
			v[i] = textKeys(e)
		}
		return v
	}
	return value
}
