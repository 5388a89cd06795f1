package building

import (
	"archive/tar"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stagehand-dev/stagehand/containers"
)

// TestContext: what is packed, and where the Dockerfile stands in it.
func TestContext(t *testing.T) {
	root := t.TempDir()
	context := filepath.Join(root, "context")
	for path, text := range map[string]string{
		"context/Dockerfile": "FROM scratch\n", "context/kept": "k", "context/secret.key": "s", "context/sub/deep.key": "s", "context/sub/other": "o",
		"context/Other.Dockerfile": "FROM other\n", "context/Other.Dockerfile.dockerignore": "sub\n", "outside.Dockerfile": "FROM outside\n",
		"context/.dockerignore": "**/*.key\nDockerfile\n.dockerignore\n",
	} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	everything := []string{".dockerignore", "Dockerfile", "Other.Dockerfile", "Other.Dockerfile.dockerignore", "kept", "secret.key", "sub/deep.key", "sub/other"}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(everything), func(name string) bool { return slices.Contains(names, name) })
	}
	for _, test := range []struct {
		name, text string
		build      containers.Build
		files      []string
	}{
		{"the usual", "FROM scratch\n", containers.Build{}, without("secret.key", "sub/deep.key")},
		{"a Dockerfile with an ignore file of its own", "FROM other\n", containers.Build{Dockerfile: "Other.Dockerfile"}, without("sub/deep.key", "sub/other")},
		{"outside", "FROM outside\n", containers.Build{Dockerfile: "../outside.Dockerfile"}, append(without("secret.key", "sub/deep.key", "Dockerfile"), "+")},
		{"inline", "FROM inline\n", containers.Build{Inline: "FROM inline\n"}, append(without("secret.key", "sub/deep.key", "Dockerfile"), "+")},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.build.Context = context
			body, dockerfile, err := Context(test.build)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			var files []string
			text := ""
			for reader := tar.NewReader(body); ; {
				header, err := reader.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if header.Typeflag == tar.TypeDir {
					continue
				}
				if header.Uid != 0 || header.Gid != 0 {
					t.Errorf("%s belongs to %d:%d", header.Name, header.Uid, header.Gid)
				}
				if header.Name == dockerfile {
					content, err := io.ReadAll(reader)
					if err != nil {
						t.Fatal(err)
					}
					text = string(content)
				}
				if strings.HasPrefix(header.Name, ".dockerfile.") {
					header.Name = "+"
				}
				files = append(files, header.Name)
			}
			slices.Sort(files)
			slices.Sort(test.files)
			if diff := cmp.Diff(test.files, files); diff != "" {
				t.Error(diff)
			}
			if text != test.text {
				t.Errorf("the Dockerfile %s is %q", dockerfile, text)
			}
		})
	}
	for _, b := range []containers.Build{{Context: filepath.Join(root, "none")}, {Context: filepath.Join(context, "kept")}, {Context: context, Dockerfile: "none"}} {
		if _, _, err := Context(b); err == nil {
			t.Errorf("%+v: no error", b)
		}
	}
}

func TestRemote(t *testing.T) {
	for context, want := range map[string]bool{"/a/b": false, "https://example.org/a.git": true, "git@example.org:a": true, "/https://x": false} {
		if Remote(context) != want {
			t.Errorf("%s: %v", context, !want)
		}
	}
}

// TestRead: what both builders say, and how a failure reads.
func TestRead(t *testing.T) {
	text := func(number uint64, value string) []byte {
		return append(binary.AppendUvarint([]byte{byte(number<<3 | 2)}, uint64(len(value))), value...)
	}
	vertex := append(text(vertexName, "[2/3] COPY a b"), text(vertexStarted, "")...)
	over := append(slices.Clone(vertex), text(vertexCompleted, "")...)
	log := append([]byte{3 << 3, 1}, text(logMessage, "hello\nworld\n")...)
	record := slices.Concat(text(statusVertexes, string(vertex)), text(statusVertexes, string(over)), text(statusLogs, string(log)))
	for _, test := range []struct {
		name, body, failure string
		said                []string
	}{
		{"classic", `{"stream":"Step 1/2 : FROM a\n"}{"stream":" ---> 123\n"}{"aux":{"ID":"sha256:1"}}`, "", []string{"Step 1/2 : FROM a"}},
		{"classic that fails", `{"stream":"Step 1/2 : RUN x\n"}{"errorDetail":{"code":1,"message":"no"},"error":"no"}`, "no\nStep 1/2 : RUN x", []string{"Step 1/2 : RUN x"}},
		{"fails at once", `{"error":"no"}`, "no", nil},
		{"BuildKit", fmt.Sprintf(`{"id":"moby.buildkit.trace","aux":%q}{"id":"moby.image.id","aux":{"ID":"sha256:1"}}`, base64.StdEncoding.EncodeToString(record)), "",
			[]string{"[2/3] COPY a b", "hello", "world"}},
		{"a broken record", fmt.Sprintf(`{"id":"moby.buildkit.trace","aux":%q}`, base64.StdEncoding.EncodeToString(record[:len(record)-3])), "", []string{"[2/3] COPY a b"}},
		{"an answer that breaks off", `{"stream":`, "unexpected EOF", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var said []string
			err := Read(strings.NewReader(test.body), func(line string) { said = append(said, line) })
			if diff := cmp.Diff(test.said, said); diff != "" {
				t.Error(diff)
			}
			if failure := fmt.Sprint(err); err != nil && failure != test.failure || err == nil && test.failure != "" {
				t.Errorf("error %v, want %q", err, test.failure)
			}
		})
	}
}
