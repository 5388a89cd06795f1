package docker

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	imageapi "github.com/docker/docker/api/types/image"

	"github.com/stagehand-dev/stagehand/containers"
)

func TestJanitorTellsNetworksAndImages(t *testing.T) {
	engine := openEngine(t, Options{})
	ctx := t.Context()
	name := containers.Name("ep-janitor", time.Now().Format("150405.000000"))
	labels := map[string]string{containers.LabelStack: name, containers.LabelRun: "r1", containers.LabelRole: "ep-test"}

	if err := engine.EnsureNetwork(ctx, containers.Network{Name: name, Labels: labels}); err != nil {
		t.Fatal(err)
	}
	defer engine.RemoveNetwork(t.Context(), name)
	networks, err := engine.Networks(ctx, map[string]string{containers.LabelStack: name})
	if err != nil || len(networks) != 1 || networks[0].Name != name || networks[0].Labels[containers.LabelRun] != "r1" ||
		time.Since(networks[0].Created).Abs() > time.Minute {
		t.Errorf("networks %+v, %v", networks, err)
	}

	tag := strings.ToLower(name) + ":1"
	var archive bytes.Buffer
	if err := tar.NewWriter(&archive).Close(); err != nil {
		t.Fatal(err)
	}
	body, err := engine.api.ImageImport(ctx, imageapi.ImportSource{Source: &archive, SourceName: "-"}, tag, imageapi.ImportOptions{
		Changes: []string{"LABEL " + containers.LabelRole + "=" + containers.RoleProbe, "LABEL test=" + name},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Fatal(err)
	}
	_ = body.Close()
	find := func() *containers.ImageStatus {
		images, err := engine.Images(ctx, map[string]string{containers.LabelRole: containers.RoleProbe})
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(images, func(i containers.ImageStatus) bool { return slices.Contains(i.Names, tag) })
		if at < 0 {
			return nil
		}
		return &images[at]
	}
	image := find()
	if image == nil || time.Since(image.Created).Abs() > time.Minute {
		t.Fatalf("image %+v", image)
	}
	if _, err := engine.Create(ctx, containers.Spec{Name: name, Image: tag, Entrypoint: []string{"/none"}, Labels: labels}); err != nil {
		t.Fatal(err)
	}
	if err := engine.RemoveImage(ctx, image.ID); !errors.Is(err, containers.ErrConflict) {
		t.Errorf("an image that is in use: %v, want a conflict", err)
	}
	if err := engine.Destroy(ctx, name); err != nil {
		t.Fatal(err)
	}
	for range 2 { // gone already is no error
		if err := engine.RemoveImage(ctx, image.ID); err != nil {
			t.Error(err)
		}
	}
	if find() != nil {
		t.Error("the image is still there")
	}
}
