package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory/internal/files"
)

// find returns where in which tree a path of the container lies.
func (c *container) find(name string) (t *files.Tree, inside string, readOnly bool) {
	root := files.Mount{Target: "/", Tree: c.files, Inside: "/", ReadOnly: c.spec.ReadOnly}
	return files.Find(name, append([]files.Mount{root}, c.mounts...)...)
}

// put copies files in; it may do so where the program may not write.
func (c *container) put(content []containers.File) {
	for _, file := range content {
		t, inside, _ := c.find(file.Path)
		file.Path = inside
		t.Put(file)
	}
}

// owner returns the numbers in a User of the form UID[:GID]; 0 otherwise.
func owner(user string) (uid, gid int) {
	first, second, _ := strings.Cut(user, ":")
	uid, _ = strconv.Atoi(first)
	gid, _ = strconv.Atoi(second)
	return uid, gid
}

// CopyIn writes the files, with the folders above them.
func (e *Engine) CopyIn(ctx context.Context, name string, content []containers.File) error {
	if err := e.enter(ctx, "CopyIn"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.lookup(name)
	if err != nil {
		return err
	}
	c.put(content)
	return nil
}

// CopyOut returns the content of a regular file.
func (e *Engine) CopyOut(ctx context.Context, name, file string) ([]byte, error) {
	if err := e.enter(ctx, "CopyOut"); err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	c, err := e.lookup(name)
	if err != nil {
		return nil, err
	}
	t, inside, _ := c.find(file)
	content, err := t.Read(inside)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, containers.ErrNotFound, err)
	}
	return content, nil
}

// Walk tells each file below a folder, by path.
func (e *Engine) Walk(ctx context.Context, name, folder string, tell func(string, io.Reader) error) error {
	if err := e.enter(ctx, "Walk"); err != nil {
		return err
	}
	c, err := e.lookup(name)
	var found []containers.File
	if err == nil {
		t, inside, _ := c.find(folder)
		if found, err = t.All(inside); err != nil {
			err = fmt.Errorf("%s: %w: %w", name, containers.ErrNotFound, err)
		}
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	for _, file := range found {
		if err := tell(file.Path, bytes.NewReader(file.Content)); err != nil {
			return err
		}
	}
	return nil
}
