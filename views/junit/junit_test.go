package junit

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/events"
)

var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int, kind events.Kind, step string, e events.Event) events.Event {
	e.Time, e.Kind, e.Step, e.Run, e.Stack = zero.Add(time.Duration(ms)*time.Millisecond), kind, step, "r1", "demo-abc123"
	if e.Stage == "" {
		e.Stage, e.App, _ = strings.Cut(step, "/")
	}
	return e
}

func sample() Report {
	seven := 7
	return Report{Name: "demo", Host: "box", Run: []events.Event{
		at(0, events.RunStarted, "", events.Event{Verb: "up", Settled: []events.Settled{{Step: "init", Outcome: events.Skipped, Cause: "recorded by run r0"}, {Step: "db", Outcome: events.Adopted, Cause: "runs already"}}}),
		at(10, events.StepStarted, "setup/one", events.Event{Attempt: 1}),
		at(10, events.StepStarted, "setup/two", events.Event{Attempt: 1}),
		at(20, events.StepRetrying, "setup/one", events.Event{Attempt: 1, ExitCode: &seven}),
		at(30, events.StepStarted, "setup/one", events.Event{Attempt: 2}),
		at(60, events.StepEnded, "setup/two", events.Event{Outcome: events.Done}),
		at(1260, events.StepEnded, "setup/one", events.Event{
			Attempt: 2, Outcome: events.Failed, ExitCode: &seven, Error: "exit 7", Service: "one-setup", Container: "demo-one-setup-1",
			Logs: []string{"no such table: \x1b[31m\"<a> & b\"\x1b[0m", "\ttabs\x00 and \xff"},
		}),
		at(1270, events.StepEnded, "api/one", events.Event{Outcome: events.Skipped, Error: "not reached: setup/one failed"}),
		at(1280, events.StepStarted, "late", events.Event{}),
		at(1300, events.RunEnded, "", events.Event{Verdict: events.VerdictFailed}),
	}, More: []Case{
		{Class: "budget", Name: "setup", Took: 2 * time.Second},
		{Class: "test", Name: "sh  -c\n'exit 3' ", Took: time.Second, Failure: "exit 3", Kind: "exit"},
	}}
}

const want = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite id="0" name="demo" package="demo" timestamp="2026-01-02T03:04:05" hostname="box" tests="8" failures="3" errors="0" skipped="2" time="1.300">
    <properties>
      <property name="stack" value="demo-abc123"></property>
      <property name="run" value="r1"></property>
      <property name="verdict" value="failed"></property>
    </properties>
    <testcase name="init" classname="demo.init" time="0.000">
      <skipped message="recorded by run r0"></skipped>
    </testcase>
    <testcase name="db" classname="demo.db" time="0.000"></testcase>
    <testcase name="setup/one" classname="demo.setup" time="1.250">
      <failure message="exit 7" type="failed">exit 7&#xA;app one&#xA;service one-setup&#xA;container demo-one-setup-1&#xA;attempt 2&#xA;its last lines:&#xA;no such table: [31m&#34;&lt;a&gt; &amp; b&#34;[0m&#xA; tabs and �</failure>
    </testcase>
    <testcase name="setup/two" classname="demo.setup" time="0.050"></testcase>
    <testcase name="api/one" classname="demo.api" time="0.000">
      <skipped message="not reached: setup/one failed"></skipped>
    </testcase>
    <testcase name="late" classname="demo.late" time="0.000">
      <failure message="no end" type="no end">no end</failure>
    </testcase>
    <testcase name="setup" classname="demo.budget" time="2.000"></testcase>
    <testcase name="sh -c &#39;exit 3&#39;" classname="demo.test" time="1.000">
      <failure message="exit 3" type="exit">exit 3</failure>
    </testcase>
    <system-out></system-out>
    <system-err></system-err>
  </testsuite>
</testsuites>
`

func write(t *testing.T, r Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWrite(t *testing.T) {
	if diff := cmp.Diff(want, write(t, sample())); diff != "" {
		t.Error(diff)
	}
}

// valid holds a report against the schema, and tells what xmllint says.
func valid(t *testing.T, report string) (string, bool) {
	t.Helper()
	lint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("no xmllint: scripts/test-tools.sh brings it")
	}
	file := filepath.Join(t.TempDir(), "junit.xml")
	if err := os.WriteFile(file, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), lint, "--noout", "--nonet", "--schema", "testdata/junit.xsd", file).CombinedOutput()
	return string(out), err == nil
}

func TestTheSchemaAcceptsIt(t *testing.T) {
	for name, r := range map[string]Report{"sample": sample(), "empty": {Name: "demo"}, "cut off": {Name: "demo", Run: sample().Run[:3]}} {
		if said, ok := valid(t, write(t, r)); !ok {
			t.Errorf("%s: %s", name, said)
		}
	}
	// It can refuse, too.
	for _, broken := range [][2]string{
		{`time="1.250"`, `time="-1.2"`}, {`timestamp="2026-01-02T03:04:05"`, `timestamp="2026-01-02T03:04:05Z"`},
		{`<system-err></system-err>`, ``}, {` type="exit"`, ``}, {`classname="demo.db"`, ``}, {`name="sh -c`, `name=" sh -c`},
	} {
		report := strings.Replace(want, broken[0], broken[1], 1)
		if report == want {
			t.Fatalf("%s does not stand there", broken[0])
		}
		if _, ok := valid(t, report); ok {
			t.Errorf("accepted with %s in place of %s", broken[1], broken[0])
		}
	}
}
