// Package building packs what an engine builds an image from, and reads what
// it says while it builds.
package building

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/go-archive"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/stagehand-dev/stagehand/containers"
)

// Remote tells whether the engine fetches the context by itself.
func Remote(context string) bool {
	for _, prefix := range []string{"git@", "github.com/", "git://", "ssh://", "http://", "https://"} {
		if strings.HasPrefix(context, prefix) {
			return true
		}
	}
	return false
}

// Context packs the folder, without what its .dockerignore names, and returns
// the Dockerfile's path in it. A Dockerfile that is written inline or that lies
// outside of the folder is put in under a name of its own.
func Context(b containers.Build) (body io.ReadCloser, dockerfile string, err error) {
	if info, err := os.Stat(b.Context); err != nil {
		return nil, "", fmt.Errorf("its context: %w", err)
	} else if !info.IsDir() {
		return nil, "", fmt.Errorf("its context %s is not a folder", b.Context)
	}
	path := b.Dockerfile
	if path == "" {
		path = "Dockerfile"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.Context, path)
	}
	text := []byte(b.Inline)
	inside, err := filepath.Rel(b.Context, path)
	outside := err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator))
	if b.Inline == "" {
		if text, err = os.ReadFile(path); err != nil {
			return nil, "", err
		}
	}
	excluded, err := ignored(b.Context, path)
	if err != nil {
		return nil, "", err
	}
	dockerfile = filepath.ToSlash(inside)
	added := b.Inline != "" || outside
	if added {
		sum := sha256.Sum256(text)
		dockerfile = ".dockerfile." + hex.EncodeToString(sum[:8])
	}
	excluded = append(excluded, kept(excluded, ".dockerignore", dockerfile)...)
	body, err = archive.TarWithOptions(b.Context, &archive.TarOptions{ExcludePatterns: excluded, ChownOpts: &archive.ChownOpts{}})
	if err != nil || !added {
		return body, dockerfile, err
	}
	return archive.ReplaceFileTarWrapper(body, map[string]archive.TarModifierFunc{
		dockerfile: func(string, *tar.Header, io.Reader) (*tar.Header, []byte, error) {
			return &tar.Header{Name: dockerfile, Mode: 0o600, Typeflag: tar.TypeReg}, text, nil
		},
	}), dockerfile, nil
}

// ignored reads the patterns of DOCKERFILE.dockerignore or, where there is
// none, of the context's .dockerignore.
func ignored(context, dockerfile string) ([]string, error) {
	for _, path := range []string{dockerfile + ".dockerignore", filepath.Join(context, ".dockerignore")} {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		patterns, err := ignorefile.ReadAll(file)
		err = errors.Join(err, file.Close())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return patterns, nil
	}
	return nil, nil
}

// kept are the patterns that let files in which the engine needs, and which
// it leaves out by itself when it copies.
func kept(excluded []string, names ...string) []string {
	var out []string
	for _, name := range names {
		if match, err := patternmatcher.MatchesOrParentMatches(name, excluded); err == nil && match {
			out = append(out, "!"+name)
		}
	}
	return out
}
