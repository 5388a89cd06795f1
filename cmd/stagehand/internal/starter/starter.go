// Package starter writes first stack files: from a Compose file, from a few questions, or
// from an example.
package starter

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

//go:embed examples/*.yaml
var examples embed.FS

// Examples are the names of the examples, sorted.
func Examples() []string {
	entries, err := examples.ReadDir("examples")
	if err != nil {
		panic(err) // they are part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Alternatives are the names of the examples, for people.
func Alternatives() string {
	names := Examples()
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Example is the stack file of the example; ok is false where there is none of that name.
func Example(name string) (text string, ok bool) {
	if !slices.Contains(Examples(), name) {
		return "", false
	}
	content, err := examples.ReadFile("examples/" + name + ".yaml")
	return string(content), err == nil
}

// FromCompose is a stack file that includes the Compose files, of paths from its folder, and
// has the stages that follow from their depends_on, which is what stack was read from.
func FromCompose(stack *stages.Stack, paths []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The stages of %s, which docker compose goes on reading.\n", strings.Join(paths, " and "))
	fmt.Fprintf(&b, "name: %s\n\n", scalar(stack.Name))
	list := make([]string, len(paths))
	for i, path := range paths {
		list[i] = scalar(path)
	}
	if len(paths) == 1 {
		fmt.Fprintf(&b, "include: [%s]\n", list[0])
	} else {
		fmt.Fprintf(&b, "include:\n  - path: [%s]\n", strings.Join(list, ", "))
	}
	b.WriteString("\nstages: # from top to bottom\n")
	b.WriteString(rows(followed(stack)))
	return b.String()
}

// stage is a line of stages:.
type stage struct {
	name, verb, service, ready string
	needs                      []string
}

// followed are the stages that were made of depends_on, with waits for a service's health put
// to the stage that starts it.
func followed(stack *stages.Stack) []stage {
	var out []stage
	named := map[string]string{} // the stack's stages by what they are called in the file
	for _, s := range stack.Stages {
		if len(s.Units) == 0 || s.Units[0].Service == "" {
			// The health of a service that nobody else waits for.
			if len(s.Needs) == 1 {
				named[s.Name] = named[s.Needs[0]]
			}
			continue
		}
		service := s.Units[0].Service
		next := stage{name: label(service, out), verb: string(s.Verb), service: service}
		named[s.Name] = next.name
		if s.Verb == stages.Start && hasHealthcheck(stack.Services[service].Spec.Health) {
			next.ready = "healthy"
		}
		for _, need := range s.Needs {
			if name := named[need]; name != "" && !slices.Contains(next.needs, name) {
				next.needs = append(next.needs, name)
			}
		}
		out = append(out, next)
	}
	return out
}

func hasHealthcheck(h *containers.Healthcheck) bool {
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}

// label makes a stage's name of a service's that no other stage has.
func label(service string, taken []stage) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(service)), "-")
	name = strings.Trim(name[:min(len(name), 60)], "-")
	if name == "" {
		name = "stage"
	}
	unique := name
	for i := 2; slices.ContainsFunc(taken, func(s stage) bool { return s.name == unique }); i++ {
		unique = name + "-" + strconv.Itoa(i)
	}
	return unique
}

// rows writes the stages, one a line.
func rows(list []stage) string {
	var b strings.Builder
	for i, s := range list {
		fmt.Fprintf(&b, "  - {name: %s, %s: %s", scalar(s.name), s.verb, scalar(s.service))
		if s.ready != "" {
			fmt.Fprintf(&b, ", ready: %s", s.ready)
		}
		usual := []string{}
		if i > 0 {
			usual = append(usual, list[i-1].name)
		}
		if !slices.Equal(usual, s.needs) && len(usual)+len(s.needs) > 0 {
			needs := make([]string, len(s.needs))
			for j, need := range s.needs {
				needs[j] = scalar(need)
			}
			fmt.Fprintf(&b, ", needs: [%s]", strings.Join(needs, ", "))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// scalar writes a text so that YAML reads that text again, in a list in brackets too.
func scalar(text string) string {
	var read struct{ List []any }
	if err := yaml.Unmarshal([]byte("list: ["+text+"]"), &read); err == nil && len(read.List) == 1 && read.List[0] == text {
		return text
	}
	return strconv.Quote(text)
}

// Service is an answer of an interview.
type Service struct {
	Name, Image, Command string
	// Helper: it does one job and ends.
	Helper bool
	// Port, where it is not 0, tells that a service is ready; Published is the one of
	// this machine that leads to it, 0 for none.
	Port, Published int
}

// FromAnswers is the stack file of an interview's answers.
func FromAnswers(name string, services []Service) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\n\nservices: # as in a Compose file\n", scalar(name))
	var list []stage
	for _, s := range services {
		fmt.Fprintf(&b, "  %s:\n    image: %s\n", scalar(s.Name), scalar(s.Image))
		if s.Command != "" {
			fmt.Fprintf(&b, "    command: %s\n", strconv.Quote(strings.ReplaceAll(s.Command, "$", "$$")))
		}
		if s.Published != 0 {
			fmt.Fprintf(&b, "    ports: [\"127.0.0.1:%d:%d\"]\n", s.Published, s.Port)
		}
		next := stage{name: s.Name, verb: "start", service: s.Name}
		if s.Helper {
			next.verb = "run"
		}
		if s.Port != 0 {
			next.ready = fmt.Sprintf(`{tcp: "%s:%d"}`, s.Name, s.Port)
		}
		if len(list) > 0 {
			next.needs = []string{list[len(list)-1].name}
		}
		list = append(list, next)
	}
	b.WriteString("\nstages: # from top to bottom\n")
	b.WriteString(rows(list))
	return b.String()
}

// Unknown says which example was meant.
func Unknown(name string) string {
	return fmt.Sprintf("no example %q: %s", name, problems.OneOf(name, Examples()))
}
