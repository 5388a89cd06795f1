package decode

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
)

func parse(t testing.TB, text string) *yaml.Node {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatal(err)
	}
	return &node
}

// decoded reads a condition and returns the problems as FILE:LINE:COL: MESSAGE (EXPECTED).
func decoded(t testing.TB, text string) (waiters.Condition, []string) {
	t.Helper()
	list := &problems.List{}
	c := Condition(&Scope{File: "s.yaml", Problems: list}, parse(t, text))
	return c, lines(list)
}

func lines(list *problems.List) []string {
	var all []string
	for _, p := range list.All() {
		line := p.Pos.String() + ": " + p.Message
		if p.Expected != "" {
			line += " (" + p.Expected + ")"
		}
		all = append(all, line)
	}
	return all
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		"exit: helper":                     "exit helper",
		"exit: {service: helper, code: 3}": "exit helper with 3",
		"healthy: db":                      "healthy db",
		"healthy: {service: db}":           "healthy db",
		"tcp: db:5432":                     "tcp db:5432",
		"tcp: {address: 'db:5432'}":        "tcp db:5432",
		"http: http://u:secret@api:80/x":   "http://u:xxxxx@api:80/x",
		"http: {url: https://api/, method: put, status: 2xx, tls: {insecure: true}}":        "PUT https://api/",
		"log: {service: db, match: 'ready .*'}":                                             "log db: /ready .*/",
		"log: {service: db, match: x, count: 3, since: 5m}":                                 "log db: /x/ x3",
		"exec: {service: db, command: [pg_isready, -q]}":                                    "exec db: pg_isready -q",
		"exec: {service: db, command: pg_isready -q}":                                       "exec db: /bin/sh -c pg_isready -q",
		"sql: {url: 'postgres://u:secret@db:5432/d?sslmode=disable', query: 'select true'}": "sql db:5432/d: select true",
		"sql: {url: 'postgres://u@db/d', query: 'select  1', equals: 1}":                    "sql db/d: select 1 = 1",
		"sql: {url: 'postgres://u@db/d', query: \"select 'secret'\", at_least: 1e6}":        "sql db/d: select 'secret' >= 1000000",
		"file: {service: db, path: /a/../b, match: x}":                                      "file db:/b",
		"all: [{tcp: 'a:1'}, {any: [{exit: b}, {healthy: c}]}]":                             "all(tcp a:1, any(exit b, healthy c))",
		"exec: {service: a, command: [run, \uE000INIT_PORT\uE001]}":                         "exec a: run ${INIT_PORT}",
		"file: {service: a, path: \uE000INIT_PATH\uE001}":                                   "file a:${INIT_PATH}",
		"x: &a {tcp: 'a:1'}\n<<: {tcp: 'b:1'}\n":                                            "",
		"<<: [{tcp: 'b:1'}, {tcp: 'c:1'}]":                                                  "tcp b:1",
	} {
		c, bad := decoded(t, text)
		switch {
		case want == "" && c == nil && len(bad) > 0:
		case c == nil || len(bad) > 0:
			t.Errorf("%s: %q", text, bad)
		case c.String() != want:
			t.Errorf("%s: got %q, want %q", text, c, want)
		}
	}
}

func TestDecodeTimes(t *testing.T) {
	want := waiters.Pace{Every: 500 * time.Millisecond, Timeout: 5 * time.Minute, StableFor: 2 * time.Second}
	for _, text := range []string{
		"{tcp: 'a:1', every: 500ms, timeout: 5m, stable_for: 2s}",
		"{tcp: {address: 'a:1', every: 500ms, timeout: 5m, stable_for: 2s}}",
		"{tcp: {address: 'a:1', every: 500ms}, timeout: 5m, stable_for: 2s}",
	} {
		c, bad := decoded(t, text)
		if timed, ok := c.(waiters.Timed); !ok || timed.Pace != want || len(bad) > 0 || c.String() != "tcp a:1" {
			t.Errorf("%s: %+v, %q", text, c, bad)
		}
	}
	if c, bad := decoded(t, "{tcp: 'a:1', timeout: 0s}"); c != (conditions.TCP{Address: "a:1"}) || len(bad) > 0 {
		t.Errorf("no times: %+v, %q", c, bad)
	}
}

