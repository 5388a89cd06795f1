package scenarios

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// made puts objects on the engine as a run would have left them.
type made struct {
	*stack
}

func (m made) labels(pairs ...string) []string {
	args := []string{"--label", "dev.stagehand.stack=" + m.name, "--label", "com.docker.compose.project=" + m.name}
	for _, p := range pairs {
		args = append(args, "--label", "dev.stagehand."+p)
	}
	return args
}

func (m made) container(name string, running bool, labels []string, command ...string) {
	m.t.Helper()
	args := append([]string{"create", "--network", "none", "--name", m.name + "-" + name}, labels...)
	m.docker(append(append(args, actorImage), command...)...)
	m.docker("start", m.name+"-"+name)
	if !running {
		m.docker("wait", m.name+"-"+name)
	}
}

// standing is all of the stack on the engine, without its name.
func (m made) standing() []string {
	m.t.Helper()
	var out []string
	for kind, format := range map[string]string{"container": "{{.Names}}", "network": "{{.Name}}", "volume": "{{.Name}}"} {
		args := []string{kind, "ls", "--filter", "label=dev.stagehand.stack=" + m.name, "--format", format}
		if kind == "container" {
			args = append(args, "--all")
		}
		for line := range strings.Lines(m.docker(args...)) {
			out = append(out, kind+" "+strings.TrimPrefix(strings.TrimSpace(line), m.name+"-"))
		}
	}
	slices.Sort(out)
	return out
}

func (m made) gc(args ...string) string {
	m.t.Helper()
	out, err := command(m.t.Context(), nil, program, append([]string{"gc", "-p", m.name}, args...)...)
	if err != nil {
		m.t.Fatalf("gc: %v\n%s", err, out)
	}
	return out
}

func TestGCRemovesWhatDeadRunsLeftAndNothingElse(t *testing.T) {
	t.Parallel()
	m := made{newStack(t, "gc")}
	helper := func(more ...string) []string { return m.labels(append(more, "role=helper", "run=r0")...) }
	m.container("ended", false, helper(), "exit", "3")
	m.container("running", true, helper(), "forever")
	m.container("kept", false, helper("keep=1h0m0s"), "exit", "0")
	m.container("overdue", false, helper("keep=1ms"), "exit", "0")
	m.container("service", false, m.labels("role=service", "run=r0"), "exit", "0")
	m.container("volatile", true, m.labels("role=service", "run=r1", "ephemeral=true"), "forever")
	m.docker(append(append([]string{"network", "create"}, m.labels("run=r1", "ephemeral=true")...), m.name+"-net")...)
	m.docker(append(append([]string{"network", "create"}, m.labels()...), m.name+"-lasting-net")...)
	m.docker(append(append([]string{"volume", "create"}, m.labels("run=r1", "ephemeral=true")...), m.name+"-vol")...)
	m.docker(append(append([]string{"volume", "create"}, m.labels()...), m.name+"-lasting-vol")...)
	foreign := fmt.Sprintf("ep%d-foreign", os.Getpid())
	m.docker("create", "--network", "none", "--name", foreign, actorImage, "forever")
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", foreign).Run() })

	before := m.standing()
	shown := m.gc("--dry-run")
	for _, want := range []string{
		"-ended .*(exit 3)", "-overdue ", "-volatile ", "network .*-net ", "volume .*-vol ", "5 leftovers: 3 containers, 1 network, 1 volume; removed nothing", "spare .*-running ",
	} {
		if !matches(shown, want) {
			t.Errorf("no %q in\n%s", want, shown)
		}
	}
	if after := m.standing(); !slices.Equal(before, after) {
		t.Errorf("--dry-run changed\n%v to\n%v", before, after)
	}
	if shown = m.gc(); !strings.Contains(shown, "; removed 5\n") {
		t.Errorf("gc: %s", shown)
	}
	lasting := []string{"container kept", "container running", "container service", "network lasting-net", "volume lasting-vol"}
	if after := m.standing(); !slices.Equal(after, lasting) {
		t.Errorf("left are %v, want %v", after, lasting)
	}
	if shown = m.gc("--json"); !strings.HasPrefix(shown, `{"leftovers":[],"spared":[{"kind":"container"`) {
		t.Errorf("again: %s", shown)
	}
	if m.docker("container", "ls", "--all", "--quiet", "--filter", "name="+foreign) == "" {
		t.Error("what is not ours is gone")
	}
}

// matches tells whether a line of text has the parts, which ".*" divides, in that order.
func matches(text, parts string) bool {
	for line := range strings.Lines(text) {
		rest, ok := line, true
		for _, part := range strings.Split(parts, ".*") {
			var found bool
			if _, rest, found = strings.Cut(rest, part); !found {
				ok = false
			}
		}
		if ok {
			return true
		}
	}
	return false
}

func TestGCTouchesAHelperOnlyOnceItsRunnerIsDead(t *testing.T) {
	t.Parallel()
	m := made{newStack(t, "gclive")}
	m.file("stagehand.yaml", fmt.Sprintf(`
services: {long: {image: %s, command: [forever], stop_grace_period: 1s}}
stages: [{name: long, run: long}]
`, actorImage))
	runner := exec.Command(program, m.args("up")...)
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	defer runner.Process.Kill()
	running := func() string {
		return m.docker("container", "ls", "--quiet", "--filter", "name="+m.name+"-long-1")
	}
	eventually(t, func() string {
		if running() == "" {
			return "the helper does not run"
		}
		return ""
	})
	if shown := m.gc("--older", "0s"); shown != "no leftovers\n" || running() == "" {
		t.Fatalf("while its runner lives: %s", shown)
	}
	if err := runner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = runner.Wait()
	eventually(t, func() string {
		if shown := m.gc(); !matches(shown, "spare .*-long-1 .*the next up takes it over") {
			return shown
		}
		return ""
	})
	if running() == "" {
		t.Fatal("a helper that the next up takes over was removed")
	}
	if shown := m.gc("--older", "0s"); !strings.HasSuffix(shown, "1 leftover: 1 container; removed 1\n") || running() != "" {
		t.Errorf("asked for: %s", shown)
	}
}
