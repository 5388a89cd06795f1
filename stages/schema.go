package stages

import (
	"encoding/json"
	"fmt"

	"github.com/compose-spec/compose-go/v2/schema"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/shapes"
	"github.com/stagehand-dev/stagehand/stages/internal/declared"
)

// Schema is a JSON Schema of stack files: compose-go's of Compose files, and in it, made of
// what their readers are made of, our own keys, at the top and under x-stagehand. What it
// says of Compose's part is what it says without us.
func Schema() ([]byte, error) {
	var document map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &document); err != nil {
		return nil, fmt.Errorf("compose-go's schema: %w", err)
	}
	properties, ok := document["properties"].(map[string]any)
	definitions, found := document["$defs"].(map[string]any)
	if !ok || !found {
		return nil, fmt.Errorf("compose-go's schema has no properties or no $defs")
	}
	fields, ours := declared.Shapes()
	for _, f := range fields {
		shape := f.Shape
		shape.Description = f.Meaning
		properties[f.Key] = shape
	}
	extension := shapes.OrNothing(shapes.Mapping(fields))
	extension.Description = "The stages of a file that Docker Compose must accept, too"
	properties[compose.Extension] = extension
	for name, shape := range ours {
		definitions[name] = shape
	}
	delete(document, "$id") // it is no more that document
	document["title"] = "Stack file of stagehand"
	document["description"] = "A Compose file with stages."
	return json.MarshalIndent(document, "", "  ")
}
