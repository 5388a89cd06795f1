package diagnosis

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/errdefs"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/compose/internal/sources"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// extends looks for services that extend unknown ones of the same file, and for
// those that extend each other.
func (d *diagnosis) extends() {
	for _, f := range d.source.All() {
		for i, doc := range f.Docs {
			_, services := trees.Get(doc, "services")
			bases := map[string]string{}
			places := map[string][]string{}
			for _, e := range trees.Entries(services) {
				name := trees.Resolve(e.Key).Value
				base, path := sameFileBase(e.Value, []string{"services", name})
				if base == "" || d.wrong(f, i, path...) {
					continue
				}
				// Interpolated names are compose-go's to judge.
				if strings.Contains(base, "$") {
					continue
				}
				// One that does not count may stand in a circle that one that counts leads to.
				bases[name], places[name] = base, path
				if f.Counts(name, d.only) && !slices.Contains(d.source.Declared("services"), base) {
					d.report(f, i, path, false, problems.OneOf(base, f.Names("services")), "service %q extends %q, which does not exist", name, base)
				}
			}
			d.circles(f, i, bases, places)
		}
	}
}

// sameFileBase returns what a service of the same file another extends, and where it says so.
func sameFileBase(service *yaml.Node, path []string) (base string, where []string) {
	_, node := trees.Get(service, "extends")
	path = append(path, "extends")
	if node == nil {
		return "", nil
	}
	if r := trees.Resolve(node); r.Kind == yaml.ScalarNode {
		return r.Value, path
	}
	if _, file := trees.Get(node, "file"); file != nil {
		return "", nil
	}
	if _, name := trees.Get(node, "service"); name != nil {
		return trees.Resolve(name).Value, append(path, "service")
	}
	return "", nil
}

func (d *diagnosis) circles(f *sources.File, doc int, bases map[string]string, places map[string][]string) {
	done := map[string]bool{}
	for _, start := range slices.Sorted(maps.Keys(bases)) {
		var way []string
		for name := start; name != "" && !done[name]; name = bases[name] {
			if i := slices.Index(way, name); i >= 0 {
				circle := append(way[i:], name)
				d.report(f, doc, places[name], false, "", "services extend each other: %s", strings.Join(circle, " → "))
				break
			}
			way = append(way, name)
		}
		for _, name := range way {
			done[name] = true
		}
	}
}

// meaning checks what a project must be beyond its parts. compose-go checks
// the same, but stops at the first thing, and has no places.
func (d *diagnosis) meaning(p *types.Project) {
	s := d.source
	for _, name := range p.ServiceNames() {
		if d.only != nil && !d.only(name) {
			continue
		}
		service := p.Services[name]
		before := len(d.list.All())
		at := func(path ...string) problems.Pos {
			return s.ValueAt(slices.Concat([]string{"services", name}, path)...)
		}
		if service.Image == "" && service.Build == nil && service.Provider == nil && !d.wrongIn("services", name) {
			d.list.Add(s.At("services", name), "add image: or build:", "service %q has neither an image nor a build", name)
		}
		if service.NetworkMode != "" && len(service.Networks) > 0 {
			d.list.Add(s.At("services", name, "network_mode"), "keep one of them", "network_mode and networks exclude each other")
		}
		if h := service.HealthCheck; h != nil && len(h.Test) > 0 && !slices.Contains([]string{"CMD", "CMD-SHELL", "NONE"}, h.Test[0]) {
			d.list.Add(at("healthcheck", "test"), "expected CMD, CMD-SHELL or NONE first, or a plain string", "a healthcheck's test cannot begin with %q", h.Test[0])
		}
		d.number(service)
		d.dependencies(p, service)
		d.objects(p, service)
		d.targets(service)
		d.told[name] = d.told[name] || len(d.list.All()) > before
	}
	d.sources(p)
	d.cycles(p)
}

// number checks how many containers a service has.
func (d *diagnosis) number(service types.ServiceConfig) {
	where := []string{"services", service.Name, "deploy", "replicas"}
	if service.Scale != nil {
		where = []string{"services", service.Name, "scale"}
		if deploy := service.Deploy; deploy != nil && deploy.Replicas != nil && *deploy.Replicas != *service.Scale {
			d.list.Add(d.source.At(where...), "keep one of them", "scale is %d, deploy.replicas is %d", *service.Scale, *deploy.Replicas)
		}
	}
	switch n := service.GetScale(); {
	case n < 0:
		d.list.Add(d.source.At(where...), "expected 0 or more", "there cannot be %d containers", n)
	case n > 1 && service.ContainerName != "":
		d.list.Add(d.source.At(where...), "remove container_name", "%d containers cannot all be named %q", n, service.ContainerName)
	}
}

