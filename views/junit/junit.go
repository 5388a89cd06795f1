// Package junit writes a run as a JUnit report, as CI systems read it: what
// Ant's and Jenkins's schemas both accept.
package junit

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/text"
	"github.com/stagehand-dev/stagehand/views/timeline"
)

// shownLines of a failed container's output stand in its case.
const shownLines = 20

// Report is what is written.
type Report struct {
	// Name is the stack's name in its file: class names begin with it, so that
	// the cases of one run are found again in the next.
	Name string
	// Host is the name of the machine that the run was on; "" where it is not known.
	Host string
	// Run are the run's events, in order: a case for each step.
	Run []events.Event
	// More are cases beside those of the steps, after them.
	More []Case
}

// Case is one test case.
type Case struct {
	// Class comes behind the report's name.
	Class, Name string
	Took        time.Duration
	// Failure says why it failed; "" if it did not. Kind is a word for that.
	Failure, Kind string
	// Skipped says why it was not done; "" if it was.
	Skipped string
	// Details are lines on a failure.
	Details []string
}

// The elements, in the order that Ant's schema wants.
type (
	suites struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   suite    `xml:"testsuite"`
	}
	suite struct {
		ID         int        `xml:"id,attr"`
		Name       string     `xml:"name,attr"`
		Package    string     `xml:"package,attr"`
		Timestamp  string     `xml:"timestamp,attr"`
		Hostname   string     `xml:"hostname,attr"`
		Tests      int        `xml:"tests,attr"`
		Failures   int        `xml:"failures,attr"`
		Errors     int        `xml:"errors,attr"`
		Skipped    int        `xml:"skipped,attr"`
		Time       string     `xml:"time,attr"`
		Properties []property `xml:"properties>property"`
		Cases      []testcase `xml:"testcase"`
		Out        string     `xml:"system-out"`
		Err        string     `xml:"system-err"`
	}
	property struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Time    string   `xml:"time,attr"`
		Skipped *skipped `xml:"skipped"`
		Failure *failure `xml:"failure"`
	}
	skipped struct {
		Message string `xml:"message,attr"`
	}
	failure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// Write writes the report.
func Write(w io.Writer, r Report) error {
	t := timeline.Of(r.Run)
	s := suite{
		Name: r.Name, Package: r.Name, Hostname: cmp.Or(r.Host, "localhost"), Timestamp: t.Started.UTC().Format("2006-01-02T15:04:05"),
		Time: seconds(t.Took()),
	}
	for _, p := range []property{{"stack", t.Stack}, {"run", t.ID}, {"verdict", string(t.Verdict)}} {
		if p.Value != "" {
			s.Properties = append(s.Properties, p)
		}
	}
	if len(s.Properties) == 0 { // the schema wants the element
		s.Properties = []property{{"stack", r.Name}}
	}
	ends := map[string]events.Event{}
	for _, e := range r.Run {
		if e.Kind == events.StepEnded {
			ends[e.Step] = e
		}
	}
	for _, row := range t.Rows {
		s.add(r.Name, ofStep(row, ends[row.Step]))
	}
	for _, c := range r.More {
		s.add(r.Name, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suites{Suite: s}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *suite) add(name string, c Case) {
	out := testcase{Name: token(c.Name), Class: text.Joined(".", name, token(c.Class)), Time: seconds(c.Took)}
	switch {
	case c.Failure != "":
		s.Failures++
		lines := []string{text.Clean(c.Failure)}
		for _, line := range c.Details {
			lines = append(lines, text.Clean(line))
		}
		out.Failure = &failure{Message: lines[0], Type: cmp.Or(c.Kind, "failed"), Text: strings.Join(lines, "\n")}
	case c.Skipped != "":
		s.Skipped++
		out.Skipped = &skipped{text.Clean(c.Skipped)}
	}
	s.Tests++
	s.Cases = append(s.Cases, out)
}

// ofStep makes a case of a step; end is its step.ended, zero where there is none.
func ofStep(r *timeline.Row, end events.Event) Case {
	c := Case{Class: r.Stage, Name: r.Step, Took: r.Took()}
	if c.Class == "" { // of a settled step no event has the stage
		c.Class, _, _ = strings.Cut(r.Step, "/")
	}
	switch state := r.State(); {
	case r.Failed():
		c.Failure, c.Kind = cmp.Or(text.How(end), state), state
		for _, pair := range [][2]string{{"app", r.App}, {"service", r.Service}, {"container", r.Container}} {
			if pair[1] != "" {
				c.Details = append(c.Details, pair[0]+" "+pair[1])
			}
		}
		if r.Attempts > 1 {
			c.Details = append(c.Details, fmt.Sprintf("attempt %d", r.Attempts))
		}
		if len(end.Logs) > 0 {
			c.Details = append(append(c.Details, "its last lines:"), text.Tail(end.Logs, shownLines)...)
		}
	case r.Outcome == "":
		c.Failure, c.Kind = state, state
	case r.Outcome == events.Skipped:
		c.Skipped = cmp.Or(r.Error, r.Cause, state)
	}
	return c
}

// token has no white space but single blanks inside, as the schema wants it.
func token(words string) string { return strings.Join(strings.Fields(text.Clean(words)), " ") }

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", max(d, 0).Seconds()) }
