package failure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
		if got := Kind(test.err); !errors.Is(got, test.want) {
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
	err := Of(context.Background(), Of(context.Background(), cause, "container %s", "x"), "list containers")
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
	err := Of(ctx, io.EOF, "x")
	if !errors.Is(err, context.Canceled) || errors.Is(err, containers.ErrUnavailable) {
		t.Errorf("got %v, want the context's error alone", err)
	}
	if Of(ctx, nil, "x") != nil {
		t.Error("no error became one")
	}
}