// dependencies checks the names of other services.
func (d *diagnosis) dependencies(p *types.Project, service types.ServiceConfig) {
	names := slices.DeleteFunc(d.source.Declared("services"), func(n string) bool { return n == service.Name })
	check := func(name, what string, required bool, path ...string) bool {
		path = slices.Concat([]string{"services", service.Name}, path)
		_, err := p.GetService(name)
		switch {
		case err == nil, errors.Is(err, errdefs.ErrDisabled) && !required:
		case errors.Is(err, errdefs.ErrDisabled):
			d.list.Add(d.source.At(path...), "activate it with --profile, or say required: false", "%s %q, whose profile is not active", what, name)
		case slices.Contains(names, name): // in a file that is broken itself
		default:
			d.list.Add(d.source.At(path...), problems.OneOf(name, names), "%s %q, which does not exist", what, name)
		}
		return err == nil
	}
	// What other keys imply stands in DependsOn too; each is reported at its own key.
	implied := map[string]bool{}
	for key, value := range map[string]string{
		"network_mode": service.NetworkMode, "ipc": service.Ipc, "pid": service.Pid, "uts": service.Uts, "cgroup": service.Cgroup,
	} {
		if name, ok := strings.CutPrefix(value, types.ServicePrefix); ok {
			implied[name] = true
			check(name, key+" is that of service", true, key)
		}
	}
	for i, link := range service.Links {
		name, _, _ := strings.Cut(link, ":")
		implied[name] = true
		check(name, "links to service", true, "links", strconv.Itoa(i))
	}
	for i, from := range service.VolumesFrom {
		if name, _, _ := strings.Cut(from, ":"); !strings.HasPrefix(from, types.ContainerPrefix) {
			implied[name] = true
			check(name, "volumes_from service", true, "volumes_from", strconv.Itoa(i))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(service.DependsOn)) {
		if _, _, _, depth := d.source.Find("services", service.Name, "depends_on", name); implied[name] && depth < 4 {
			continue
		}
		check(name, "depends on service", service.DependsOn[name].Required, "depends_on", name)
	}
}

// objects checks the names of networks, volumes, configs and secrets.
func (d *diagnosis) objects(p *types.Project, service types.ServiceConfig) {
	check := func(section, singular, name string, known bool, path ...string) {
		if known || slices.Contains(d.source.Declared(section), name) {
			return
		}
		pos := d.source.ValueAt(slices.Concat([]string{"services", service.Name}, path)...)
		expected := "add it under " + section + ":"
		if known := problems.OneOf(name, d.source.Declared(section)); known != "" {
			expected = known + "; or " + expected
		}
		d.list.Add(pos, expected, "there is no %s %q", singular, name)
	}
	for _, name := range slices.Sorted(maps.Keys(service.Networks)) {
		_, known := p.Networks[name]
		check("networks", "network", name, known || name == "default", "networks", name)
	}
	for i, m := range service.Volumes {
		if m.Type == types.VolumeTypeVolume && m.Source != "" {
			_, known := p.Volumes[m.Source]
			check("volumes", "volume", m.Source, known, "volumes", d.item(service.Name, "volumes", i, m.Source))
		}
	}
	for i, c := range service.Configs {
		_, known := p.Configs[c.Source]
		check("configs", "config", c.Source, known, "configs", d.item(service.Name, "configs", i, c.Source))
	}
	for i, c := range service.Secrets {
		_, known := p.Secrets[c.Source]
		check("secrets", "secret", c.Source, known, "secrets", d.item(service.Name, "secrets", i, c.Source))
	}
}

// item finds which item of a list names source: merging may have moved it.
func (d *diagnosis) item(service, key string, i int, source string) string {
	_, _, list, depth := d.source.Find("services", service, key)
	if depth < 3 {
		return strconv.Itoa(i)
	}
	for at, node := range trees.Resolve(list).Content {
		text := trees.Resolve(node).Value
		if _, long := trees.Get(node, "source"); long != nil {
			text = trees.Resolve(long).Value
		}
		if text == source || strings.HasPrefix(text, source+":") {
			return strconv.Itoa(at)
		}
	}
	return strconv.Itoa(i)
}

// targets looks for two mounts at one place.
func (d *diagnosis) targets(service types.ServiceConfig) {
	seen := map[string]bool{}
	mount := func(target, key string, i int) {
		if seen[target] {
			d.list.Add(d.source.ValueAt("services", service.Name, key, strconv.Itoa(i)), "keep one of them", "there is another mount at %s", target)
		}
		seen[target] = true
	}
	for i, text := range service.Tmpfs {
		target, _, _ := strings.Cut(text, ":")
		mount(target, "tmpfs", i)
	}
	for i, m := range service.Volumes {
		mount(m.Target, "volumes", i)
	}
}

// sources checks that secrets have a content.
func (d *diagnosis) sources(p *types.Project) {
	for _, name := range p.SecretNames() {
		if s := p.Secrets[name]; !bool(s.External) && s.File == "" && s.Environment == "" && s.Driver == "" && !d.wrongIn("secrets", name) {
			d.list.Add(d.source.At("secrets", name), "add file: or environment:", "secret %q has no content", name)
		}
	}
}

// cycles reports each circle of dependencies once, at its first service by name.
func (d *diagnosis) cycles(p *types.Project) {
	done := map[string]bool{}
	var way []string
	var visit func(name string)
	visit = func(name string) {
		if i := slices.Index(way, name); i >= 0 {
			circle := append(slices.Clone(way[i:]), name)
			for _, member := range circle {
				d.told[member] = true
			}
			d.list.Add(d.source.At("services", circle[0], "depends_on", circle[1]), "", "services depend on each other: %s", strings.Join(circle, " → "))
			return
		}
		if done[name] {
			return
		}
		way = append(way, name)
		for _, next := range slices.Sorted(maps.Keys(p.Services[name].DependsOn)) {
			visit(next)
		}
		way = way[:len(way)-1]
		done[name] = true
	}
	for _, name := range p.ServiceNames() {
		visit(name)
	}
}
