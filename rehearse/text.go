package rehearse

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// String is the report as a table for people.
func (r Report) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEP\tKILLED\tWHEN\tVERDICT")
	for _, c := range r.Checks {
		verdict := string(c.Verdict)
		if c.Detail != "" {
			verdict += ": " + c.Detail
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Step, c.Killed, when[c.Moment], verdict)
	}
	_ = w.Flush() // into memory
	if len(r.Ignored) > 0 {
		fmt.Fprintf(&b, "\nnot compared, because undisturbed runs differ there too: %s\n", shown(r.Ignored))
	}
	same := 0
	for _, c := range r.Checks {
		if c.Verdict == Same {
			same++
		}
	}
	fmt.Fprintf(&b, "\n%d kills in %d runs, %s: %d of %d boundaries ended in the same place\n",
		r.Kills, r.Runs, r.Elapsed.Round(time.Second), same, len(r.Checks))
	switch {
	case len(r.NotRepeatable) > 0:
		fmt.Fprintf(&b, "not repeatable: %s\n", strings.Join(r.NotRepeatable, ", "))
	case r.Good():
		b.WriteString("every helper may be executed again\n")
	}
	return b.String()
}

var when = map[Moment]string{
	Created: "its container was made", Started: "its container was started", Ended: "it was done, not recorded",
	Recorded: "it was recorded", Middle: "in the middle", Lost: "its outcome was lost",
}

func shown(folders []string) string {
	if len(folders) > 6 {
		return strings.Join(folders[:5], ", ") + fmt.Sprintf(" and %d more", len(folders)-5)
	}
	return strings.Join(folders, ", ")
}
