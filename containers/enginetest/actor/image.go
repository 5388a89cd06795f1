package actor

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const mainPackage = "github.com/stagehand-dev/stagehand/containers/enginetest/actor/actor"

// Layer builds the program for Linux on this machine's architecture and
// returns the image's file system, a tar with the program at Path and an open
// /tmp: what "docker import" takes, which then needs an entrypoint of Path and
// a command of Command. It must be called inside the module, as a test is, and
// needs the go command.
func Layer(ctx context.Context) ([]byte, error) {
	folder, err := os.MkdirTemp("", "actor-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary := filepath.Join(folder, "actor")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-buildvcs=false", "-o", binary, mainPackage)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH, "GOFLAGS=")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the actor: %w\n%s", err, output)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	return archive(
		tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		entry{strings.TrimPrefix(Path, "/"), 0o755, content},
	)
}

// Tar returns the whole image as an archive that "docker load", "podman load",
// "ctr images import" and "kind load image-archive" take, named ref. The same
// source gives the same bytes. The conditions are Layer's.
func Tar(ctx context.Context, ref string) ([]byte, error) {
	layer, err := Layer(ctx)
	if err != nil {
		return nil, err
	}
	// The fields of an image's configuration that loading needs. Source:
	// github.com/opencontainers/image-spec, config.md.
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      "1970-01-01T00:00:00Z",
		"config":       map[string]any{"Entrypoint": []string{Path}, "Cmd": Command, "WorkingDir": "/"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
		"history":      []any{map[string]any{"created": "1970-01-01T00:00:00Z", "created_by": "actor"}},
	})
	if err != nil {
		return nil, err
	}
	configName := digest(config) + ".json"
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": configName, "RepoTags": []string{ref}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return nil, err
	}
	return archive(
		entry{configName, 0o644, config},
		entry{"layer.tar", 0o644, layer},
		entry{"manifest.json", 0o644, manifest},
	)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

type entry struct {
	name    string
	mode    int64
	content []byte
}

// archive makes a tar of the items, each a tar.Header or an entry.
func archive(items ...any) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, item := range items {
		var header tar.Header
		var content []byte
		switch item := item.(type) {
		case tar.Header:
			header = item
		case entry:
			header = tar.Header{Name: item.name, Typeflag: tar.TypeReg, Mode: item.mode, Size: int64(len(item.content))}
			content = item.content
		}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}
