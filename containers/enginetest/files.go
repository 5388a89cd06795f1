package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

// fileCases are about files, volumes and commands inside containers.
var fileCases = []Case{
	{"files are there when the program starts, with mode and owner", filesAtStart},
	{"files can be put into a volume", filesInVolume},
	{"files go in and come out at any time", copier},
	{"a volume can be walked through from a container that never ran", walks},
	{"exec returns exit code and output", execs},
	{"volumes keep their data and time of creation over containers", volumesKeep},
	{"a volume in use is not removed", volumeInUse},
	{"anonymous volumes go with their container", volumesAnonymous},
	{"a volume can be mounted for reading only", volumeReadOnly},
	{"external volumes are only looked up", volumeExternal},
	{"a memory file system starts empty", tmpfs},
}

func filesAtStart(t *testing.T, h Harness) {
	s := newStage(t, h)
	files := func(c *containers.Spec) {
		c.Files = []containers.File{
			{Path: "/etc/app/deep/secret", Content: []byte("hush\n"), Mode: 0o640, UID: 1000, GID: 1001},
			{Path: "/run.sh", Content: bytes.Repeat([]byte("0123456789abcdef"), 8192), Mode: 0o755},
			{Path: "/empty", Mode: 0o444, UID: 7},
		}
	}
	status := s.finish(s.spec("a", "stat /etc/app/deep/secret then cat /etc/app/deep/secret then stat /run.sh then stat /empty", files))
	equal(s, "log", s.logs(status.Name, containers.LogOptions{}),
		"0640 1000 1001 5\nhush\n0755 0 0 131072\n0444 7 0 0\n")
	equal(s, "exit code", status.ExitCode, 0)
}

func filesInVolume(t *testing.T, h Harness) {
	s := newStage(t, h)
	mount := func(c *containers.Spec) {
		c.Mounts = []containers.Mount{{Kind: containers.MountVolume, Source: s.volume("v").Name, Target: "/data"}}
	}
	s.finish(s.spec("first", "exit 0", mount, func(c *containers.Spec) {
		c.Files = []containers.File{{Path: "/data/conf/a", Content: []byte("kept\n"), Mode: 0o600}}
	}))
	status := s.finish(s.spec("second", "cat /data/conf/a", mount))
	equal(s, "what the next container finds", s.logs(status.Name, containers.LogOptions{}), "kept\n")
}

func copier(t *testing.T, h Harness) {
	s := newStage(t, h)
	c, ok := h.Engine.(containers.Copier)
	if !ok {
		t.Skip("the engine copies no files")
	}
	hello := []containers.File{{Path: "/made/here/hello", Content: []byte("hello\n"), Mode: 0o604, UID: 3, GID: 4}}
	name := s.start(s.spec("a", "await-file /made/here/complete then stat /made/here/hello then write /tmp/answer 42"))
	s.must(c.CopyIn(s.ctx, name, hello))
	// A file is seen before it is whole: another one says that it is.
	s.must(c.CopyIn(s.ctx, name, []containers.File{{Path: "/made/here/complete"}}))
	equal(s, "exit code", s.wait(name).ExitCode, 0)
	equal(s, "log", s.logs(name, containers.LogOptions{}), "0604 3 4 6\n")
	content, err := c.CopyOut(s.ctx, name, "/tmp/answer") // of an ended container
	s.must(err)
	equal(s, "copied out", string(content), "42\n")

	name = s.create(s.spec("b", "cat /made/here/hello"))
	s.must(c.CopyIn(s.ctx, name, hello)) // before the start
	content, err = c.CopyOut(s.ctx, name, "/made/here/hello")
	s.must(err)
	equal(s, "copied in and out", string(content), "hello\n")

	_, err = c.CopyOut(s.ctx, name, "/nothing")
	s.is("CopyOut of a missing file", err, containers.ErrNotFound)
	_, err = c.CopyOut(s.ctx, s.named("nothing"), "/tmp/answer")
	s.is("CopyOut of a missing container", err, containers.ErrNotFound)
	s.is("CopyIn to a missing container", c.CopyIn(s.ctx, s.named("nothing"), hello), containers.ErrNotFound)
}