func TestDecodeProblems(t *testing.T) {
	all := "expected one of: " + strings.Join(slices.Sorted(slices.Values(append(Kinds(), paceFields.Keys()...))), ", ")
	kinds := "expected a mapping with one of: " + strings.Join(Kinds(), ", ")
	for _, c := range []struct {
		text string
		want []string
	}{
		{"db", []string{`s.yaml:1:1: a condition cannot be "db" (` + kinds + `)`}},
		{"[{tcp: 'a:1'}]", []string{`s.yaml:1:1: a condition cannot be a list (put the list under all: or any:)`}},
		{"{}", []string{`s.yaml:1:1: the condition has no kind (expected one of: ` + strings.Join(Kinds(), ", ") + `)`}},
		{"{htp: 'http://a'}", []string{`s.yaml:1:2: a condition has no key "htp" (did you mean "http"? ` + all + `)`}},
		{"tcp: a:1\nexit: b", []string{`s.yaml:2:1: a condition has one kind, this one has tcp and exit (put them under all: [...] or any: [...])`}},
		{"tcp: a:1\ntcp: b:1", []string{`s.yaml:2:1: the key "tcp" stands twice`}},
		{"tcp:", []string{`s.yaml:1:5: tcp cannot be empty (expected HOST:PORT, or {address: HOST:PORT})`}},
		{"tcp: a", []string{`s.yaml:1:6: tcp cannot be "a" (expected HOST:PORT, such as haf:5432)`}},
		{"tcp: a:70000", []string{`s.yaml:1:6: the port cannot be "70000" (expected a port from 1 to 65535)`}},
		{"tcp: {adress: 'a:1'}", []string{
			`s.yaml:1:6: tcp needs address (add address:)`,
			`s.yaml:1:7: tcp has no key "adress" (did you mean "address"? expected one of: address, every, stable_for, timeout)`,
		}},
		{"tcp: localhost:1", []string{`s.yaml:1:6: localhost is dialled from inside the stack's network, where it is nobody (name the service)`}},
		{"exit: [a]", []string{`s.yaml:1:7: exit cannot be a list (expected a service, or {service, code})`}},
		{"exit: {service: a, code: -1}", []string{`s.yaml:1:26: code cannot be "-1" (expected a whole number from 0 on)`}},
		{"exit: {service: a, code: 256}", []string{`s.yaml:1:26: code cannot be 256 (expected 0 to 255)`}},
		{"{tcp: 'a:1', timeout: 5}", []string{`s.yaml:1:23: timeout cannot be "5" (expected a duration such as 500ms, 5s, 2m or 1h30m; for seconds write 5s)`}},
		{"{tcp: 'a:1', every: 0s}", []string{`s.yaml:1:21: every must be longer than 0 (leave it out: looks then follow each other from 10ms, backing off to 250ms)`}},
		{"{tcp: 'a:1', stable_for: -1s}", []string{`s.yaml:1:26: stable_for cannot be "-1s" (expected a duration such as 500ms, 5s, 2m or 1h30m)`}},
		{"tcp: {address: 'a:1', every: 1s}\nevery: 2s", []string{`s.yaml:1:23: every stands twice for one condition (keep one of them)`}},
		{"http: api/health", []string{`s.yaml:1:7: this is no http URL: "api/health" (expected http://HOST:PORT/PATH or https://…)`}},
		{"http: 'http://a:x/'", []string{`s.yaml:1:7: the URL cannot be read: invalid port ":x" after host (expected http://HOST:PORT/PATH)`}},
		{"http:\n  url: http://a\n  status: [200, 99]\n  match: '('\n  method: 'GE T'", []string{
			`s.yaml:3:17: status cannot be "99" (expected a code (200), a class (2xx) or a range (200-299))`,
			"s.yaml:4:10: match does not compile: missing closing ): `(` (expected a regular expression in Go's (RE2) syntax)",
			`s.yaml:5:11: method cannot be "GE T" (did you mean "GET"? expected one of: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT)`,
		}},
		{"http: {url: http://a, headers: [a], json: {path: '.a[', value: 1}}", []string{
			`s.yaml:1:32: headers cannot be a list (expected a mapping of names to values)`,
			`s.yaml:1:50: the path ".a[" has a [ without its ] (expected a path such as .state.phase or $.a[0].b)`,
		}},
		{"http: {url: http://a, tls: {ca: none.pem}}", []string{
			`s.yaml:1:23: tls has no meaning for an http:// URL (write https://… or leave tls out)`,
			`s.yaml:1:33: ca cannot be used: stat none.pem: no such file or directory (expected the path of a PEM file, from the stack file's folder, or PEM text)`,
		}},
		{"log: db", []string{`s.yaml:1:6: log cannot be "db" (expected {service, match})`}},
		{"log: {service: db, match: '[', count: 0, since: yesterday}", []string{
			"s.yaml:1:27: match does not compile: missing closing ]: `[` (expected a regular expression in Go's (RE2) syntax)",
			`s.yaml:1:39: count cannot be "0" (expected a whole number from 1 on)`,
			`s.yaml:1:49: since cannot be "yesterday" (expected start, all, or a duration such as 5m)`,
		}},
		{"exec: {service: db, command: []}", []string{`s.yaml:1:30: command must not be empty`}},
		{"exec: {service: db, command: [a, [b]], output: '*'}", []string{
			`s.yaml:1:34: a word of command cannot be a list (expected text)`,
			"s.yaml:1:48: output does not compile: missing argument to repetition operator: `*` (expected a regular expression in Go's (RE2) syntax)",
		}},
		{"sql: {url: 'mysql://a:secret@b/c', query: ''}", []string{
			`s.yaml:1:12: this is no postgres URL (expected postgres://USER:PASSWORD@HOST:PORT/DATABASE)`,
			`s.yaml:1:43: query must not be empty`,
		}},
		{"sql: {url: 'postgres://u:secret@b/c?sslmode=maybe', query: x, equals: 1, at_least: x}", []string{
			"s.yaml:1:12: the URL cannot be used: cannot parse `postgres://u:xxxxx@b/c?sslmode=maybe`: failed to configure TLS (sslmode is invalid) (expected postgres://USER:PASSWORD@HOST:PORT/DATABASE)",
			`s.yaml:1:74: equals and at_least cannot stand together (keep one of them)`,
			`s.yaml:1:84: at_least cannot be "x" (expected a number)`,
		}},
		{"sql: {url: 'postgres:///c', query: x}", []string{`s.yaml:1:12: the URL must name its host before the path (expected postgres://USER:PASSWORD@HOST:PORT/DATABASE)`}},
		{"file: {service: db, path: a}", []string{`s.yaml:1:27: path cannot be "a" (expected a path that begins with /)`}},
		{"all: []", []string{`s.yaml:1:6: all cannot be an empty list (expected a list of conditions)`}},
		{"all: {tcp: 'a:1'}", []string{`s.yaml:1:6: all cannot be a mapping (expected a list of conditions)`}},
		{"any:\n- tcp: a\n- exit:\n", []string{
			`s.yaml:2:8: tcp cannot be "a" (expected HOST:PORT, such as haf:5432)`,
			`s.yaml:3:8: exit cannot be empty (expected a service, or {service, code})`,
		}},
	} {
		got, bad := decoded(t, c.text)
		warning := strings.Contains(c.want[0], "localhost")
		if (got == nil) == warning || !slices.Equal(bad, c.want) {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, strings.Join(bad, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

// What aliases blow up to, or contain themselves, is refused in no time.
func TestDecodeAliases(t *testing.T) {
	bomb := "- &a0 {tcp: 'a:1'}\n"
	for i := range 12 {
		previous := "*a" + string(rune('0'+i%10))
		bomb += "- &a" + string(rune('0'+(i+1)%10)) + " {all: [" + strings.Repeat(previous+",", 8) + previous + "]}\n"
	}
	var list yaml.Node
	if err := yaml.Unmarshal([]byte(bomb), &list); err != nil {
		t.Fatal(err)
	}
	self := parse(t, "&a {all: [*a, *a]}")
	merge := parse(t, "&a {<<: *a}")
	merges := parse(t, "<<: &a [*a, *a, *a]")
	value := parse(t, "http: {url: http://a, json: {path: a, value: &a [*a, *a, *a]}}")
	last := list.Content[0].Content
	for _, node := range []*yaml.Node{last[len(last)-1], self, merge, merges, value} {
		found := &problems.List{}
		if c := Condition(&Scope{File: "s.yaml", Problems: found}, node); c != nil || found.Err() == nil {
			t.Errorf("got %v, %v", c, found.Err())
		}
	}
}

func TestScope(t *testing.T) {
	var services, hosts []string
	list := &problems.List{}
	s := &Scope{
		File: "s.yaml", Problems: list,
		Service: func(n *yaml.Node, name string) { services = append(services, name) },
		Host:    func(n *yaml.Node, name string) { hosts = append(hosts, name) },
		Resolve: func(name string) string { return "app-" + name },
	}
	c := Condition(s, parse(t, "all: [{exit: e}, {file: {service: f, path: /x}}, {tcp: 't:1'}, {http: 'http://h/x'}, {sql: {url: 'postgres://u@s:5/d', query: q}}]"))
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(services, []string{"e", "f"}) || !slices.Equal(hosts, []string{"t", "h", "s"}) {
		t.Errorf("told of services %q and hosts %q", services, hosts)
	}
	if got := waiters.References(c); !slices.Equal(got, []string{"app-e", "app-f", "app-h", "app-s", "app-t"}) {
		t.Errorf("references %q", got)
	}
	if got, want := c.String(), "all(exit app-e, file app-f:/x, tcp app-t:1, http://app-h/x, sql app-s:5/d: q)"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestDecodeCall(t *testing.T) {
	for text, want := range map[string]string{
		"http: http://a/x": "GET http://a/x",
		"http: {url: http://a/x, body: y, headers: {A: b}}":   "POST http://a/x",
		"http: {url: http://a/x, method: PUT, status: [201]}": "PUT http://a/x",
		"http: {url: http://a/x, timeout: 3s}":                "GET http://a/x",
	} {
		list := &problems.List{}
		c := Call(&Scope{File: "s.yaml", Problems: list}, parse(t, text))
		if c == nil || c.String() != want || len(list.All()) > 0 {
			t.Errorf("%s: %v, %q", text, c, lines(list))
		}
	}
	for text, want := range map[string]string{
		"x":                                  `s.yaml:1:1: a call cannot be "x" (expected {http: {url: …}})`,
		"{}":                                 `s.yaml:1:1: a call needs http (add http: {url: …})`,
		"{http: {url: http://a, every: 1s}}": `s.yaml:1:8: a call is made once: it has no every and no stable_for (use retries: of the stage to repeat it)`,
		"{grpc: x}":                          `s.yaml:1:2: a call has no key "grpc" (expected one of: http, timeout)`,
	} {
		list := &problems.List{}
		c := Call(&Scope{File: "s.yaml", Problems: list}, parse(t, text))
		if c != nil || !slices.Equal(lines(list), []string{want}) {
			t.Errorf("%s: %v, %q", text, c, lines(list))
		}
	}
}

// Passwords of URLs stay out of all that is said.
func TestPasswordsAreNotSaid(t *testing.T) {
	for _, text := range []string{
		"sql: {url: 'postgres://u:se%20cret@db:5432/d', query: \"select 'se cret'\"}",
		"sql: {url: 'postgres://u:se cret@db:5432/d', query: x}",
		"sql: {url: 'postgres://u:se cret@db:x/d', query: x}",
		"sql: {url: 'postgres://u@db/d?password=se%20cret', query: x}",
		"sql: {url: 'postgres://u:se%20cret@db/d?pool_max_conns=x&sslmode=y', query: x}",
		"http: http://u:se%20cret@db:x/",
		"http: http://u:se/cret@db/",
		"http: http://u:cret/cret@db/",
		"sql: {url: 'postgres://u:cret/cret@db/d', query: x}",
		"http: ftp://u:se%20cret@db/",
	} {
		c, bad := decoded(t, text)
		said := strings.Join(bad, "\n")
		if c != nil {
			said += c.String()
		}
		if said == "" || strings.Contains(said, "cret") {
			t.Errorf("%s: says %s", text, said)
		}
	}
}

func TestCertificatesFromFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"empty.pem": "it holds no certificate", ".": "is not a file of at most",
		"/dev/zero": "is not a file of at most", "-----BEGIN nothing": "it holds no certificate",
	} {
		if _, err := certificates(filepath.Join(dir, "s.yaml"), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		"exit: {service: a, code: 3}", "tcp: a:1", "{http: {url: http://a:1/, status: [2xx], json: {path: .a, value: 1}}, every: 1s}",
		"log: {service: a, match: x, since: 5m}", "sql: {url: postgres://u@h/d, query: q, at_least: 1}", "&a {all: [*a]}", "<<: {tcp: a}",
		"all: [{any: [{exec: {service: a, command: x}}]}]", "file: {service: a, path: /x}", "http: {url: https://a, tls: {ca: x}}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var node yaml.Node
		if yaml.Unmarshal([]byte(text), &node) != nil {
			return
		}
		list := &problems.List{}
		s := &Scope{File: "s.yaml", Problems: list}
		c := Condition(s, &node)
		if (c == nil) != (list.Err() != nil) {
			t.Fatalf("%q: %v with problems %v", text, c, list.Err())
		}
		if c != nil {
			_ = c.String()
			_ = waiters.References(c)
		}
		_ = list.Render()
		if call := Call(s, &node); call != nil {
			_ = call.String()
		}
	})
}
