package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// dockerCompose is the real one, built from bench/compose by scripts/test-tools.sh.
const dockerCompose = "../bench/bin/docker-compose"

const keysFolder = "testdata/compose-keys"

// allowed are the differences that there may be between what Docker Compose
// makes of a case and what stagehand makes of it: by the case's name ("*":
// every case, "x-alone": those), the places as in flatten, and the reason.
var allowed = []struct{ key, place, reason string }{
	{"*", `Config\.Labels\.(dev\.stagehand\..*)`, "ours"},
	{"*", `Config\.Labels\.com\.docker\.compose\.(config-hash|depends_on|image|version)`, "the labels of both tools on one stack have a test of their own"},
	{"*", `(Networks|Volumes)/.*/Labels\.(dev\.stagehand\..*|com\.docker\.compose\.(config-hash|version))`, "likewise"},
	{"x-alone", `Config\.Labels\.com\.docker\.compose\.project\.config_files`, "stagehand is given one more, for the cases that an engine may refuse"},
	{"configs", `HostConfig\.(Binds|Mounts)\..*|Mounts\..*`, "copied in, so that owner and mode count and the engine need not share our disk"},
	{"secrets", `HostConfig\.(Binds|Mounts)\..*|Mounts\..*`, "copied in, so that owner and mode count and the engine need not share our disk"},
}

