// Package loopback serves HTTP to this machine only.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagehand-dev/stagehand/cmd/stagehand/internal/exit"
)

// Usual is an address to listen on: the port that admin endpoints are known by.
const Usual = "127.0.0.1:55555"

// Address is the address HOST:PORT of --listen; one that others than this machine can reach is a misuse.
func Address(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", exit.Misuse("--listen %s: expected HOST:PORT, such as %s", address, Usual)
	}
	if host == "localhost" {
		host = "127.0.0.1" // what the name stands for, somebody else may have decided
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return "", exit.Misuse("--listen %s: only the loopback interface is served, such as %s", address, Usual)
	}
	return net.JoinHostPort(host, port), nil
}

// Listen listens on the address; that it cannot is a misuse.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, exit.Misuse("%v: name another address with --listen", err)
	}
	return listener, nil
}

const (
	// requestLimit bounds how long a request may take to arrive.
	requestLimit = 10 * time.Second
	// closeLimit bounds how long the end waits for answers under way.
	closeLimit = 5 * time.Second
)

// Serve answers until ctx ends. Streams end with it.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: requestLimit, ReadTimeout: requestLimit, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	var group errgroup.Group
	stopped := make(chan struct{})
	group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-stopped:
			return nil
		}
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		return server.Shutdown(closing)
	})
	err := server.Serve(listener)
	close(stopped)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	} else {
		err = fmt.Errorf("serving: %w", err)
	}
	return errors.Join(err, group.Wait())
}
