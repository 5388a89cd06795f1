package rehearse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/stages"
)

// contents are the files of a stack's volumes: "VOLUME/PATH", where VOLUME is
// as the engine knows it.
type contents map[string]file

type file struct {
	size int64
	sum  string
}

// looking is where a volume stands in the container that it is read from.
const looking = "/stagehand-rehearsal"

// read reads all volumes of the stack that are its own. Each is mounted,
// read-only, into a container that is made for that and never started.
func read(ctx context.Context, engine containers.Engine, walker containers.Walker, stack *stages.Stack) (contents, error) {
	found := contents{}
	for _, v := range stack.Volumes {
		if v.External {
			continue
		}
		image := imageOn(stack, v.Name)
		if image == "" {
			continue // nobody writes to it
		}
		if err := readVolume(ctx, engine, walker, stack.Name, v.Name, image, found); err != nil {
			return nil, fmt.Errorf("reading volume %s: %w", v.Name, err)
		}
	}
	return found, nil
}

func readVolume(ctx context.Context, engine containers.Engine, walker containers.Walker, stack, volume, image string, into contents) error {
	spec := containers.Spec{
		Name: containers.Name(stack, "rehearsal-look"), Image: image, Entrypoint: []string{"never-started"}, NetworkMode: "none",
		Mounts: []containers.Mount{{Kind: containers.MountVolume, Source: volume, Target: looking, ReadOnly: true, NoCopy: true}},
	}
	spec.Labels = map[string]string{containers.LabelStack: stack, containers.LabelSpec: spec.Hash(), containers.LabelRole: containers.RoleProbe}
	if _, err := engine.Create(ctx, spec); err != nil {
		return err
	}
	err := walker.Walk(ctx, spec.Name, looking, func(name string, content io.Reader) error {
		sum := sha256.New()
		n, err := io.Copy(sum, content)
		into[volume+"/"+name] = file{n, hex.EncodeToString(sum.Sum(nil))}
		return err
	})
	if gone := engine.Destroy(context.WithoutCancel(ctx), spec.Name); err == nil {
		err = gone
	}
	return err
}

// imageOn is the image of a service that mounts the volume.
func imageOn(stack *stages.Stack, volume string) string {
	var images []string
	for _, s := range stack.Services {
		for _, m := range s.Spec.Mounts {
			if m.Kind == containers.MountVolume && m.Source == volume {
				images = append(images, s.Spec.Image)
			}
		}
	}
	if len(images) == 0 {
		return ""
	}
	return slices.Min(images)
}

// noise is what differs from one undisturbed run to the next: files, and
// folders with all that is in them, as a database has them.
type noise map[string]bool

// learn finds the noise between two undisturbed runs, volume by volume. Files
// that change by themselves stand for the folder that holds all of them, since
// the next run may change its neighbours. Of a volume's top folder that
// would be too much: there they stand for themselves, or for the top folder's folder
// that they are in.
func learn(a, b contents) noise {
	differing := map[string][]string{} // by volume
	for name := range union(a, b) {
		if a[name] != b[name] {
			volume, _, _ := strings.Cut(name, "/")
			differing[volume] = append(differing[volume], name)
		}
	}
	n := noise{}
	for volume, names := range differing {
		if common := commonFolder(names); common != volume {
			n[common] = true
			continue
		}
		for _, name := range names {
			first, _, _ := strings.Cut(strings.TrimPrefix(name, volume+"/"), "/")
			n[volume+"/"+first] = true
		}
	}
	return n
}

// commonFolder is the deepest folder that all the files are below.
func commonFolder(names []string) string {
	common := path.Dir(names[0])
	for _, name := range names {
		for !strings.HasPrefix(name, common+"/") {
			common = path.Dir(common)
		}
	}
	return common
}

// covers tells whether a file is noise.
func (n noise) covers(name string) bool {
	for ; strings.Contains(name, "/"); name = path.Dir(name) {
		if n[name] {
			return true
		}
	}
	return false
}

// differences says what is not as it was after the undisturbed run, in words,
// sorted; noise does not count.
func differences(want, got contents, n noise) []string {
	var out []string
	for name := range union(want, got) {
		if n.covers(name) || want[name] == got[name] {
			continue
		}
		was, had := want[name]
		is, has := got[name]
		switch {
		case !had:
			out = append(out, fmt.Sprintf("%s is new", name))
		case !has:
			out = append(out, fmt.Sprintf("%s is missing", name))
		case was.size != is.size:
			out = append(out, fmt.Sprintf("%s has %d bytes in place of %d", name, is.size, was.size))
		default:
			out = append(out, fmt.Sprintf("%s has other content", name))
		}
	}
	slices.Sort(out)
	return out
}

func union(a, b contents) map[string]bool {
	all := make(map[string]bool, len(a))
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	return all
}
