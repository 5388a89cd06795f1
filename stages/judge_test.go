package stages_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
)

// old is an engine that lacks annotations, subpaths and networks without IPv4.
type old struct{ containers.Engine }

func (old) Lacks(_ context.Context, spec containers.Spec) ([]containers.Lack, error) {
	var lacks []containers.Lack
	if len(spec.Annotations) > 0 {
		lacks = append(lacks, containers.Lack{Key: []string{"annotations"}, Text: "needs a newer one"})
	}
	for range spec.Mounts {
		lacks = append(lacks, containers.Lack{Key: []string{"volumes", "0", "volume", "subpath"}, Text: "needs a newer one", Refused: true})
	}
	return lacks, nil
}

func (old) NetworkLacks(context.Context, containers.Network) ([]containers.Lack, error) {
	return []containers.Lack{{Key: []string{"enable_ipv4"}, Text: "needs a newer one"}}, nil
}

// TestJudge: what the engine cannot do is said once, where it stands.
func TestJudge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stagehand.yaml")
	text := `name: judged
apps: {a: {}, b: {}}
services:
  web:
    image: nginx
    annotations: {a: b}
    volumes:
      - {type: volume, source: data, target: /data, volume: {subpath: x}}
volumes: {data: {}}
networks: {default: {enable_ipv4: false}}
stages:
  - {name: web, start: web, each: apps}
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	stack, err := stages.Load(t.Context(), compose.Options{Files: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := stack.Judge(t.Context(), old{})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range list.All() {
		p.Pos.File = "f"
		said = append(said, p.Pos.String()+" "+p.Message)
	}
	want := []string{
		"f:6:5 annotations of service web is left out: it needs a newer one",
		"f:8:62 volumes of service web needs a newer one",
		"f:10:22 enable_ipv4 of network default is left out: it needs a newer one",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if list.Err() == nil {
		t.Error("what the engine refuses is no problem")
	}
	if list, err := (&stages.Stack{}).Judge(t.Context(), old{}); err != nil || len(list.All()) > 0 {
		t.Errorf("a stack that was not read: %v %v", list.All(), err)
	}
}
