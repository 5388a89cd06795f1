package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/cli"
	"github.com/stagehand-dev/stagehand/containers"
)

// planted are secrets by how the stack comes by them.
var planted = map[string]string{
	"environment":        "environment-3f9a \"quoted\" & <odd>",
	"env file":           "dotenv-1c77e",
	"secret file":        "file-81bd2",
	"secret environment": "named-by-a-secret-44f0",
	"URL password":       "url-77aa4",
	"build argument":     "build-55cd1",
	"argument":           "argument-20b9",
	"app field":          "of-a-tenant-62c4",
	"::set":              "handed-on-99ee3",
	"::set URL":          "in-a-handed-on-url-6a1",
}

// vault is a stack of which each secret is printed, where it can be, by a helper and a service. more are further stages.
func vault(more string) string {
	return `name: vault
immutable: [partitions]
apps: {tenant: {partitions: 2, password: ` + planted["app field"] + `}}
secrets:
  key: {file: ./key.txt}
  other: {environment: OTHER}
x-everything: &everything
  image: stagehand-actor:test
  environment: {DB_PASSWORD: , API_KEY: , LABEL: "${LABEL:-one}"}
  secrets: [key, other]
  build: {context: ., args: {NPM_TOKEN: ` + planted["build argument"] + `}}
services:
  init:
    <<: *everything
    volumes: ["data:/data"]
    command: [append, /data/log, init, then, env, DB_PASSWORD, then, env, API_KEY, then, cat, /run/secrets/key, then, cat, /run/secrets/other,
      then, print, "postgres://me:` + planted["URL password"] + `@db/x", then, print, --password, ` + planted["argument"] + `,
      then, print, "::set token=` + planted["::set"] + `::", then, print, "::set address=http://me:` + planted["::set URL"] + `@x/::",
      then, print, "token ` + planted["::set"] + `"]
  web:
    <<: *everything
    volumes: ["data:/data"]
    command: [env, DB_PASSWORD, then, env, API_KEY, then, cat, /run/secrets/key, then, cat, /run/secrets/other, then, print, "${INIT_TOKEN}", "${INIT_ADDRESS}",
      then, print, "` + planted["build argument"] + ` ` + planted["argument"] + `", then, print, ready, then, forever]
    post_start: [{command: [/actor, env, DB_PASSWORD]}]
    pre_stop: [{command: [/actor, env, DB_PASSWORD, then, exit, "1"], environment: {HOOK_SECRET: ` + planted["argument"] + `}}]
  bad:
    <<: *everything
    command: [env, DB_PASSWORD, then, cat, /run/secrets/key, then, print, "postgres://me:` + planted["URL password"] + `@db/x", then, exit, "3"]
  tenant: {image: stagehand-actor:test, command: [print, "${APP_PASSWORD}"]}
volumes: {data: }
stages:
  - {name: init, run: init}
  - {name: tenant, run: tenant, each: apps}
  - {name: web, start: web, ready: {log: {service: web, match: ready}}}
` + more
}

const (
	badStages = `  - {name: bad, run: bad, retries: {count: 1, backoff: 1ms}, on_failure: continue}
  - {name: look, await: {exec: {service: web, command: [/actor, env, DB_PASSWORD, then, print, argument-20b9], output: never}, timeout: 300ms}, on_failure: continue}
  - {name: ask, await: {sql: {url: "postgres://me:url-77aa4@nowhere/x?password=url-77aa4", query: "select 'url-77aa4'"}, timeout: 300ms}, on_failure: continue}
  - {name: send, call: {http: {url: "http://me:url-77aa4@web:9/", headers: {Authorization: Bearer argument-20b9}, body: "argument-20b9"}}, timeout: 300ms}
`
	goodStages = `  - {name: bad, await: {exec: {service: web, command: [/actor, env, DB_PASSWORD]}}}
`
)

// vaultBench is a stack whose secrets are planted, and all that anybody has said about it.
type vaultBench struct {
	*bench
	t      *testing.T
	ledger string
	said   map[string][]byte // by what said it
}

