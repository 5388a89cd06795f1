package views

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stagehand-dev/stagehand/upgrades"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Versions is where a stack stands between its versions, as JSON has it.
type Versions struct {
	Stack  string `json:"stack"`
	Engine string `json:"engine"`
	upgrades.Status
	Tenants []upgrades.TenantStatus `json:"tenants"`
}

// Text is the same for people.
func (s Versions) Text() string {
	var b strings.Builder
	none := upgrades.Version{}
	switch {
	case s.Recorded == none:
		fmt.Fprintf(&b, "%s: no version is recorded on this engine\n", s.Stack)
	case s.Target == none:
		fmt.Fprintf(&b, "%s: %s\n", s.Stack, s.Recorded)
	default:
		fmt.Fprintf(&b, "%s: %s, on the way to %s\n", s.Stack, s.Recorded, s.Target)
	}
	if len(s.Steps) == 0 {
		return b.String()
	}
	rows := [][]string{{"STEP", "STATE", "TENANTS", "READY", "SET ASIDE", "DELETED", "BATCHES"}}
	for _, step := range s.Steps {
		all := 0
		for _, n := range step.Tenants {
			all += n
		}
		number := func(state upgrades.TenantState) string { return strconv.Itoa(step.Tenants[state]) }
		rows = append(rows, []string{
			step.String(), strings.ReplaceAll(string(step.State), "_", " "), strconv.Itoa(all), number(upgrades.TenantReady), number(upgrades.TenantSetAside), number(upgrades.TenantDeleted),
			fmt.Sprintf("%d of %d", step.BatchesReady, step.Batches),
		})
	}
	b.WriteString("\n" + text.Table(rows))
	var aside [][]string
	for _, t := range s.Tenants {
		if t.State == upgrades.TenantSetAside && t.Attempts > 0 {
			aside = append(aside, []string{text.Clean(t.Tenant), s.Steps[t.Step].String(), strconv.Itoa(t.Attempts), text.Clean(t.Error)})
		}
	}
	if len(aside) > 0 {
		b.WriteString("\n" + text.Table(append([][]string{{"SET ASIDE", "STEP", "ATTEMPTS", "LAST ERROR"}}, aside...)))
	}
	return b.String()
}
