// Package failure turns the engine's errors into those of the contract.
package failure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
)

// fault is an error of the engine as the contract wants it: what was
// attempted, which of containers' errors it is (nil when it is none), and the
// engine's own words.
type fault struct {
	what  string
	kind  error
	cause error
}

func (f *fault) Error() string {
	text := strings.TrimPrefix(f.cause.Error(), "Error response from daemon: ")
	if f.kind == nil {
		return f.what + ": " + text
	}
	return fmt.Sprintf("%s: %v: %s", f.what, f.kind, text)
}

func (f *fault) Unwrap() []error {
	if f.kind == nil {
		return []error{f.cause}
	}
	return []error{f.kind, f.cause}
}

// New is an error of the given kind, one of containers'.
func New(kind, cause error, what string, args ...any) error {
	return &fault{what: fmt.Sprintf(what, args...), kind: kind, cause: cause}
}

// Invalid is ErrInvalid with a text.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", containers.ErrInvalid, fmt.Sprintf(format, args...))
}

// Of turns an error of the client into one of the contract's. It returns
// nil for nil. ctx is the caller's: when that is done, its error is the answer.
func Of(ctx context.Context, err error, what string, args ...any) error {
	if err == nil {
		return nil
	}
	what = fmt.Sprintf(what, args...)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	var known *fault
	if errors.As(err, &known) {
		return err
	}
	return &fault{what: what, kind: Kind(err), cause: err}
}

// Kind is the one place where the engine's answers get their meaning: which of
// containers' errors err is, nil for none. The texts are those of Docker 20.10
// to 28 and Podman 4 and 5, which answer 500 where they mean something more precise.
func Kind(err error) error {
	text := strings.ToLower(err.Error())
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("no such image", "image not known", "does not match the specified platform"):
		return containers.ErrImage
	// The daemon answers, but what runs containers for it does not.
	case has("containerd.sock", "daemon is shutting down", "server is shutting down"):
		return containers.ErrUnavailable
	case has("port is already allocated", "address already in use", "has active endpoints", "pool overlaps", "volume is in use", "cannot start a paused container", "container state improper"):
		return containers.ErrConflict
	case has("rootfs is marked read-only"):
		return containers.ErrInvalid
	case cerrdefs.IsNotFound(err):
		return containers.ErrNotFound
	case cerrdefs.IsConflict(err), cerrdefs.IsAlreadyExists(err):
		return containers.ErrConflict
	case cerrdefs.IsInvalidArgument(err):
		return containers.ErrInvalid
	case cerrdefs.IsUnavailable(err), Lost(err):
		return containers.ErrUnavailable
	}
	return nil
}

// Lost tells whether the connection to the engine failed, as opposed
// to the engine answering with an error.
func Lost(err error) bool {
	var operation *net.OpError
	var request *url.Error
	var network net.Error
	switch {
	case client.IsErrConnectionFailed(err),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, context.DeadlineExceeded), // a limit of ours: the caller's ctx was looked at before
		errors.As(err, &operation), errors.As(err, &request), errors.As(err, &network):
		return true
	}
	text := err.Error()
	return strings.Contains(text, "error during connect") ||
		strings.Contains(text, "annot connect to the Docker daemon") ||
		strings.Contains(text, "command [ssh")
}

// Cut tells whether a connection broke that had stood: the engine may well
// answer the next one.
func Cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