func (v *vaultBench) command(stdout, stderr io.Writer, signals chan os.Signal, environ ...string) cli.Command {
	return cli.Command{
		Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Dir: v.dir, Signals: signals,
		Environ: append([]string{
			"HOME=" + v.dir, "STAGEHAND_LEDGER=" + v.ledger, "DB_PASSWORD=" + planted["environment"], "OTHER=" + planted["secret environment"], "PATH=" + os.Getenv("PATH"),
		}, environ...),
		Open:  func(context.Context, string) (containers.Engine, error) { return shared{v.engine}, nil },
		Watch: watched(v.engine),
	}
}

// do runs a command line and keeps what it said.
func (v *vaultBench) do(want int, args ...string) string {
	v.t.Helper()
	return v.doWith(nil, want, args...)
}

func (v *vaultBench) doWith(environ []string, want int, args ...string) string {
	v.t.Helper()
	var out, told bytes.Buffer
	code := v.command(&out, &told, nil, environ...).Main(args)
	if code != want {
		v.t.Errorf("%v: exit code %d where %d was wanted\n%s%s", args, code, want, out.String(), told.String())
	}
	name := fmt.Sprintf("%d %s", len(v.said), strings.Join(args, " "))
	v.said[name] = append(out.Bytes(), told.Bytes()...)
	return out.String() + told.String()
}

// write writes a file of the stack's.
func (v *vaultBench) write(name, text string) {
	v.t.Helper()
	if err := os.WriteFile(filepath.Join(v.dir, name), []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// files adds files, by patterns in the stack's folder.
func (v *vaultBench) files(names ...string) {
	v.t.Helper()
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(v.dir, name))
		if err != nil || len(found) == 0 {
			v.t.Errorf("no %s: %v", name, err)
		}
		for _, file := range found {
			content, err := os.ReadFile(file)
			if err != nil {
				v.t.Error(err)
			}
			v.said["file "+file] = content
		}
	}
}

// ui adds what the dashboard answers of the runs and of each of them, on its pages and in their streams.
func (v *vaultBench) ui() {
	v.t.Helper()
	at, end := v.listens(regexp.MustCompile(`at (http://\S+/) ;`), "ui")
	list := v.get(at, "", http.StatusOK)
	if !strings.Contains(list, `<th scope="row">vault</th><td class="number">`) {
		v.t.Errorf("what stands is not shown: %s", list)
	}
	v.get(at+"stream", "", http.StatusOK)
	for _, m := range regexp.MustCompile(`run/\d{8}-\d{6}-[0-9a-f]{6}`).FindAllString(list, -1) {
		v.get(at+m, "", http.StatusOK)
		v.get(at+m+"/stream", "", http.StatusOK)
	}
	v.get(at+"run/nothing", "", http.StatusNotFound)
	end()
}

// serve adds all that serve answers.
func (v *vaultBench) serve() {
	v.t.Helper()
	v.write("token", "a-token-of-serve\n")
	at, end := v.listens(regexp.MustCompile(`at (http://\S+);`), "serve", "--listen", "127.0.0.1:0", "--token-file", "token")
	const token = "Bearer a-token-of-serve"
	v.get(at+"/openapi.json", token, http.StatusOK)
	v.get(at+"/v1/apps", token, http.StatusOK)
	v.get(at+"/v1/apps/tenant", token, http.StatusOK)
	v.get(at+"/v1/locks", token, http.StatusOK)
	for _, m := range regexp.MustCompile(`\d{8}-\d{6}-[0-9a-f]{6}`).FindAllString(v.get(at+"/v1/runs", token, http.StatusOK), -1) {
		v.get(at+"/v1/runs/"+m, token, http.StatusOK)
		v.get(at+"/v1/runs/"+m+"/events?follow=true", token, http.StatusOK)
	}
	v.get(at+"/v1/runs/nothing", token, http.StatusNotFound)
	v.get(at+"/v1/runs", "Bearer "+planted["argument"], http.StatusUnauthorized)
	for _, body := range []string{`{"partitions": 2, "password": "` + planted["app field"] + `"}`, `{"partitions": "` + planted["app field"] + `"}`, planted["app field"]} {
		v.ask(http.MethodPut, at+"/v1/apps/tenant", token, body)
	}
	end()
}

