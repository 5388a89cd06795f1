package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// configured makes a configuration folder with a context "far" and the given current one.
func configured(t *testing.T, current string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(path, content string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json", `{"currentContext":"`+current+`"}`)
	sum := sha256.Sum256([]byte("far"))
	id := hex.EncodeToString(sum[:])
	write("contexts/meta/"+id+"/meta.json", `{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}`)
	write("contexts/tls/"+id+"/docker/ca.pem", "the authority")
	return dir
}

func TestResolve(t *testing.T) {
	for _, test := range []struct {
		name, explicit, current string
		env                     map[string]string
		want                    string
		tls                     bool
	}{
		{name: "nothing said", want: "unix:///var/run/docker.sock"},
		{name: "address given", explicit: "tcp://h:1", current: "far", env: map[string]string{"DOCKER_HOST": "tcp://other:1"}, want: "tcp://h:1"},
		{name: "path given", explicit: "/x.sock", want: "unix:///x.sock"},
		{name: "context given", explicit: "far", env: map[string]string{"DOCKER_HOST": "tcp://other:1"}, want: "tcp://far:2376", tls: true},
		{name: "context default given", explicit: "default", current: "far", want: "unix:///var/run/docker.sock"},
		{name: "DOCKER_HOST before contexts", current: "far", env: map[string]string{"DOCKER_HOST": "ssh://u@h", "DOCKER_CONTEXT": "far"}, want: "ssh://u@h"},
		{name: "DOCKER_CONTEXT", env: map[string]string{"DOCKER_CONTEXT": "far"}, want: "tcp://far:2376", tls: true},
		{name: "DOCKER_CONTEXT default over the current one", current: "far", env: map[string]string{"DOCKER_CONTEXT": "default"}, want: "unix:///var/run/docker.sock"},
		{name: "current context", current: "far", want: "tcp://far:2376", tls: true},
		{name: "TLS by environment", env: map[string]string{"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1"}, want: "tcp://h:1", tls: true},
		{name: "no TLS on a socket", env: map[string]string{"DOCKER_HOST": "unix:///x", "DOCKER_TLS_VERIFY": "1"}, want: "unix:///x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := map[string]string{"DOCKER_CONFIG": configured(t, test.current), "XDG_RUNTIME_DIR": t.TempDir()}
			for key, value := range test.env {
				env[key] = value
			}
			got, err := Resolve(test.explicit, func(key string) string { return env[key] })
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Host != test.want || (got[0].TLSData != nil) != test.tls {
				t.Errorf("got %s, TLS %t; want %s, %t", got[0].Host, got[0].TLSData != nil, test.want, test.tls)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	dir := configured(t, "gone")
	for _, test := range []struct {
		explicit string
		env      map[string]string
		want     string
	}{
		{"", nil, `no docker context "gone"`},
		{"nowhere", nil, `no docker context "nowhere"`},
		{"", map[string]string{"DOCKER_HOST": "h"}, "DOCKER_HOST"},
		{"unix://", nil, "is not an address"},
	} {
		_, err := Resolve(test.explicit, func(key string) string {
			if key == "DOCKER_CONFIG" {
				return dir
			}
			return test.env[key]
		})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q with %v: got %v, want an error with %q", test.explicit, test.env, err, test.want)
		}
	}
}

func TestUsualSockets(t *testing.T) {
	podman := filepath.Join("/run/user/x", "podman", "podman.sock")
	got := usual(func(string) string { return "/run/user/x" }, func(path string) bool { return path == podman })
	var hosts []string
	for _, c := range got {
		hosts = append(hosts, c.Host)
	}
	if want := "unix:///var/run/docker.sock unix://" + podman; strings.Join(hosts, " ") != want {
		t.Errorf("got %v, want %s", hosts, want)
	}
}

func TestDisplayHidesPasswords(t *testing.T) {
	c := Candidate{}
	c.Host = "ssh://me:secret@host"
	if got := c.Display(); strings.Contains(got, "secret") || !strings.Contains(got, "host") {
		t.Errorf("got %s", got)
	}
}

func TestConnectSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("unix", filepath.Join(dir, "silent")) // accepts, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for host, want := range map[string]string{
		"unix://" + filepath.Join(dir, "none"): "there is no such socket",
		"unix://" + dead:                       "nothing listens there",
		"tcp://127.0.0.1:1":                    "nothing listens there",
		"unix://" + silent.Addr().String():     "no answer in time",
	} {
		c := Candidate{From: "the address given"}
		c.Host = host
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		begin := time.Now()
		_, err := c.Connect(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: got %v, want %q", host, err, want)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: took %v", host, took)
		}
	}
}

func TestConnectNegotiates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.43")
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	defer func() {
		_ = server.Close()
		<-done
	}()
	c := Candidate{}
	c.Host = "unix://" + path
	api, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	if got := api.ClientVersion(); got != "1.43" {
		t.Errorf("API %s, want the server's 1.43", got)
	}
}
