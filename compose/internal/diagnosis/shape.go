package diagnosis

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/internal/models"
	"github.com/stagehand-dev/stagehand/compose/internal/sources"
	"github.com/stagehand-dev/stagehand/compose/schemas"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// shape interpolates a document and holds it against the schema.
func (d *diagnosis) shape(f *sources.File, doc int) {
	b := builder{diagnosis: d, file: f, doc: doc, lookup: f.Lookup(d.env)}
	built := map[string]any{}
	for _, e := range trees.Entries(f.Docs[doc]) {
		key := trees.Resolve(e.Key).Value
		switch {
		case slices.Contains(f.OwnKeys(), key) || strings.HasPrefix(key, "x-"):
		case f.Role == sources.Extended && key != "services":
		case key == "services" && trees.Resolve(e.Value).Kind == yaml.MappingNode:
			built[key] = b.services(e.Value)
		default:
			built[key] = b.value(e.Value, []string{key})
		}
	}
	own := sources.OwnKeys()
	if !f.Own {
		own = nil
	}
	for _, v := range schemas.Validate(built, own...) {
		if d.wrong(f, doc, v.Path...) || v.Missing && (f.Role == sources.Extended || f != d.source.Files[0] && f.Role == sources.Direct) {
			continue
		}
		if len(v.Path) == 1 && v.Key && slices.Contains(sources.OwnKeys(), v.Path[0]) {
			v.Expected = "put it under " + sources.Extension + ":"
			if f.Role != sources.Direct {
				v.Expected = "put it into the stack's own file"
			}
		}
		d.report(f, doc, v.Path, v.Key, v.Expected, "%s", v.Message)
	}
}

// casts are compose-go's: what a text that was interpolated must become.
var casts = loader.ToOptions(&types.ConfigDetails{}, nil).Interpolate.TypeCastMapping

// builder makes the plain tree of a document, interpolated.
type builder struct {
	*diagnosis
	file   *sources.File
	doc    int
	lookup func(string) (string, bool)
}

// services leaves out those that do not count.
func (b *builder) services(node *yaml.Node) map[string]any {
	var needed map[string]bool
	if b.doc < len(b.file.Models) && b.file.Role == sources.Direct {
		all, _ := b.file.Models[b.doc]["services"].(map[string]any)
		needed = models.Needed(all, b.only)
	}
	built := map[string]any{}
	for _, e := range trees.Entries(node) {
		name := trees.Resolve(e.Key).Value
		if needed[name] || b.file.Counts(name, b.only) {
			built[name] = b.value(e.Value, []string{"services", name})
		}
	}
	return built
}

func (b *builder) value(node *yaml.Node, path []string) any {
	node = trees.Resolve(node)
	if node.Tag == "!reset" {
		return nil
	}
	switch node.Kind {
	case yaml.MappingNode:
		built := map[string]any{}
		for _, e := range trees.Entries(node) {
			key := trees.Resolve(e.Key).Value
			if trees.Resolve(e.Value).Tag != "!reset" {
				built[key] = b.value(e.Value, append(path[:len(path):len(path)], key))
			}
		}
		return built
	case yaml.SequenceNode:
		built := make([]any, 0, len(node.Content))
		for i, item := range node.Content {
			built = append(built, b.value(item, append(path[:len(path):len(path)], strconv.Itoa(i))))
		}
		return built
	}
	if node.ShortTag() == "!!str" || strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		return b.text(node, path)
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return node.Value
	}
	return value
}

// text interpolates one text and casts it to what its key must be.
func (b *builder) text(node *yaml.Node, path []string) any {
	text := node.Value
	value, err := template.Substitute(text, b.lookup)
	var missing *template.MissingRequiredError
	switch {
	case errors.As(err, &missing):
		message := "the variable " + missing.Variable + " must be set"
		if missing.Reason != "" {
			message += ": " + missing.Reason
		}
		b.reportAt(b.file.Place(node, missing.Variable), path, "set it, or put it into .env", message)
		return nil
	case err != nil:
		b.reportAt(trees.At(b.file.Name, node), path, "${NAME}, ${NAME:-default}, or $$ for a $", fmt.Sprintf("%q cannot be interpolated", text))
		return nil
	}
	cast := castFor(path)
	if cast == nil {
		return value
	}
	out, err := cast(value)
	if err != nil {
		b.reportAt(trees.At(b.file.Name, node), path, castHint(err), fmt.Sprintf("%q is not what this key takes", value))
		return nil
	}
	return out
}

// reportAt is report for a place that is known already.
func (b *builder) reportAt(pos problems.Pos, path []string, expected, message string) {
	b.faults = append(b.faults, fault{b.file, b.doc, path})
	b.list.Add(pos, expected, "%s", message)
}

// castHint says what would be right.
func castHint(err error) string {
	if strings.HasPrefix(err.Error(), "invalid boolean") {
		return "expected true or false"
	}
	return "expected a number"
}

func castFor(path []string) interpolation.Cast {
	var here tree.Path
	for _, step := range path {
		if _, err := strconv.Atoi(step); err == nil {
			step = tree.PathMatchList
		}
		here = here.Next(step)
	}
	for _, pattern := range slices.Sorted(maps.Keys(casts)) {
		if here.Matches(pattern) {
			return casts[pattern]
		}
	}
	return nil
}
