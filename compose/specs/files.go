package specs

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
)

// files sets what configs and secrets are copied into the container. Compose
// mounts them from its own host, which need not be the engine's; here that is done only
// where nothing can be copied, with read_only.
func (v *conversion) files() {
	for i, ref := range v.service.Configs {
		object, ok := v.Project.Configs[ref.Source]
		if !ok {
			v.list.Add(v.at("configs", strconv.Itoa(i)), "", "there is no config %q", ref.Source)
			continue
		}
		v.file("configs", i, types.FileReferenceConfig(ref), types.FileObjectConfig(object), "/")
	}
	for i, ref := range v.service.Secrets {
		object, ok := v.Project.Secrets[ref.Source]
		if !ok {
			v.list.Add(v.at("secrets", strconv.Itoa(i)), "", "there is no secret %q", ref.Source)
			continue
		}
		v.file("secrets", i, types.FileReferenceConfig(ref), types.FileObjectConfig(object), "/run/secrets")
	}
}

func (v *conversion) file(section string, i int, ref types.FileReferenceConfig, object types.FileObjectConfig, dir string) {
	if object.External {
		v.list.Add(v.at(section, strconv.Itoa(i)), "give it a file, an environment variable or, for a config, content",
			"%s %q is external, and no engine here keeps %s", section[:len(section)-1], ref.Source, section)
		return
	}
	content, mode, ok := v.content(section, ref.Source, object)
	if !ok {
		return
	}
	target := ref.Target
	if target == "" {
		target = ref.Source
	}
	if !path.IsAbs(target) {
		target = path.Join(dir, target)
	}
	file := containers.File{Path: path.Clean(target), Content: content, Mode: mode, Secret: section == "secrets", Source: object.File}
	if v.service.ReadOnly && file.Source == "" && !v.writable(file.Path) {
		v.list.Add(v.at(section, strconv.Itoa(i)), "give it a file, or mount a volume there",
			"%s %q has no file to mount, and nothing can be copied to %s with read_only", section[:len(section)-1], ref.Source, file.Path)
		return
	}
	if ref.Mode != nil {
		file.Mode = uint32(*ref.Mode) & 0o7777
	}
	for _, owner := range []struct {
		key, text string
		id        *int
	}{{"uid", ref.UID, &file.UID}, {"gid", ref.GID, &file.GID}} {
		if owner.text == "" {
			continue
		}
		n, err := strconv.ParseUint(owner.text, 10, 31)
		if err != nil {
			v.list.Add(v.at(section, strconv.Itoa(i), owner.key), "expected a number", "%s cannot be %q", owner.key, owner.text)
			return
		}
		*owner.id = int(n)
	}
	v.spec.Files = append(v.spec.Files, file)
}

// writable tells that something is mounted over the path into which can be written.
func (v *conversion) writable(file string) bool {
	return slices.ContainsFunc(v.spec.Mounts, func(m containers.Mount) bool {
		return (m.Kind == containers.MountVolume || m.Kind == containers.MountBind) && !m.ReadOnly && strings.HasPrefix(file, strings.TrimSuffix(m.Target, "/")+"/")
	})
}

// content returns the text and the mode that it has where the service gives none.
func (v *conversion) content(section, key string, object types.FileObjectConfig) (text []byte, mode uint32, ok bool) {
	where := func(attribute string) []string { return []string{section, key, attribute} }
	switch {
	case object.Driver != "" || object.TemplateDriver != "":
		v.list.Add(v.At(where("driver")...), "", "a driver of %s is not carried over", section)
		return nil, 0, false
	case object.File != "":
		info, err := os.Stat(object.File)
		if err == nil && info.IsDir() {
			v.list.Add(v.At(where("file")...), "mount it under volumes: instead", "%s is a folder", object.File)
			return nil, 0, false
		}
		if err == nil && !info.Mode().IsRegular() {
			// A device or a pipe could be read for ever.
			v.list.Add(v.At(where("file")...), "", "%s is not a regular file", object.File)
			return nil, 0, false
		}
		if err == nil {
			text, err = os.ReadFile(object.File)
		}
		if err != nil {
			v.list.Add(v.At(where("file")...), "", "%s: %s", object.File, problems.Unread(err))
			return nil, 0, false
		}
		return text, uint32(info.Mode().Perm()) | 0o444, true
	case object.Environment != "":
		value, set := v.Project.Environment[object.Environment]
		if !set {
			v.list.Add(v.At(where("environment")...), "set it, or put it into .env", "the environment variable %s is not set", object.Environment)
			return nil, 0, false
		}
		return []byte(value), 0o444, true
	}
	return []byte(object.Content), 0o444, true
}
