package memory

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/program"
)

// tree is a file system. Keys are clean absolute paths.
type tree struct {
	mu    sync.Mutex
	nodes map[string]*node
}

type node struct {
	folder   bool
	mode     uint32
	uid, gid int
	content  []byte
}

func newTree() *tree {
	return &tree{nodes: map[string]*node{"/": {folder: true, mode: 0o755}}}
}

func problem(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// makeFolders makes name and what is above it.
func (t *tree) makeFolders(name string) {
	for ; t.nodes[name] == nil; name = path.Dir(name) {
		t.nodes[name] = &node{folder: true, mode: 0o755}
	}
}

// put makes a file with all its attributes, and the folders above it.
func (t *tree) put(file containers.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := path.Clean("/" + file.Path)
	t.makeFolders(path.Dir(name))
	t.nodes[name] = &node{mode: file.Mode & 0o7777, uid: file.UID, gid: file.GID, content: slices.Clone(file.Content)}
}

// folder makes a folder with all above it.
func (t *tree) folder(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeFolders(path.Clean("/" + name))
}

func (t *tree) has(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nodes[path.Clean("/"+name)] != nil
}

func (t *tree) read(name string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch n := t.nodes[name]; {
	case n == nil:
		return nil, problem("read", name, fs.ErrNotExist)
	case n.folder:
		return nil, problem("read", name, fs.ErrInvalid)
	default:
		return slices.Clone(n.content), nil
	}
}

func (t *tree) write(name string, content []byte, extend bool, uid, gid int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[name]
	above := t.nodes[path.Dir(name)]
	switch {
	case n != nil && n.folder:
		return problem("write", name, fs.ErrInvalid)
	case n == nil && (above == nil || !above.folder):
		return problem("write", name, fs.ErrNotExist)
	case n == nil:
		n = &node{mode: 0o644, uid: uid, gid: gid}
		t.nodes[name] = n
	}
	if !extend {
		n.content = nil
	}
	n.content = append(n.content, content...)
	return nil
}

func (t *tree) stat(name string) (program.FileInfo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[name]
	if n == nil {
		return program.FileInfo{}, problem("stat", name, fs.ErrNotExist)
	}
	return program.FileInfo{Mode: n.mode & 0o777, UID: n.uid, GID: n.gid, Size: int64(len(n.content)), Folder: n.folder}, nil
}

// below returns the names of what is directly in the folder, sorted.
func (t *tree) below(name string) []string {
	var names []string
	for key := range maps.Keys(t.nodes) {
		if key != "/" && path.Dir(key) == name {
			names = append(names, path.Base(key))
		}
	}
	slices.Sort(names)
	return names
}

func (t *tree) list(name string) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[name]
	switch {
	case n == nil:
		return nil, problem("open", name, fs.ErrNotExist)
	case !n.folder:
		return nil, problem("open", name, fs.ErrInvalid)
	}
	return t.below(name), nil
}

func (t *tree) remove(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[name]
	switch {
	case n == nil:
		return problem("remove", name, fs.ErrNotExist)
	case name == "/" || n.folder && len(t.below(name)) > 0:
		return problem("remove", name, fs.ErrInvalid)
	}
	delete(t.nodes, name)
	return nil
}

// mount is a tree that stands at target in a container's file system.
type mount struct {
	target   string
	tree     *tree
	inside   string // the folder of tree that is seen
	readOnly bool
	volume   string // its name, empty for other kinds
	tmpfs    bool
}

// find returns where in which tree a path of the container lies.
func (c *container) find(name string) (t *tree, inside string, readOnly bool) {
	name = path.Clean("/" + name)
	best := mount{target: "/", tree: c.files, inside: "/", readOnly: c.spec.ReadOnly}
	for _, m := range c.mounts {
		if within(name, m.target) && len(m.target) >= len(best.target) {
			best = m
		}
	}
	rest := strings.TrimPrefix(name, best.target)
	return best.tree, path.Join("/", best.inside, rest), best.readOnly
}

func within(name, folder string) bool {
	return folder == "/" || name == folder || strings.HasPrefix(name, folder+"/")
}

// put copies files in; it may do so where the program may not write.
func (c *container) put(files []containers.File) {
	for _, file := range files {
		t, inside, _ := c.find(file.Path)
		file.Path = inside
		t.put(file)
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
func (e *Engine) CopyIn(ctx context.Context, name string, files []containers.File) error {
	if err := e.enter(ctx, "CopyIn"); err != nil {
		return err
	}
	defer e.mu.Unlock()
	c, err := e.lookup(name)
	if err != nil {
		return err
	}
	c.put(files)
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
	content, err := t.read(inside)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, containers.ErrNotFound, err)
	}
	return content, nil
}