func execs(t *testing.T, h Harness) {
	s := newStage(t, h)
	x, ok := h.Engine.(containers.Execer)
	if !ok {
		t.Skip("the engine runs no commands in containers")
	}
	name := s.ready(s.spec("a", "write /tmp/data inside then print ready then forever"))
	run := func(words ...string) (int, string) {
		var output bytes.Buffer
		code, err := x.Exec(s.ctx, name, append([]string{"/actor"}, words...), &output)
		s.must(err)
		return code, output.String()
	}
	code, output := run("cat", "/tmp/data")
	equal(s, "exit code", code, 0)
	equal(s, "output", output, "inside\n")
	code, output = run("print", "out", "then", "sleep", "100ms", "then", "warn", "err", "then", "exit", "42")
	equal(s, "exit code", code, 42)
	equal(s, "output of both streams", output, "out\nerr\n")
	var heard bytes.Buffer
	code, err := x.Hook(s.ctx, name, containers.Hook{
		Command: []string{"/actor", "env", "HOOKED", "then", "pwd", "then", "exit", "4"}, Env: []string{"HOOKED=yes"}, WorkingDir: "/tmp",
	}, &heard)
	s.must(err)
	equal(s, "exit code of a hook", code, 4)
	equal(s, "what it printed", heard.String(), "yes\n/tmp\n")
	code, err = x.Exec(s.ctx, name, []string{"/actor", "print", "unheard", "then", "exit", "3"}, nil)
	s.must(err)
	equal(s, "exit code without output", code, 3)
	equal(s, "the container's own log", s.logs(name, containers.LogOptions{}), "ready\n")

	_, err = h.Engine.Stop(s.ctx, name, 0)
	s.must(err)
	_, err = x.Exec(s.ctx, name, []string{"/actor", "exit", "0"}, nil)
	s.is("Exec in an ended container", err, containers.ErrConflict)
	_, err = x.Exec(s.ctx, s.named("nothing"), []string{"/actor", "exit", "0"}, nil)
	s.is("Exec in a missing container", err, containers.ErrNotFound)
}

func walks(t *testing.T, h Harness) {
	s := newStage(t, h)
	w, ok := h.Engine.(containers.Walker)
	if !ok {
		t.Skip("the engine cannot walk through folders")
	}
	mount := func(readOnly bool) func(*containers.Spec) {
		return func(c *containers.Spec) {
			c.Mounts = []containers.Mount{{Kind: containers.MountVolume, Source: s.volume("v").Name, Target: "/data", ReadOnly: readOnly, NoCopy: readOnly}}
		}
	}
	s.finish(s.spec("writer", "write /data/a 1 then append /data/b/c 22", mount(false), func(c *containers.Spec) {
		c.Files = []containers.File{{Path: "/data/b/c", Mode: 0o644}, {Path: "/data/empty", Mode: 0o644}}
	}))
	looker := s.spec("looker", "exit 9", mount(true))
	_, err := h.Engine.Create(s.ctx, looker)
	s.must(err)
	found := map[string]string{}
	s.must(w.Walk(s.ctx, looker.Name, "/data", func(path string, content io.Reader) error {
		text, err := io.ReadAll(content)
		found[path] = string(text)
		return err
	}))
	equal(s, "files", fmt.Sprint(found), fmt.Sprint(map[string]string{"a": "1\n", "b/c": "22\n", "empty": ""}))
	stop := fmt.Errorf("enough")
	err = w.Walk(s.ctx, looker.Name, "/data", func(string, io.Reader) error { return stop })
	equal(s, "error of tell", errors.Is(err, stop), true)
	s.is("Walk where nothing is", w.Walk(s.ctx, looker.Name, "/nowhere", nil), containers.ErrNotFound)
	s.is("Walk of no container", w.Walk(s.ctx, s.named("nothing"), "/data", nil), containers.ErrNotFound)
}

func volumesKeep(t *testing.T, h Harness) {
	s := newStage(t, h)
	first := s.volume("v")
	if first.Created.IsZero() {
		t.Error("a volume has no time of creation")
	}
	// Docker 20.10 gives the time at which the volume's folder last changed, in
	// seconds: an engine over it must note the time of creation by itself.
	s.pause(1100 * time.Millisecond)
	mount := func(c *containers.Spec) {
		c.Mounts = []containers.Mount{{Kind: containers.MountVolume, Source: first.Name, Target: "/data"}}
	}
	for i := range 3 {
		name := s.named(fmt.Sprint("c", i))
		status := s.finish(s.spec(fmt.Sprint("c", i), fmt.Sprint("append /data/log run ", i, " then cat /data/log"), mount))
		equal(s, "volumes that it mounts", fmt.Sprint(status.Volumes), fmt.Sprint([]string{first.Name}))
		if i == 2 {
			equal(s, "what all have written", s.logs(name, containers.LogOptions{}), "run 0\nrun 1\nrun 2\n")
		}
		s.must(h.Engine.Destroy(s.ctx, name))
		equal(s, "time of creation", s.volume("v").Created.Equal(first.Created), true)
	}
	listed, err := h.Engine.ListVolumes(s.ctx, s.labels)
	s.must(err)
	if len(listed) != 1 || listed[0].Name != first.Name || !listed[0].Created.Equal(first.Created) || listed[0].Labels[label] != s.id {
		t.Errorf("ListVolumes: %+v", listed)
	}
	s.must(h.Engine.RemoveVolume(s.ctx, first.Name))
	equal(s, "a new volume of that name is younger", s.volume("v").Created.After(first.Created), true)
	status := s.finish(s.spec("after", "cat /data/log", mount))
	equal(s, "exit code where the data is gone", status.ExitCode, 1)
}

