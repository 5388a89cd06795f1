package text

import (
	"fmt"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
)

// Progress is "41.2/98.5 Mblocks, 41%: text".
func Progress(p events.Progress) string {
	amount := Amount(p)
	if amount == "" {
		return p.Text
	}
	if p.Total > 0 {
		amount += fmt.Sprintf(", %d%%", int(100*p.Done/p.Total))
	}
	return Joined(": ", amount, p.Text)
}

// Amount is "41.2/98.5 Mblocks", or "" where the report has none.
func Amount(p events.Progress) string {
	if p.Done == 0 && p.Total == 0 && p.Unit == "" {
		return ""
	}
	amount := Number(p.Done)
	if p.Total > 0 {
		amount += "/" + Number(p.Total)
	}
	return Joined(" ", amount, p.Unit)
}

// Number has at most two decimals.
func Number(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", x), "0"), ".")
}

// Pace is how fast the reports of a step follow each other, from the first one on: that of
// the whole stretch jumps less than that between two reports.
type Pace struct {
	from, last float64
	since      time.Time
	perSecond  float64
}

// worthSaying: less time than this is over before it is read.
const worthSaying = 2 * time.Second

// Add takes a report and returns the time that is left, 0 while that is not known.
func (p *Pace) Add(report events.Progress, at time.Time) time.Duration {
	// The first, or it has begun again: a small step back is none.
	if p.since.IsZero() || report.Done < p.from || report.Done < p.last/2 {
		*p = Pace{from: report.Done, last: report.Done, since: at}
		return 0
	}
	p.last = report.Done
	elapsed, done := at.Sub(p.since), report.Done-p.from
	if done <= 0 || elapsed < time.Second {
		return 0
	}
	p.perSecond = done / elapsed.Seconds()
	if report.Total <= 0 || report.Done >= report.Total {
		return 0
	}
	left := float64(elapsed) * (report.Total - report.Done) / done
	if left < float64(worthSaying) || left > float64(1000*time.Hour) {
		return 0
	}
	return time.Duration(left)
}

// Rate is in the reports' unit a second, 0 while it is not known.
func (p *Pace) Rate() float64 { return p.perSecond }

// Left is "about 3m05s left", or "" for 0.
func Left(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return "about " + Duration(d) + " left"
}
