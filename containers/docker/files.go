package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/failure"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/look"
)

// CopyIn implements containers.Copier.
func (e *Engine) CopyIn(ctx context.Context, name string, files []containers.File) error {
	if len(files) == 0 {
		_, err := look.Container(ctx, e.api, name)
		return err
	}
	return e.copyIn(ctx, name, name, files)
}

// copyIn sends all files in one archive. id is the container's name or ID,
// name is for messages.
func (e *Engine) copyIn(ctx context.Context, id, name string, files []containers.File) error {
	folders, err := e.missingFolders(ctx, id, files)
	if err != nil {
		return failure.Of(ctx, err, "copy files into container %s", name)
	}
	archive, err := pack(folders, files)
	if err != nil {
		return fmt.Errorf("copy files into container %s: %w", name, err)
	}
	err = e.api.CopyToContainer(ctx, id, "/", bytes.NewReader(archive), container.CopyToContainerOptions{})
	return failure.Of(ctx, err, "copy files into container %s", name)
}

// missingFolders lists the folders that the files need and that are not there,
// outermost first. The archive must name them, or the engine makes them for
// root only; and it must not name the others, or it changes their owner and mode.
func (e *Engine) missingFolders(ctx context.Context, id string, files []containers.File) ([]string, error) {
	there := map[string]bool{"/": true}
	var missing []string
	for _, file := range files {
		if !path.IsAbs(file.Path) || path.Clean(file.Path) != file.Path {
			return nil, failure.Invalid("file path %q: want a clean absolute path", file.Path)
		}
		for dir := path.Dir(file.Path); ; dir = path.Dir(dir) {
			if _, known := there[dir]; known {
				break
			}
			_, err := e.api.ContainerStatPath(ctx, id, dir)
			if err != nil && !cerrdefs.IsNotFound(err) {
				return nil, err
			}
			there[dir] = err == nil
			if err == nil {
				break
			}
			missing = append(missing, dir)
		}
	}
	slices.Sort(missing) // a folder's path is a prefix of what it holds
	return missing, nil
}

// pack makes a tar archive of the folders and files.
func pack(folders []string, files []containers.File) ([]byte, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, folder := range folders {
		header := &tar.Header{Typeflag: tar.TypeDir, Name: folder[1:] + "/", Mode: 0o755}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: file.Path[1:], Mode: int64(file.Mode),
			Size: int64(len(file.Content)), Uid: file.UID, Gid: file.GID,
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(file.Content); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

// CopyOut implements containers.Copier. Symbolic links are followed.
func (e *Engine) CopyOut(ctx context.Context, name, file string) ([]byte, error) {
	body, stat, err := e.api.CopyFromContainer(ctx, name, file)
	if err == nil && stat.LinkTarget != "" {
		// The engine resolves the whole chain of links within the container.
		err = body.Close()
		if err == nil {
			body, stat, err = e.api.CopyFromContainer(ctx, name, stat.LinkTarget)
		}
	}
	if err != nil {
		return nil, failure.Of(ctx, err, "copy %s out of container %s", file, name)
	}
	content, err := unpack(body)
	err = errors.Join(err, body.Close())
	if err != nil {
		return nil, failure.Of(ctx, err, "copy %s out of container %s", file, name)
	}
	return content, nil
}

// unpack returns the one regular file of an archive.
func unpack(body io.Reader) ([]byte, error) {
	reader := tar.NewReader(body)
	header, err := reader.Next()
	if err != nil {
		return nil, err
	}
	if header.Typeflag != tar.TypeReg {
		return nil, failure.Invalid("%s is not a regular file", header.Name)
	}
	return io.ReadAll(reader)
}

// Walk implements containers.Walker.
func (e *Engine) Walk(ctx context.Context, name, folder string, tell func(string, io.Reader) error) (err error) {
	body, _, err := e.api.CopyFromContainer(ctx, name, folder)
	if err != nil {
		return failure.Of(ctx, err, "read %s of container %s", folder, name)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	reader := tar.NewReader(body)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return failure.Of(ctx, err, "read %s of container %s", folder, name)
		}
		// Paths in the archive begin with the folder's own name.
		_, inside, below := strings.Cut(path.Clean(header.Name), "/")
		content := io.Reader(reader)
		switch {
		case header.Typeflag == tar.TypeDir || !below:
			continue
		case header.Typeflag != tar.TypeReg:
			content = strings.NewReader(header.Linkname)
		}
		if err := tell(inside, content); err != nil {
			return err
		}
	}
}