func volumeInUse(t *testing.T, h Harness) {
	s := newStage(t, h)
	v := s.volume("v")
	name := s.create(s.spec("a", "exit 0", func(c *containers.Spec) {
		c.Mounts = []containers.Mount{{Kind: containers.MountVolume, Source: v.Name, Target: "/data"}}
	}))
	s.is("RemoveVolume", h.Engine.RemoveVolume(s.ctx, v.Name), containers.ErrConflict)
	s.must(h.Engine.Destroy(s.ctx, name))
	s.must(h.Engine.RemoveVolume(s.ctx, v.Name))
	listed, err := h.Engine.ListVolumes(s.ctx, s.labels)
	s.must(err)
	equal(s, "volumes left", len(listed), 0)
}

func volumesAnonymous(t *testing.T, h Harness) {
	s := newStage(t, h)
	named := s.volume("v")
	status := s.finish(s.spec("a", "write /own/file x then write /data/file y", func(c *containers.Spec) {
		c.Mounts = []containers.Mount{
			{Kind: containers.MountVolume, Target: "/own"},
			{Kind: containers.MountVolume, Source: named.Name, Target: "/data"},
		}
	}))
	equal(s, "exit code", status.ExitCode, 0)
	equal(s, "volumes", len(status.Volumes), 2)
	s.must(h.Engine.Destroy(s.ctx, status.Name))
	for _, name := range status.Volumes {
		_, err := h.Engine.EnsureVolume(s.ctx, containers.Volume{Name: name, External: true})
		if name == named.Name {
			s.check(err)
		} else {
			s.is("the anonymous volume afterwards", err, containers.ErrNotFound)
		}
	}
}

func volumeReadOnly(t *testing.T, h Harness) {
	s := newStage(t, h)
	v := s.volume("v")
	mount := func(readOnly bool) func(c *containers.Spec) {
		return func(c *containers.Spec) {
			c.Mounts = []containers.Mount{{Kind: containers.MountVolume, Source: v.Name, Target: "/data", ReadOnly: readOnly}}
		}
	}
	equal(s, "the writer's exit code", s.finish(s.spec("w", "write /data/x text", mount(false))).ExitCode, 0)
	status := s.finish(s.spec("r", "cat /data/x then write /data/x other", mount(true)))
	equal(s, "the reader's exit code", status.ExitCode, 1)
}

func volumeExternal(t *testing.T, h Harness) {
	s := newStage(t, h)
	_, err := h.Engine.EnsureVolume(s.ctx, containers.Volume{Name: s.named("theirs"), Labels: s.labels, External: true})
	s.is("EnsureVolume", err, containers.ErrNotFound)
	err = h.Engine.EnsureNetwork(s.ctx, containers.Network{Name: s.named("theirs"), Labels: s.labels, External: true})
	s.is("EnsureNetwork", err, containers.ErrNotFound)
	s.volume("theirs")
	s.network("theirs")
	_, err = h.Engine.EnsureVolume(s.ctx, containers.Volume{Name: s.named("theirs"), External: true})
	s.check(err)
	s.check(h.Engine.EnsureNetwork(s.ctx, containers.Network{Name: s.named("theirs"), External: true}))
	networks, err := h.Engine.ListNetworks(s.ctx, s.labels)
	s.must(err)
	equal(s, "networks", slices.Equal(networks, []string{s.named("theirs")}), true)
}

func tmpfs(t *testing.T, h Harness) {
	s := newStage(t, h)
	for name, put := range map[string]func(c *containers.Spec){
		"mount": func(c *containers.Spec) {
			c.Mounts = []containers.Mount{{Kind: containers.MountTmpfs, Target: "/mem", TmpfsSize: 1 << 20}}
		},
		"options": func(c *containers.Spec) { c.Tmpfs = map[string]string{"/mem": "size=1m,noexec"} },
	} {
		spec := s.spec(name, "print run then attempt /mem/runs 2 7", put)
		equal(s, "first exit code, "+name, s.finish(spec).ExitCode, 7)
		s.must(h.Engine.Start(s.ctx, spec.Name))
		s.eventually("the second run", func() bool {
			return s.logs(spec.Name, containers.LogOptions{}) == "run\nrun\n"
		})
		equal(s, "exit code of the second start, "+name, s.wait(spec.Name).ExitCode, 7)
	}
}
