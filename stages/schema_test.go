package stages_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	composeschema "github.com/compose-spec/compose-go/v2/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
)

// compiled is a schema, to be held against files.
func compiled(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ours(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := stages.Schema()
	if err != nil {
		t.Fatal(err)
	}
	return compiled(t, text)
}

// check holds the documents of a file, as an editor sees them, against the schema.
func check(s *jsonschema.Schema, text []byte) error {
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document any
		if d.Decode(&document) != nil {
			return nil //nolint:nilerr // the last one, or what is no YAML, of which a schema says nothing
		}
		if document == nil {
			continue
		}
		plain, err := json.Marshal(document)
		if err != nil {
			return err
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
		if err != nil {
			return err
		}
		if err := s.Validate(value); err != nil {
			return err
		}
	}
}

// files are the YAML files below the folder.
func yamlFiles(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && isCompose.MatchString(path) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestSchemaTakesWhatLoads: no file that can be used is marked as wrong by an editor.
func TestSchemaTakesWhatLoads(t *testing.T) {
	s, plain := ours(t), compiled(t, []byte(composeschema.Schema))
	loaded := 0
	for _, path := range slices.Concat(yamlFiles(t, "testdata"), yamlFiles(t, "../examples"), yamlFiles(t, "../scenarios/testdata")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stages.Load(t.Context(), options(path)); err != nil {
			continue
		}
		loaded++
		if err := check(s, text); err != nil && (check(plain, text) == nil || strings.Contains(err.Error(), "stage")) {
			t.Errorf("%s can be used, but the schema says %v", path, err)
		}
	}
	if loaded < 20 {
		t.Errorf("only %d files", loaded)
	}
	reference, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	blocks := block.FindAllStringSubmatch(string(reference), -1)
	for _, b := range blocks {
		example := b[1]
		if strings.HasPrefix(example, "- ") {
			example = "stages:\n" + example
		}
		if err := check(s, []byte(example)); err != nil {
			t.Errorf("the schema refuses an example of the reference:\n%s%v", example, err)
		}
	}
	if len(blocks) < 25 {
		t.Errorf("only %d examples", len(blocks))
	}
}

// TestSchemaOnCorpus: of other projects' Compose files it says what Compose's own schema says.
func TestSchemaOnCorpus(t *testing.T) {
	const root = "../../shared/compose-corpus"
	if _, err := os.Stat(root); err != nil {
		t.Skip("the corpus of other projects' Compose files is not here")
	}
	s, plain := ours(t), compiled(t, []byte(composeschema.Schema))
	taken, refused := 0, 0
	for _, path := range yamlFiles(t, root) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, want := check(s, text), check(plain, text)
		if (got == nil) != (want == nil) {
			t.Errorf("%s: Compose's schema says %v, ours %v", path, want, got)
		}
		if want == nil {
			taken++
		} else {
			refused++
		}
	}
	t.Logf("%d taken, %d refused, by both", taken, refused)
	if taken < 50 {
		t.Errorf("only %d files", taken)
	}
}

// wrong is a file in whose stage, or at whose top, something is wrong that a schema can tell.
var wrong = []string{
	"stages: [{run: setup}]",
	"stages: [{name: Setup, run: setup}]",
	"stages: [{name: setup}]",
	"stages: [{name: setup, run: setup, start: setup}]",
	"stages: [{name: setup, runn: setup}]",
	"stages: [{name: setup, run: []}]",
	"stages: []",
	"stages: {name: setup, run: setup}",
	"stages: [{name: setup, run: setup, order: backwards}]",
	"stages: [{name: setup, run: setup, timeout: 90}]",
	"stages: [{name: setup, run: setup, timeout: soon}]",
	"stages: [{name: setup, run: setup, max_parallel: 0}]",
	"stages: [{name: setup, run: setup, retries: {count: 2, back_off: 1s}}]",
	"stages: [{name: setup, run: setup, retries: -1}]",
	"stages: [{name: setup, run: setup, finally: maybe}]",
	"stages: [{name: setup, run: setup, keep: long}]",
	"stages: [{name: setup, call: setup}]",
	"stages: [{name: setup, call: {http: {method: PUT}}}]",
	"stages: [{name: setup, call: {http: {url: 'http://x', every: 1s}}}]",
	"stages: [{name: setup, await: {}}]",
	"stages: [{name: setup, await: {tcp: 'x:80', http: 'http://x'}}]",
	"stages: [{name: setup, await: {tpc: 'x:80'}}]",
	"stages: [{name: setup, await: {tcp: {adress: 'x:80'}}}]",
	"stages: [{name: setup, await: {tcp: 'x:80', every: often}}]",
	"stages: [{name: setup, await: {all: []}}]",
	"stages: [{name: setup, await: {any: [{tcp: 'x:80'}, {tpc: 'x:80'}]}}]",
	"stages: [{name: setup, await: {http: {url: 'ftp://x'}}}]",
	"stages: [{name: setup, await: {http: {url: 'http://x', status: 600}}}]",
	"stages: [{name: setup, await: {http: {url: 'http://x', json: {value: 1}}}}]",
	"stages: [{name: setup, await: {sql: {url: 'postgres://x/y', query: q, at_least: many}}}]",
	"stages: [{name: setup, await: {file: {service: setup, path: relative}}}]",
	"stages: [{name: setup, start: setup, ready: soon}]",
	"apps: [one]",
	"apps: {One: {}}",
	"apps: {one: {port: [1]}}",
	"on_failure: stop",
	"budget: 5",
	"immutable: {port: many}\napps: {one: {port: 1}}",
	"x-stagehand: {stagess: []}",
	"x-stagehand: {stages: [{name: setup, run: setup, where: []}]}",
	"stage: []",
}

// TestSchemaRefuses: what is wrong in the eyes of the schema is wrong in those of the reader,
// and the schema sees it.
func TestSchemaRefuses(t *testing.T) {
	s := ours(t)
	for _, ours := range wrong {
		text := []byte("services: {setup: {image: demo/setup}}\n" + ours + "\n")
		path := filepath.Join(t.TempDir(), "stagehand.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if check(s, text) == nil {
			t.Errorf("the schema takes %s", ours)
		}
		if _, err := stages.Load(t.Context(), options(path)); err == nil {
			t.Errorf("the reader takes %s", ours)
		}
	}
}

// TestSchemaHasEveryKey: each key that is read has its shape and its meaning in the schema, and each
// that the schema has is read: what is nonsense there is told by both.
func TestSchemaHasEveryKey(t *testing.T) {
	text, err := stages.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Properties map[string]shape
		Defs       map[string]shape `json:"$defs"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for _, key := range compose.OwnKeys() {
		if document.Properties[key].Description == "" {
			t.Errorf("%s is not in the schema, or means nothing there", key)
		}
	}
	s := ours(t)
	nonsense := func(what, file string) {
		path := filepath.Join(t.TempDir(), "stagehand.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if check(s, []byte(file)) == nil {
			t.Errorf("the schema takes nonsense for %s", what)
		}
		if _, err := stages.Load(t.Context(), options(path)); err == nil {
			t.Errorf("%s of the schema is not read: nonsense passes", what)
		}
	}
	const services = "services: {db: {image: demo/db}}\napps: {one: {}}\n"
	stage := document.Defs["stagehand_stage"]
	var keys []string
	for key, shape := range stage.Properties {
		keys = append(keys, key)
		if shape.Description == "" {
			t.Errorf("%s means nothing in the schema", key)
		}
		verb := "start: db, "
		if slices.Contains([]string{"run", "await", "start", "call"}, key) {
			verb = ""
		}
		name := "name: db, "
		if key == "name" {
			name = ""
		}
		nonsense(key, fmt.Sprintf("%sstages: [{%s%s%s: {no: {such: [thing]}}}]", services, name, verb, key))
	}
	slices.Sort(keys)
	if want := stages.StageKeys(); !slices.Equal(keys, want) {
		t.Errorf("the schema has %v, a stage %v", keys, want)
	}
	for kind, shape := range document.Defs["stagehand_condition"].Properties {
		if shape.Description == "" {
			t.Errorf("%s means nothing in the schema", kind)
		}
		for _, form := range append(shape.AnyOf, shape) {
			for key, field := range form.Properties {
				if field.Description == "" {
					t.Errorf("%s of %s means nothing in the schema", key, kind)
				}
				nonsense(kind+"."+key, fmt.Sprintf("%sstages: [{name: db, start: db}, {name: wait, await: {%s: {%s: {no: {such: [thing]}}}}}]", services, kind, key))
			}
		}
	}
}

type shape struct {
	Description string
	Properties  map[string]shape
	AnyOf       []shape
}
