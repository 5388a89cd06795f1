package plan

import (
	"maps"
	"slices"
	"strconv"

	"github.com/stagehand-dev/stagehand/containers"
)

// foreign is the identity of a volume that another tool made on an engine
// that cannot tell when.
const foreign = "-"

// Identity tells a volume from another one of the same name that stood there
// before it or will after it.
func Identity(v containers.VolumeStatus) string {
	if v.Created.IsZero() {
		return foreign
	}
	return strconv.FormatInt(v.Created.UnixNano(), 36)
}

// Identities are those of the named volumes, as far as they are known; nil
// where none is named.
func Identities(names []string, known map[string]containers.VolumeStatus) map[string]string {
	if len(names) == 0 {
		return nil
	}
	out := make(map[string]string, len(names))
	for _, name := range names {
		if v, ok := known[name]; ok {
			out[name] = Identity(v)
		}
	}
	return out
}

// mounted are the names of the volumes that a container mounts, sorted.
func mounted(spec *containers.Spec) []string {
	if spec == nil {
		return nil
	}
	var names []string
	for _, mount := range spec.Mounts {
		if mount.Kind == containers.MountVolume && mount.Source != "" {
			names = append(names, mount.Source)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// relies are the volumes on which the effect of a step stands: its own and,
// unless it only looks, those of the steps before it.
func relies(step *Step, before effect, looks bool) []string {
	names := mounted(step.Spec)
	if !looks {
		names = append(names, slices.Collect(maps.Keys(before.volumes))...)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return names
}

// otherVolume says which of the volumes that the record relied on is not
// what it was then; "" when all are.
func (m *maker) otherVolume(names []string, fact Fact) string {
	for _, name := range names {
		v, there := m.facts.Volumes[name]
		was, noted := fact.Volumes[name]
		switch {
		case !there:
			return "volume is gone: " + name
		case noted && was != Identity(v):
			return "volume is new: " + name + " was removed and made anew since"
		case !noted && fact.Parts != nil:
			return "volume is new: " + name
		case !noted && v.Created.After(fact.Time): // a record of a version that did not note volumes
			return "volume is new: " + name
		}
	}
	return ""
}
