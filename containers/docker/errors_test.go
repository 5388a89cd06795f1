package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/stagehand-dev/stagehand/containers"
)

func TestClassify(t *testing.T) {
	answer := func(kind error, text string) error {
		return fmt.Errorf("Error response from daemon: %s%w", text, hidden{kind})
	}
	for _, test := range []struct {
		err  error
		want error
	}{
		{answer(cerrdefs.ErrNotFound, "No such container: x"), containers.ErrNotFound},
		{answer(cerrdefs.ErrNotFound, "No such image: x:latest"), containers.ErrImage},
		{answer(cerrdefs.ErrNotFound, "image with reference x was found but does not match the specified platform"), containers.ErrImage},
		{answer(cerrdefs.ErrInternal, "x: image not known"), containers.ErrImage},
		{answer(cerrdefs.ErrConflict, `Conflict. The container name "/x" is already in use`), containers.ErrConflict},
		{answer(cerrdefs.ErrPermissionDenied, "error while removing network: network x has active endpoints"), containers.ErrConflict},
		{answer(cerrdefs.ErrInternal, "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated"), containers.ErrConflict},
		{answer(cerrdefs.ErrInvalidArgument, "invalid reference format"), containers.ErrInvalid},
		{answer(cerrdefs.ErrInternal, "connection error: dial unix:///run/containerd/containerd.sock: timeout"), containers.ErrUnavailable},
		{answer(cerrdefs.ErrUnavailable, "try later"), containers.ErrUnavailable},
		{answer(cerrdefs.ErrInternal, "something else"), nil},
		{io.ErrUnexpectedEOF, containers.ErrUnavailable},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, containers.ErrUnavailable},
		{errors.New("error during connect: Get http://x: EOF"), containers.ErrUnavailable},
	} {
		if got := classify(test.err); !errors.Is(got, test.want) {
			t.Errorf("%v: got %v, want %v", test.err, got, test.want)
		}
	}
}

// hidden is an error with a kind and no text of its own.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

func TestFailedSaysWhatAndWhyOnce(t *testing.T) {
	cause := fmt.Errorf("Error response from daemon: No such container: x%w", hidden{cerrdefs.ErrNotFound})
	err := failed(context.Background(), failed(context.Background(), cause, "container %s", "x"), "list containers")
	if want := "container x: not found: No such container: x"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !errors.Is(err, containers.ErrNotFound) || !errors.Is(err, cause) {
		t.Errorf("%v lost its kind or its cause", err)
	}
}

func TestFailedGivesTheContextsError(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := failed(ctx, io.EOF, "x")
	if !errors.Is(err, context.Canceled) || errors.Is(err, containers.ErrUnavailable) {
		t.Errorf("got %v, want the context's error alone", err)
	}
	if failed(ctx, nil, "x") != nil {
		t.Error("no error became one")
	}
}

func TestRegistryDown(t *testing.T) {
	for text, want := range map[string]bool{
		"Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: no such host":          true,
		"Get \"https://registry.example/v2/\": net/http: TLS handshake timeout":                          true,
		"pull access denied for x, repository does not exist or may require 'docker login'":              false,
		"manifest for x:y not found: manifest unknown: manifest unknown":                                 false,
		"Get \"https://registry.example/v2/\": net/http: request canceled (Client.Timeout exceeded ...)": true,
	} {
		if got := registryDown(errors.New(text)); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
}

func TestReadPull(t *testing.T) {
	const stream = `{"status":"Pulling from library/x","id":"latest"}
{"status":"Pulling fs layer","id":"a"}{"status":"Pulling fs layer","id":"b"}
{"status":"Downloading","progressDetail":{"current":1500000,"total":3000000},"id":"a"}
{"status":"Already exists","id":"b"}
`
	var p pullProgress
	for _, m := range []pullMessage{
		{ID: "latest", Status: "Pulling from library/x"}, {ID: "a", Status: "Pulling fs layer"}, {ID: "b", Status: "Already exists"},
	} {
		p.add(m)
	}
	p.layers["a"].current, p.layers["a"].total = 1_500_000, 3_000_000
	if got, want := p.String(), "1/2 layers, 1.5/3.0 MB"; got != want {
		t.Errorf("progress %q, want %q", got, want)
	}
	var told []string
	if err := readPull(strings.NewReader(stream), func(s string) { told = append(told, s) }); err != nil || len(told) == 0 {
		t.Errorf("error %v, told %q", err, told)
	}
	err := readPull(strings.NewReader(stream+`{"error":"toomanyrequests: slow down"}`), nil)
	if err == nil || err.Error() != "toomanyrequests: slow down" {
		t.Errorf("got %v, want the error of the stream", err)
	}
	if err := readPull(strings.NewReader(`{"status":"x"`), nil); !disconnected(err) {
		t.Errorf("a stream that breaks off: %v, want it told as a lost connection", err)
	}
}
