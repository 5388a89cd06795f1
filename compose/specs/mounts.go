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
	if len(v.service.VolumesFrom) > 0 {
		v.list.Add(v.at("volumes_from"), "name the volumes under volumes: of both services", "volumes_from is not carried over")
	}
}

func (v *conversion) mount(i int, m types.ServiceVolumeConfig) {
	index := strconv.Itoa(i)
	out := containers.Mount{Target: m.Target, ReadOnly: m.ReadOnly}
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
			out.NoCopy, out.Subpath = m.Volume.NoCopy, m.Volume.Subpath
			if len(m.Volume.Labels) > 0 {
				v.unknown("volumes", index, "volume", "labels")
			}
		}
	case types.VolumeTypeBind:
		out.Kind, out.Source, out.CreateHostPath = containers.MountBind, m.Source, true
		if m.Bind != nil {
			out.CreateHostPath = bool(m.Bind.CreateHostPath)
			out.Propagation, out.SELinux = m.Bind.Propagation, m.Bind.SELinux
			if m.Bind.Recursive != "" {
				v.unknown("volumes", index, "bind", "recursive")
			}
		}
	case types.VolumeTypeTmpfs:
		out.Kind = containers.MountTmpfs
		if m.Tmpfs != nil {
			out.TmpfsSize, out.TmpfsMode = int64(m.Tmpfs.Size), m.Tmpfs.Mode
		}
	default:
		v.list.Add(v.at("volumes", index), "expected one of: bind, tmpfs, volume", "a mount of type %q is not carried over", m.Type)
		return
	}
	v.spec.Mounts = append(v.spec.Mounts, out)
}

// tmpfs reads PATH[:OPTION,OPTION…], the options as of mount(8).
func (v *conversion) tmpfs(i int, text string) {
	path, options, _ := strings.Cut(text, ":")
	m := containers.Mount{Kind: containers.MountTmpfs, Target: path}
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "", "rw":
		case "ro":
			m.ReadOnly = true
		case "size":
			size, err := units.RAMInBytes(value)
			if err != nil || size < 0 {
				v.list.Add(v.at("tmpfs", strconv.Itoa(i)), "expected a size such as 64m", "tmpfs size cannot be %q", value)
				return
			}
			m.TmpfsSize = size
		case "mode":
			mode, err := strconv.ParseUint(value, 8, 12)
			if err != nil {
				v.list.Add(v.at("tmpfs", strconv.Itoa(i)), "expected an octal mode such as 1777", "tmpfs mode cannot be %q", value)
				return
			}
			m.TmpfsMode = uint32(mode)
		default:
			v.list.Warn(v.at("tmpfs", strconv.Itoa(i)), "", "tmpfs option %q is not carried over", option)
		}
	}
	v.spec.Mounts = append(v.spec.Mounts, m)
}
