package models

import (
	"bytes"
	"maps"
	"slices"

	yaml4 "go.yaml.in/yaml/v4"
)

// anchorsKey is what the anchors stand under of what was taken out of a text.
const anchorsKey = "x-stagehand-anchors"

// Content is the text of all documents, with their tags, with only what is
// needed of their services.
func (d *Documents) Content(only func(string) bool) ([]byte, error) {
	var needed map[string]bool
	if only != nil {
		needed = map[string]bool{}
		for _, model := range d.Models {
			services, _ := model["services"].(map[string]any)
			maps.Copy(needed, Needed(services, only))
		}
	}
	return d.text(needed)
}

// text makes a file's text without our keys and without the services that
// needed, if not nil, does not have. What those anchor stays, under an
// extension key, since the rest may refer to it.
func (d *Documents) text(needed map[string]bool) ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml4.NewEncoder(&text)
	for _, doc := range d.nodes {
		root := doc.Content[0]
		kept := *root
		kept.Content = nil
		var anchored []*yaml4.Node
		for i := 0; i+1 < len(root.Content); i += 2 {
			key, value := root.Content[i], root.Content[i+1]
			switch {
			case slices.Contains(d.own, key.Value):
				anchored = append(anchored, anchors(value)...)
				continue
			case key.Value == "services" && value.Kind == yaml4.MappingNode && needed != nil:
				var more []*yaml4.Node
				value, more = fewer(value, needed)
				anchored = append(anchored, more...)
			}
			kept.Content = append(kept.Content, key, value)
		}
		if anchored != nil {
			head := []*yaml4.Node{
				{Kind: yaml4.ScalarNode, Value: anchorsKey},
				{Kind: yaml4.SequenceNode, Content: anchored},
			}
			kept.Content = append(head, kept.Content...)
		}
		if err := encoder.Encode(&kept); err != nil {
			return nil, err
		}
	}
	err := encoder.Close()
	return text.Bytes(), err
}

// fewer leaves only names of the services that are not needed, and returns
// what these anchor.
func fewer(services *yaml4.Node, needed map[string]bool) (kept *yaml4.Node, anchored []*yaml4.Node) {
	some := *services
	some.Content = nil
	for i := 0; i+1 < len(services.Content); i += 2 {
		key, value := services.Content[i], services.Content[i+1]
		if !needed[key.Value] {
			anchored = append(anchored, anchors(value)...)
			value = &yaml4.Node{Kind: yaml4.MappingNode, Content: []*yaml4.Node{
				{Kind: yaml4.ScalarNode, Value: "image"}, {Kind: yaml4.ScalarNode, Value: "left-out"},
				{Kind: yaml4.ScalarNode, Value: "network_mode"}, {Kind: yaml4.ScalarNode, Value: "none"}, // as in named
			}}
		}
		some.Content = append(some.Content, key, value)
	}
	return &some, anchored
}

// anchors returns the outermost anchored nodes.
func anchors(node *yaml4.Node) []*yaml4.Node {
	if node.Anchor != "" {
		return []*yaml4.Node{node}
	}
	var found []*yaml4.Node
	for _, child := range node.Content {
		found = append(found, anchors(child)...)
	}
	return found
}

// hasTag tells whether !reset or !override stands anywhere.
func hasTag(node *yaml4.Node) bool {
	if node.Tag == "!reset" || node.Tag == "!override" {
		return true
	}
	for _, child := range node.Content {
		if hasTag(child) {
			return true
		}
	}
	return false
}

// untagged is the node without what is reset.
func untagged(node *yaml4.Node) *yaml4.Node {
	left := *node
	left.Content = nil
	for i := 0; i < len(node.Content); i++ {
		if node.Kind == yaml4.MappingNode && i+1 < len(node.Content) {
			if node.Content[i+1].Tag != "!reset" {
				left.Content = append(left.Content, node.Content[i], untagged(node.Content[i+1]))
			}
			i++
			continue
		}
		left.Content = append(left.Content, untagged(node.Content[i]))
	}
	return &left
}
