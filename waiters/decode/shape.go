package decode

import "github.com/stagehand-dev/stagehand/shapes"

// form is how a kind of condition is written.
type form struct {
	kind, meaning string
	// short is true where the first field's value may stand alone.
	short    bool
	fields   shapes.Fields
	required []string
}

// forms are those of the kinds but for all and any.
var forms = []form{exitForm, healthyForm, tcpForm, httpForm, logForm, execForm, sqlForm, fileForm}

// kindFields are the keys that say what a condition is.
var kindFields = func() (fields shapes.Fields) {
	for _, f := range forms {
		shape := shapes.Mapping(append(f.fields[:len(f.fields):len(f.fields)], paceFields...), f.required...)
		if f.short {
			shape = shapes.Either(f.fields[0].Shape, shape)
		}
		fields = append(fields, shapes.Field{Key: f.kind, Meaning: f.meaning, Shape: shape})
	}
	several := shapes.List(shapes.Reference(Definition), 1)
	return append(fields,
		shapes.Field{Key: "all", Meaning: "All of these conditions hold", Shape: several},
		shapes.Field{Key: "any", Meaning: "One of these conditions holds", Shape: several},
	)
}()

// Definition is the name by which conditions refer to themselves in a schema.
const Definition = "stagehand_condition"

// Shapes are what Condition and Call read. The first is to stand under
// Definition in the schema that both are part of.
func Shapes() (condition, call shapes.Shape) {
	condition = shapes.Mapping(append(kindFields[:len(kindFields):len(kindFields)], paceFields...)).Choosing(kinds...)
	return condition, shapes.Mapping(callFields, "http")
}
