package runner_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
)

// TestPublicPortsOpenAfterTheBootstrap: when a step of the bootstrap ends the admin endpoint answers, and
// the public port refuses at every event until the public endpoint is started; in the end it answers.
func TestPublicPortsOpenAfterTheBootstrap(t *testing.T) {
	published := func(host string) func(*containers.Spec) {
		return func(s *containers.Spec) {
			s.Ports = []containers.Port{{HostIP: "127.0.0.1", Host: host, Container: 80, Protocol: "tcp"}}
		}
	}
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("ve")
		s.service("admin", "listen :80 admin", published("55555"))
		s.service("one/deploy", "sleep 1s then dial admin:80", nil)
		s.service("two/deploy", "sleep 2s then dial admin:80", nil)
		s.service("public", "listen :80 public", published("8080"))
		s.stage(stages.Stage{Name: "admin", Verb: stages.Start}, "admin")
		s.stage(stages.Stage{Name: "deploy", Verb: stages.Run}, "one/deploy", "two/deploy")
		s.stage(stages.Stage{Name: "public", Verb: stages.Start}, "public")
		answers := func(port string) bool {
			c, err := b.engine.Dial(t.Context(), "host", "127.0.0.1:"+port)
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		}
		var made []events.Kind
		begun, looked := false, 0
		b.book.fail = func(e events.Event) error {
			begun = begun || e.Kind == events.StepStarted && e.Step == "public"
			if !begun {
				looked++
				if answers("8080") {
					t.Errorf("the public port answers at %s %s", e.Kind, e.Step)
				}
				if e.Stage == "deploy" && e.Kind == events.StepEnded && !answers("55555") {
					t.Errorf("the admin endpoint does not answer at %s %s", e.Kind, e.Step)
				}
				made = append(made, e.Kind)
			}
			return nil
		}
		wantDone(t, b.up(s))
		if !slices.Contains(made, events.StageCompleted) || looked < 8 {
			t.Errorf("looked at %v", made)
		}
		synctest.Wait() // it has begun to listen
		if !answers("8080") {
			t.Error("the public port does not answer in the end")
		}
	})
}
