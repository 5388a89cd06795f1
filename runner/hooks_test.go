package runner_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// hooked is a service that writes down when its hooks run, and what it is told to print.
func hooked(says string, postStart ...string) *stackBuilder {
	s := newStack("hooked")
	data := s.volume("data")
	s.service("web", "print "+says+" then forever", func(c *containers.Spec) {
		mount(data, "/data")(c)
		for _, text := range append([]string{"append /data/log up-" + says}, postStart...) {
			c.PostStart = append(c.PostStart, containers.Hook{Command: append([]string{"/actor"}, strings.Fields(text)...)})
		}
		c.PreStop = []containers.Hook{
			{Command: []string{"/actor", "append", "/data/log", "down-" + says}},
			{Command: []string{"/actor", "print", "why", "then", "exit", "3"}},
		}
	})
	s.stage(stages.Stage{Name: "web", Verb: stages.Start}, "web")
	return s
}

// TestHooks: post_start runs after each start, pre_stop before each stop,
// whoever stops; what a pre_stop fails with is told, and keeps nobody.
func TestHooks(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		wantDone(t, b.up(hooked("one")))
		wantDone(t, b.up(hooked("one"))) // runs already: nothing to do
		wantDone(t, b.up(hooked("two"))) // made anew
		err := runner.Down(t.Context(), runner.DownOptions{Stack: "hooked", Engine: b.engine, Sink: b.book, Ledger: b.book, Run: "down"})
		if err != nil {
			t.Fatal(err)
		}
		reader := newStack("reader")
		reader.service("cat", "cat /data/log", mount("hooked_data", "/data"))
		reader.stage(stages.Stage{Name: "cat", Verb: stages.Run}, "cat")
		wantDone(t, b.up(reader))
		ended := b.book.of(events.StepEnded)
		if got, want := strings.Fields(strings.Join(ended[len(ended)-1].Logs, " ")), []string{"up-one", "down-one", "up-two", "down-two"}; !slices.Equal(got, want) {
			t.Errorf("hooks ran: %v, want %v", got, want)
		}
		for _, e := range b.book.of(events.ServiceStopped) {
			if e.Error != "pre_stop: /actor print why then exit 3 ended with exit 3: why" {
				t.Errorf("stopped, with %q", e.Error)
			}
		}
	})
}

// TestAPostStartThatFailsIsTheStepsFailure: and the container stays.
func TestAPostStartThatFailsIsTheStepsFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		result := b.up(hooked("one", "warn broken then exit 2"))
		if got := failuresOf(result)["web"]; got != "post_start: /actor warn broken then exit 2 ended with exit 2: broken" {
			t.Errorf("failure %q", got)
		}
		if got := b.containers(); !slices.Equal(got, []string{"hooked-web-1 running"}) {
			t.Errorf("containers: %v", got)
		}
	})
}
