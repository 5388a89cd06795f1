package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// hello is the example under names and ports of this test, with a ledger of its own.
func (f *fleeting) hello(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	example, err := filepath.Abs("../examples/hello/stagehand.yaml")
	if err != nil {
		t.Fatal(err)
	}
	over := fmt.Sprintf("name: %s\napps:\n  greeter: {port: %d}\n  teller: {port: %d}\n", f.name, freePort(t), freePort(t))
	if err := os.WriteFile(f.file, []byte(over), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"-f", example, "-f", f.file, "--ledger", filepath.Join(f.dir, "ledger.db"), "test"}, args...)...)
	cmd.Dir = f.dir
	return cmd
}

// probe asks the app's API, which is published, and the cluster app, which is not, and fails then.
const probe = `
set -e
ask() { exec 3<>"/dev/tcp/${1%:*}/${1##*:}"; printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3; cat <&3; }
ask "$GREETER_API_8080_ADDR" / | tail -n 1
ask "$CLUSTER_8080_ADDR" /health | head -n 1
echo "not what was expected" >&2
exit 23
`

func TestATestThatFails(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash, whose /dev/tcp asks the services")
	}
	f := newFleeting(t, "failing")
	cmd := f.hello(t, "--logs", "logs", "--junit", "junit.xml", "--", "bash", "-c", probe)
	var said strings.Builder
	cmd.Stderr = &said
	out, _ := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 23 {
		t.Fatalf("exit code %d, want the command's 23\n%s\n%s", code, out, &said)
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); len(lines) != 2 || !strings.Contains(lines[0], "greeter") || !strings.Contains(lines[1], "200 OK") {
		t.Errorf("standard output is not what the services say: %q", out)
	}
	if left := f.all(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	logs, _ := filepath.Glob(filepath.Join(f.dir, "logs", "*.log"))
	if len(logs) != 7 { // storage, cluster, bootstrap, two set-ups, two APIs
		t.Errorf("%d logs, want those of all 7 containers: %v", len(logs), logs)
	}
	for _, log := range logs {
		if !strings.Contains(log, "storage") && len(readFile(t, log)) == 0 {
			t.Errorf("%s is empty", log)
		}
	}
	report := readFile(t, filepath.Join(f.dir, "junit.xml"))
	for _, want := range []string{`tests="10" failures="1" errors="0" skipped="0"`, `<testcase name="setup/greeter" classname="` + f.name + `.setup"`, `<failure message="exit 23" type="exit">`} {
		if !strings.Contains(report, want) {
			t.Errorf("the JUnit report has no %s:\n%s", want, report)
		}
	}
	if lint, err := exec.LookPath("xmllint"); err != nil {
		t.Log("no xmllint: the JUnit report is not held against its schema")
	} else if said, err := exec.Command(lint, "--noout", "--nonet", "--schema", "../views/junit/testdata/junit.xsd", filepath.Join(f.dir, "junit.xml")).CombinedOutput(); err != nil {
		t.Errorf("the schema refuses the JUnit report: %s", said)
	}
	var containers []map[string]any
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(f.dir, "logs", "containers.json"))), &containers); err != nil || len(containers) != 7 {
		t.Errorf("containers.json has %d: %v", len(containers), err)
	}
}

// A killed runner takes its test and its stack with it.
func TestNothingOfATestOutlivesItsKilledRunner(t *testing.T) {
	t.Parallel()
	f := newFleeting(t, "shot")
	cmd := exec.Command(program, "-f", f.file, "--ledger", filepath.Join(f.dir, "ledger.db"), "test", "--", "sh", "-c", "echo $$ >pid; sleep 300")
	cmd.Dir = f.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(f.dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	eventually(t, func() string {
		text, err := os.ReadFile(filepath.Join(f.dir, "pid"))
		if err != nil {
			return err.Error()
		}
		_, err = fmt.Sscan(string(text), &pid)
		if err != nil {
			return err.Error()
		}
		return ""
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, func() string {
		if left := f.all(); len(left) > 0 {
			return fmt.Sprintf("left: %v", left)
		}
		if err := syscall.Kill(pid, 0); err == nil {
			return "the test's command still runs"
		}
		return ""
	})
}