// TestComposeKeys makes the containers of each file in testdata/compose-keys
// with Docker Compose and with stagehand, and compares what the engine says of
// them. A file is a case, named after the key that it is about. The cases share
// two projects: those with x-alone, which an engine may refuse, have one of their own.
func TestComposeKeys(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(dockerCompose); err != nil {
		t.Skip("no real Docker Compose to compare with: scripts/test-tools.sh brings it")
	}
	files, err := filepath.Glob(filepath.Join(keysFolder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var together []keyCase
	var alone []keyCase
	for _, file := range files {
		if c := readCase(t, file); c.Alone {
			alone = append(alone, c)
		} else {
			together = append(together, c)
		}
	}
	compareKeys(t, "keys", together)
	compareKeys(t, "keys-alone", alone)
}

// keyCase is one file of testdata/compose-keys.
type keyCase struct {
	key      string
	path     string
	Alone    bool                 `yaml:"x-alone"`
	Services map[string]yaml.Node `yaml:"services"`
}

func readCase(t *testing.T, path string) keyCase {
	t.Helper()
	absolute, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	c := keyCase{key: strings.TrimSuffix(filepath.Base(path), ".yaml"), path: absolute}
	if err := yaml.Unmarshal([]byte(readFile(t, path)), &c); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

// compareKeys runs both tools on the cases, one after the other under one
// project's name, and compares case by case. Cases that an engine may refuse are
// made one by one: what it refuses to one tool it must refuse to the other.
func compareKeys(t *testing.T, name string, cases []keyCase) {
	var s *stack
	theirs := !cases[0].Alone // what the cases call so is there before them and stays
	t.Cleanup(func() {        // after the stack's own
		if theirs {
			s.docker("rm", "--force", "--volumes", s.name+"-beside")
			s.docker("network", "rm", s.name+"-theirs")
			s.docker("volume", "rm", s.name+"-theirs")
		}
	})
	s = newStack(t, name)
	port := freePorts(t, 6)
	s.env = []string{
		"NAME=" + s.name, "DIR=" + s.dir, "FROM_OUTSIDE=from outside", "COMPOSE_PROFILES=keys",
		fmt.Sprintf("PORT_A=%d", port), fmt.Sprintf("PORT_B=%d", port+1), fmt.Sprintf("PORT_C=%d", port+2), fmt.Sprintf("PORT_D=%d", port+4),
	}
	args := []string{"-p", s.name}
	for _, c := range cases {
		s.files = append(s.files, c.path)
		args = append(args, "-f", c.path)
	}
	compose := func(more ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
		defer cancel()
		return command(ctx, s.env, dockerCompose, append(slices.Clone(args), more...)...)
	}
	if theirs {
		s.docker("network", "create", "--label", "scenario="+s.name, s.name+"-theirs")
		s.docker("volume", "create", "--label", "scenario="+s.name, s.name+"-theirs")
		s.docker("run", "--detach", "--name", s.name+"-beside", "--network", "none", "--volume", "/of-beside", actorImage, "forever")
	}
	if theirs {
		if out, err := compose("create"); err != nil {
			t.Fatalf("docker compose create: %v\n%s", err, out)
		}
	} else {
		var names, files []string
		cases = slices.DeleteFunc(slices.Clone(cases), func(c keyCase) bool {
			services := slices.Collect(maps.Keys(c.Services))
			if out, err := compose(append([]string{"create"}, services...)...); err != nil {
				refusedBoth(t, c, s.env, out)
				return true
			}
			names, files = append(names, services...), append(files, c.path)
			return false
		})
		s.files = files
		// One that cannot be started must not keep stagehand from the others.
		s.file("continue.yaml", "stages: [{name: all, start: ["+strings.Join(names, ", ")+"], on_failure: continue}]\n")
	}
	want := s.inspectAll()
	if out, err := compose("down", "--volumes", "--remove-orphans"); err != nil {
		t.Fatalf("docker compose down: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	out, err := command(ctx, s.env, program, s.args("up")...)
	if theirs && err != nil {
		t.Errorf("stagehand up: %v\n%s", err, out)
	}
	got := s.inspectAll()
	for _, c := range cases {
		t.Run(c.key, func(t *testing.T) {
			if len(c.Services) == 0 {
				t.Fatal("the case has no services")
			}
			for service := range c.Services {
				c.compare(t, service, want, got)
			}
		})
	}
	t.Run("objects of "+name, func(t *testing.T) {
		keyCase{key: "*"}.compare(t, "", want, got)
	})
}

// refusedBoth fails the test unless stagehand cannot make a case either.
func refusedBoth(t *testing.T, c keyCase, env []string, said string) {
	t.Run(c.key, func(t *testing.T) {
		s := newStack(t, "keys-refused", c.path)
		s.env = env
		ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
		defer cancel()
		out, err := command(ctx, s.env, program, s.args("up")...)
		if err == nil {
			t.Errorf("Docker Compose refuses it, stagehand does not:\n%s", out)
		}
		t.Logf("docker compose: %s\nstagehand: %s", said, out)
	})
}

// compare compares the containers of one service, or the networks and volumes
// ("").
func (c keyCase) compare(t *testing.T, service string, want, got map[string]map[string]string) {
	t.Helper()
	of := func(all map[string]map[string]string) map[string]map[string]string {
		mine := map[string]map[string]string{}
		for name, what := range all {
			if what["service"] == service {
				mine[name] = what
			}
		}
		return mine
	}
	theirs, ours := of(want), of(got)
	for name, what := range theirs {
		if ours[name] == nil {
			t.Errorf("Docker Compose makes %s, stagehand does not", name)
			continue
		}
		before, after := map[string]string{}, map[string]string{}
		prefix := ""
		if service == "" {
			prefix = name + "/"
		}
		for place, value := range what {
			if !c.allows(prefix + place) {
				before[place] = value
			}
		}
		for place, value := range ours[name] {
			if !c.allows(prefix + place) {
				after[place] = value
			}
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: -Docker Compose +stagehand\n%s", name, diff)
		}
	}
	for name := range ours {
		if theirs[name] == nil {
			t.Errorf("stagehand makes %s, Docker Compose does not", name)
		}
	}
}

func (c keyCase) allows(place string) bool {
	for _, a := range allowed {
		if (a.key == "*" || a.key == c.key || a.key == "x-alone" && c.Alone) && regexp.MustCompile("^("+a.place+")$").MatchString(place) {
			return true
		}
	}
	return false
}

// inspectAll is what the engine says of the project's containers, networks
// and volumes, by name ("Networks/NAME" and "Volumes/NAME"), flattened, with what
// differs from one container to the next of the same kind taken out.
func (s *stack) inspectAll() map[string]map[string]string {
	s.t.Helper()
	all := map[string]map[string]string{}
	label := "label=com.docker.compose.project=" + s.name
	ids := strings.Fields(s.docker("container", "ls", "--all", "--quiet", "--no-trunc", "--filter", label))
	if len(ids) == 0 {
		return all
	}
	text := s.docker(append([]string{"container", "inspect"}, ids...)...)
	var ofIDs []string
	for _, c := range decode(s.t, text) {
		name, id := strings.TrimPrefix(c["Name"].(string), "/"), c["Id"].(string)
		ofIDs = append(ofIDs, id, name, id[:12], name)
	}
	// Docker Compose names others by their IDs, stagehand by their names. An anonymous
	// volume's name is the engine's choice.
	text = anonymous.ReplaceAllString(strings.NewReplacer(ofIDs...).Replace(text), "<anonymous>")
	for _, c := range decode(s.t, text) {
		config, host := c["Config"].(map[string]any), c["HostConfig"].(map[string]any)
		name := strings.TrimPrefix(c["Name"].(string), "/")
		networks := map[string]any{}
		attached, _ := c["NetworkSettings"].(map[string]any)["Networks"].(map[string]any)
		for network, endpoint := range attached {
			kept := map[string]any{}
			for _, key := range []string{"Aliases", "Links", "IPAMConfig", "DriverOpts", "GwPriority"} {
				kept[key] = endpoint.(map[string]any)[key]
			}
			networks[network] = kept
		}
		if mode, _ := host["NetworkMode"].(string); !strings.HasPrefix(mode, "container:") {
			for _, kept := range networks {
				of := kept.(map[string]any)
				aliases, _ := of["Aliases"].([]any)
				// Once it runs a container has its ID (here: its name) and hostname as aliases too.
				of["Aliases"] = slices.Compact(sorted(slices.DeleteFunc(aliases, func(a any) bool { return a == config["Hostname"] && a != name })))
			}
		} else {
			delete(config, "Hostname") // once it runs, that of the other
		}
		labels, _ := config["Labels"].(map[string]any)
		flat := map[string]string{"service": fmt.Sprint(labels["com.docker.compose.service"]), "Platform": fmt.Sprint(c["Platform"])}
		for key, value := range map[string]any{"Config": config, "HostConfig": host, "Mounts": c["Mounts"], "Networks": networks} {
			flatten(flat, key, value)
		}
		all[name] = flat
	}
	for _, kind := range []string{"network", "volume"} {
		names := strings.Fields(s.docker(kind, "ls", "--filter", label, "--format", "{{.Name}}"))
		if len(names) == 0 {
			continue
		}
		for _, o := range decode(s.t, s.docker(append([]string{kind, "inspect"}, names...)...)) {
			flat := map[string]string{}
			for _, key := range []string{"Driver", "Options", "Scope", "Internal", "Attachable", "EnableIPv4", "EnableIPv6", "Labels"} {
				flatten(flat, key, o[key])
			}
			name := o["Name"].(string)
			if ipam, ok := o["IPAM"].(map[string]any); ok {
				if !strings.HasSuffix(name, "_keys-back") { // the others' addresses are the engine's choice
					delete(ipam, "Config")
				}
				flatten(flat, "IPAM", ipam)
			}
			all[strings.ToUpper(kind[:1])+kind[1:]+"s/"+name] = flat
		}
	}
	return all
}

// anonymous volumes are named by the engine.
var anonymous = regexp.MustCompile(`[0-9a-f]{64}`)

func decode(t *testing.T, text string) (found []map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		t.Fatalf("docker inspect: %v\n%s", err, text)
	}
	return found
}

// unordered are the lists in whose order nothing lies.
var unordered = regexp.MustCompile(`^(Config\.Env|HostConfig\.(Binds|Mounts|Ulimits|ExtraHosts|Links|VolumesFrom)|Mounts|Networks\..*\.(Aliases|Links))$`)

// flatten writes a value of JSON down by its places; what is empty is left out.
func flatten(into map[string]string, place string, value any) {
	switch v := value.(type) {
	case nil:
	case map[string]any:
		for key, inner := range v {
			flatten(into, place+"."+key, inner)
		}
	case []any:
		if unordered.MatchString(place) {
			sorted(v)
		}
		for i, inner := range v {
			flatten(into, place+"."+strconv.Itoa(i), inner)
		}
	case string:
		if v != "" {
			into[place] = v
		}
	default:
		into[place] = fmt.Sprint(v)
	}
}

func sorted(list []any) []any {
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(sortKey(a), sortKey(b)) })
	return list
}

func sortKey(v any) string {
	if m, ok := v.(map[string]any); ok {
		return fmt.Sprint(m["Destination"], m["Target"], m["Name"])
	}
	return fmt.Sprint(v)
}

// freePorts is the first of n ports in a row that nothing listens on.
func freePorts(t *testing.T, n int) int {
	t.Helper()
next:
	for range 50 {
		first := freePort(t)
		for port := first; port < first+n; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return first
	}
	t.Fatal("no ports in a row are free")
	return 0
}
