package conditions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/waiters"
)

const (
	// callLimit is how long a request may take where no timeout is given.
	callLimit = 30 * time.Second
	// maxResult is how much of a call's answer is kept, in bytes.
	maxResult = 64 << 10
)

// Call is one request to a host of the stack.
type Call struct {
	HTTP HTTP
	// Timeout of the request; 0 means 30 s.
	Timeout time.Duration
}

// CallResult is what came of a call.
type CallResult struct {
	// OK: the answer came and is what was asked for.
	OK bool
	// Detail says what came, for people: "status 409: num partitions changed".
	Detail string
	// Body is the answer's, at most 64 KiB of it.
	Body string
}

// Do sends the request once. A request that could not be sent, that got no answer or
// another answer than asked for is a result that is not OK; an error means a broken engine
// (containers.ErrUnavailable and others) or is ctx's.
func (c *Call) Do(ctx context.Context, w waiters.World) (CallResult, error) {
	limit := c.Timeout
	if limit <= 0 {
		limit = callLimit
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d := &dialer{w: w}
	a, err := c.HTTP.send(inner, d, true)
	if err == nil {
		o := c.HTTP.judge(a)
		return CallResult{OK: o.Holds, Detail: o.Detail, Body: string(a.body[:min(len(a.body), maxResult)])}, nil
	}
	if ctx.Err() != nil {
		return CallResult{}, ctx.Err()
	}
	if inner.Err() != nil {
		return CallResult{Detail: fmt.Sprintf("no answer within %s: whether it was carried out is unknown", limit)}, nil
	}
	o, err := d.verdict(inner, err)
	if err != nil {
		return CallResult{}, err
	}
	dead, err := w.FirstDead(ctx, c.HTTP.References())
	switch {
	case errors.Is(err, containers.ErrUnavailable):
		// It took the request's connection with it. Whether to send it again is
		// for the stage's retries to say, not for us.
		o.Detail += ", and the engine does not answer"
	case err != nil:
		return CallResult{}, err
	case dead != nil:
		o.Detail += ": " + dead.Error()
	}
	return CallResult{Detail: o.Detail}, nil
}

// String is "http METHOD URL", without a password.
func (c *Call) String() string {
	h := c.HTTP
	return h.Method + " " + redacted(h.URL)
}

// References is the host that is called.
func (c *Call) References() []string { return c.HTTP.References() }