// listens begins a command that answers over HTTP, and returns where it does and what ends it.
func (v *vaultBench) listens(at *regexp.Regexp, args ...string) (address string, end func()) {
	v.t.Helper()
	told, signals, code := &screen{}, make(chan os.Signal, 1), make(chan int, 1)
	command := v.command(io.Discard, told, signals)
	go func() { code <- command.Main(args) }()
	for end := time.Now().Add(patience); !at.MatchString(told.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			v.t.Fatalf("%s does not answer: %s", args[0], told)
		}
	}
	return at.FindStringSubmatch(told.String())[1], func() {
		signals <- syscall.SIGINT
		<-code
		v.said[args[0]] = []byte(told.String())
	}
}

func (v *vaultBench) get(address, authorization string, want int) string {
	v.t.Helper()
	status, answer := v.ask(http.MethodGet, address, authorization, "")
	if status != want {
		v.t.Errorf("%s: %d where %d was wanted: %s", address, status, want, answer)
	}
	return answer
}

// ask keeps what is answered: of the dashboard's streams, which do not end, what comes at once.
func (v *vaultBench) ask(method, address, authorization, body string) (status int, answer string) {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	var content []byte
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		content, err = bufio.NewReader(response.Body).ReadBytes('\n')
	} else {
		content, err = io.ReadAll(response.Body)
	}
	if err != nil {
		v.t.Errorf("%s: %s, %v", address, response.Status, err)
	}
	v.said[method+" "+address+" "+body] = fmt.Appendf(content, "%v", response.Header)
	return response.StatusCode, string(content)
}

// search names each secret that somebody has said, in the ways in which it may be written.
func (v *vaultBench) search() {
	v.t.Helper()
	for how, secret := range planted {
		forms := []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%q", secret)}
		for who, text := range v.said {
			for _, form := range append(forms, strings.Fields(secret)...) {
				if at := bytes.Index(text, []byte(form)); at >= 0 && (len(form) > 6) {
					v.t.Errorf("%s tells the secret of the %s: …%s…", who, how, text[max(0, at-60):min(len(text), at+60)])
					break
				}
			}
		}
	}
}

func newVault(t *testing.T, more string) *vaultBench {
	b := newBench(t, vault(more))
	v := &vaultBench{bench: b, t: t, ledger: filepath.Join(b.dir, "ledger.db"), said: map[string][]byte{}}
	v.write("key.txt", planted["secret file"]+"\n")
	v.write(".env", "API_KEY="+planted["env file"]+"\n")
	v.write("Dockerfile", "FROM scratch\n")
	return v
}

// printedBy is what the container has printed, as the engine has it.
func (v *vaultBench) printedBy(name string) string {
	v.t.Helper()
	reader, err := v.engine.Logs(v.t.Context(), name, containers.LogOptions{})
	if err != nil {
		v.t.Fatal(err)
	}
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(text)
}

