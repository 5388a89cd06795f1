package runner_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/stages"
)

// What works for long says what it printed last, whether it ends or serves; who is quick is not asked.
func TestLastLinesAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := newStack("s")
		s.service("quick", "print never seen", nil)
		s.service("slow", "print one then sleep 600ms then print two then print three then sleep 3s then print too late", nil)
		s.stage(stages.Stage{Name: "quick", Verb: stages.Run}, "quick")
		s.stage(stages.Stage{Name: "slow", Verb: stages.Run}, "slow")
		s.service("serve", "print opening then sleep 5200ms then print ready then forever", nil)
		s.stage(stages.Stage{Name: "serve", Verb: stages.Start, Units: []stages.Unit{{Ready: logMatches(t, "serve", "ready")}}}, "serve")
		wantDone(t, b.up(s))
		var told []string
		for _, e := range b.book.of(events.StepOutput) {
			told = append(told, e.Step+": "+strings.Join(e.Logs, "|"))
		}
		if diff := cmp.Diff([]string{"slow: one", "slow: three", "serve: opening"}, told); diff != "" {
			t.Error(diff)
		}
	})
}
