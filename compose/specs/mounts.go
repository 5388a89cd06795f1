package specs

import (
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"github.com/stagehand-dev/stagehand/containers"
)

// mounts sets volumes and tmpfs, in the file's order.
func (v *conversion) mounts() {
	for i, m := range v.service.Volumes {
		v.mount(i, m)
	}
	for i, text := range v.service.Tmpfs {
		v.tmpfs(i, text)
	}
	for i, from := range v.service.VolumesFrom {
		v.volumesFrom(i, from)
	}
	if v.service.UseAPISocket {
		v.spec.Mounts = append(v.spec.Mounts, containers.Mount{Kind: containers.MountBind, Source: apiSocket, Target: apiSocket, CreateHostPath: true})
		v.list.Warn(v.at("use_api_socket"), "mount a Docker configuration where the service needs one",
			"the engine's socket is mounted, but credentials for registries are not handed in")
	}
}

// apiSocket is where engines listen. Source: docker/compose pkg/compose/apiSocket.go.
const apiSocket = "/var/run/docker.sock"

// volumesFrom reads SERVICE[:MODE] or container:NAME[:MODE].
func (v *conversion) volumesFrom(i int, text string) {
	name, mode, _ := strings.Cut(text, ":")
	if name == "container" {
		name, mode, _ = strings.Cut(mode, ":")
	} else {
		name = v.peer(name)
	}
	switch mode {
	case "ro":
		name += ":ro"
	case "", "rw":
	default:
		v.list.Add(v.at("volumes_from", strconv.Itoa(i)), "expected SERVICE, SERVICE:ro or container:NAME", "volumes_from cannot be %q", text)
		return
	}
	v.spec.VolumesFrom = append(v.spec.VolumesFrom, name)
}

func (v *conversion) mount(i int, m types.ServiceVolumeConfig) {
	index := strconv.Itoa(i)
	out := containers.Mount{Target: m.Target, ReadOnly: m.ReadOnly, Consistency: m.Consistency}
	switch m.Type {
	case types.VolumeTypeVolume:
		out.Kind = containers.MountVolume
		if m.Source != "" {
			volume, ok := v.Project.Volumes[m.Source]
			if !ok {
				v.list.Add(v.at("volumes", index), "", "there is no volume %q", m.Source)
				return
			}
			out.Source = volume.Name
		}
		if m.Volume != nil {
			out.NoCopy, out.Subpath, out.Labels = m.Volume.NoCopy, m.Volume.Subpath, clone(m.Volume.Labels)
		}
	case types.VolumeTypeBind:
		out.Kind, out.Source, out.CreateHostPath = containers.MountBind, m.Source, true
		if m.Bind != nil {
			out.CreateHostPath = bool(m.Bind.CreateHostPath)
			out.Propagation, out.SELinux, out.Recursive = m.Bind.Propagation, m.Bind.SELinux, m.Bind.Recursive
		}
	case types.VolumeTypeTmpfs:
		out.Kind = containers.MountTmpfs
		if m.Tmpfs != nil {
			out.TmpfsSize, out.TmpfsMode = int64(m.Tmpfs.Size), m.Tmpfs.Mode
		}
	case types.VolumeTypeImage:
		out.Kind, out.Source = containers.MountImage, m.Source
		if m.Image != nil {
			out.Subpath = m.Image.SubPath
		}
	default:
		v.list.Add(v.at("volumes", index), "expected one of: bind, image, tmpfs, volume", "a mount of type %q is not carried over", m.Type)
		return
	}
	v.spec.Mounts = append(v.spec.Mounts, out)
}

// tmpfs reads PATH[:OPTION,OPTION…], the options as of mount(8). Sizes and
// modes are checked here, so that what is wrong is shown in its place.
func (v *conversion) tmpfs(i int, text string) {
	path, options, _ := strings.Cut(text, ":")
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "size":
			if size, err := units.RAMInBytes(strings.TrimSuffix(value, "%")); err != nil || size < 0 {
				v.list.Add(v.at("tmpfs", strconv.Itoa(i)), "expected a size such as 64m", "tmpfs size cannot be %q", value)
				return
			}
		case "mode":
			if _, err := strconv.ParseUint(value, 8, 12); err != nil {
				v.list.Add(v.at("tmpfs", strconv.Itoa(i)), "expected an octal mode such as 1777", "tmpfs mode cannot be %q", value)
				return
			}
		}
	}
	if v.spec.Tmpfs == nil {
		v.spec.Tmpfs = map[string]string{}
	}
	v.spec.Tmpfs[path] = options
}