// TestSecretsStaySecret: planted secrets reach the containers, and are found in nothing that is
// told of them: neither on the streams, nor in files, nor over HTTP.
func TestSecretsStaySecret(t *testing.T) {
	for name, test := range map[string]struct {
		stages string
		code   int
	}{"done": {goodStages, 0}, "failed": {badStages, 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t, test.stages)
			v.do(0, "validate")
			v.do(0, "lint")
			v.do(0, "plan", "--json")
			v.do(test.code, "up", "--json", "--junit", "junit.xml", "--keep-helpers")
			real := v.printedBy("vault-web-1") + v.printedBy("vault-init-1") + v.printedBy("vault-tenant-tenant-1")
			for how, secret := range planted {
				if !strings.Contains(real, secret) {
					t.Errorf("the secret of the %s has not reached the containers: %q", how, real)
				}
			}
			v.files("ledger.db*", "junit.xml") // as the run has left them
			v.do(test.code, "up")
			v.doWith([]string{"GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY=" + filepath.Join(v.dir, "summary.md")}, test.code, "up", "--rerun", "init")
			v.doWith([]string{"LABEL=two"}, 0, "plan")
			v.do(0, "plan", "--mermaid")
			for _, words := range []string{"status", "status --json", "logs", "logs --json", "logs init bad", "events", "events --json", "runs --json", "diagram", "diagram --json", "ps --all --json", "apps"} {
				v.do(0, strings.Fields(words)...)
				v.do(0, append([]string{"-p", "vault"}, strings.Fields(words)...)...) // who has no file
			}
			v.do(0, "report", "-o", "report.html")
			v.do(0, "report")
			v.do(test.code, "test", "--logs", "logs", "--junit", "test.xml", "--", "true", "--password="+planted["argument"])
			if test.code == 0 {
				v.do(1, "test", "--logs", "logs", "--", "false")
			}
			v.files("report.html", "junit.xml", "test.xml", "summary.md", "logs/*", "ledger.db*")
			v.ui()
			v.serve()
			v.do(0, "doctor")
			v.do(0, "doctor", "--json")
			v.do(0, "debug", "init", "--", "/actor", "print", "nothing")
			v.do(2, "debug", "nothing", "--", planted["argument"])
			v.do(0, "upgrade", "status")
			v.do(2, "upgrade", "--dry-run")
			v.do(2, "logs", "nothing")
			v.do(0, "config", "--services")
			v.do(0, "config", "--quiet")
			v.do(0, "stop")
			v.do(0, "down", "--volumes")
			v.files("ledger.db*")
			v.write("stagehand.yaml", strings.Replace(vault(test.stages), "image: stagehand-actor:test", "image: stagehand-actor:test\n  password: "+planted["argument"], 1))
			v.do(2, "up")
			v.do(2, "validate", "--json")
			for _, command := range []string{"lint", "plan", "config", "export compose", "debug init", "upgrade", "serve"} {
				v.do(2, strings.Fields(command)...)
			}
			v.search()
		})
	}
}

// TestASecretIsHandedOnAfterAResume: what a helper handed on is known to later runs, sealed, as long
// as its key is there; without it the helper runs again.
func TestASecretIsHandedOnAfterAResume(t *testing.T) {
	v := newVault(t, goodStages)
	v.do(0, "up")
	key, err := os.Stat(v.ledger + ".key")
	if err != nil || key.Mode().Perm() != 0o600 {
		t.Fatalf("the key: %v, %v", key, err)
	}
	v.doWith([]string{"LABEL=two"}, 0, "up", "--from", "web")
	if printed := v.printedBy("vault-web-1"); !strings.Contains(printed, planted["::set"]) || !strings.Contains(printed, planted["::set URL"]) {
		t.Errorf("web was given %q", printed)
	}
	if runs := v.effects(t, "vault"); runs != "init init" { // LABEL is init's, too
		t.Errorf("init ran: %s", runs)
	}
	v.doWith([]string{"LABEL=two"}, 0, "up", "--rerun", "web")
	if runs := v.effects(t, "vault"); runs != "init init" {
		t.Errorf("init ran again: %s", runs)
	}
	if printed := v.printedBy("vault-web-1"); !strings.Contains(printed, planted["::set"]) {
		t.Errorf("web was given %q", printed)
	}
	if err := os.Remove(v.ledger + ".key"); err != nil {
		t.Fatal(err)
	}
	if said := v.doWith([]string{"LABEL=two"}, 0, "plan"); !strings.Contains(said, "what it handed on cannot be read here: it is sealed with another key") {
		t.Error(said)
	}
	v.doWith([]string{"LABEL=two"}, 0, "up")
	if runs := v.effects(t, "vault"); runs != "init init init" {
		t.Errorf("init ran: %s", runs)
	}
	v.files("ledger.db*")
	v.search()
}
