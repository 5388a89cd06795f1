// Package files holds the file systems of containers in memory.
package files

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/program"
)

// Tree is a file system. Keys are clean absolute paths.
type Tree struct {
	mu    sync.Mutex
	nodes map[string]*node
}

type node struct {
	folder   bool
	mode     uint32
	uid, gid int
	content  []byte
}

// New returns an empty file system.
func New() *Tree {
	return &Tree{nodes: map[string]*node{"/": {folder: true, mode: 0o755}}}
}

func problem(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// makeFolders makes name and what is above it.
func (t *Tree) makeFolders(name string) {
	for ; t.nodes[name] == nil; name = path.Dir(name) {
		t.nodes[name] = &node{folder: true, mode: 0o755}
	}
}

// Put makes a file with all its attributes, and the folders above it.
func (t *Tree) Put(file containers.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := path.Clean("/" + file.Path)
	t.makeFolders(path.Dir(name))
	t.nodes[name] = &node{mode: file.Mode & 0o7777, uid: file.UID, gid: file.GID, content: slices.Clone(file.Content)}
}

// Folder makes a folder with all above it.
func (t *Tree) Folder(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeFolders(path.Clean("/" + name))
}

// Has tells whether there is something at name.
func (t *Tree) Has(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nodes[path.Clean("/"+name)] != nil
}

// Read returns a copy of a file. Of this and all that follow name is clean and
// absolute, and errors are *fs.PathError.
func (t *Tree) Read(name string) ([]byte, error) {
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

// Write replaces a file or extends it. One that it makes has mode 0644 and the
// given owner.
func (t *Tree) Write(name string, content []byte, extend bool, uid, gid int) error {
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

// Stat describes a file or folder.
func (t *Tree) Stat(name string) (program.FileInfo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[name]
	if n == nil {
		return program.FileInfo{}, problem("stat", name, fs.ErrNotExist)
	}
	return program.FileInfo{Mode: n.mode & 0o777, UID: n.uid, GID: n.gid, Size: int64(len(n.content)), Folder: n.folder}, nil
}

// All returns the files at any depth below a folder, sorted, with paths that
// are relative to it.
func (t *Tree) All(folder string) ([]containers.File, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[folder]; n == nil || !n.folder {
		return nil, problem("open", folder, fs.ErrNotExist)
	}
	var found []containers.File
	for _, key := range slices.Sorted(maps.Keys(t.nodes)) {
		inside, below := strings.CutPrefix(key, strings.TrimSuffix(folder, "/")+"/")
		if n := t.nodes[key]; below && !n.folder {
			found = append(found, containers.File{Path: inside, Content: slices.Clone(n.content), Mode: n.mode, UID: n.uid, GID: n.gid})
		}
	}
	return found, nil
}

// below returns the names of what is directly in the folder, sorted.
func (t *Tree) below(name string) []string {
	var names []string
	for key := range maps.Keys(t.nodes) {
		if key != "/" && path.Dir(key) == name {
			names = append(names, path.Base(key))
		}
	}
	slices.Sort(names)
	return names
}

// List returns the names of what is directly in a folder, sorted.
func (t *Tree) List(name string) ([]string, error) {
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

// Remove removes a file or an empty folder.
func (t *Tree) Remove(name string) error {
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

// Mount is a tree that stands at Target in a container's file system.
type Mount struct {
	Target   string // clean and absolute
	Tree     *Tree
	Inside   string // the folder of Tree that is seen
	ReadOnly bool
	Volume   string // its name, empty for other kinds
	Tmpfs    bool
}

// Find returns where in which tree a path lies that is seen through the mounts,
// of which one stands at /.
func Find(name string, mounts ...Mount) (t *Tree, inside string, readOnly bool) {
	name = path.Clean("/" + name)
	var best Mount
	for _, m := range mounts {
		if within(name, m.Target) && len(m.Target) >= len(best.Target) {
			best = m
		}
	}
	rest := strings.TrimPrefix(name, best.Target)
	return best.Tree, path.Join("/", best.Inside, rest), best.ReadOnly
}

func within(name, folder string) bool {
	return folder == "/" || name == folder || strings.HasPrefix(name, folder+"/")
}
