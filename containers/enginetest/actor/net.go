package actor

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/stagehand-dev/stagehand/containers/program"
)

// serve accepts until ctx is done, and waits for its connections then.
func serve(ctx context.Context, p *program.Process, address string, handle func(net.Conn)) error {
	listener, err := p.Listen(address)
	if err != nil {
		return err
	}
	var conns sync.WaitGroup
	defer conns.Wait()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	if err := line(p.Stdout, []string{"ready"}); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		conns.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			defer func() { _ = conn.Close() }()
			handle(conn)
		})
	}
}

func listen(ctx context.Context, p *program.Process, args []string) (int, error) {
	return 0, serve(ctx, p, args[0], func(conn net.Conn) {
		if len(args) > 1 {
			_ = line(conn, args[1:])
			return
		}
		_, _ = io.Copy(conn, conn)
	})
}

func serveHTTP(ctx context.Context, p *program.Process, args []string) (int, error) {
	listener, err := p.Listen(args[0])
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code, ok := strings.CutPrefix(r.URL.Path, "/status/"); ok {
			if n, err := strconv.Atoi(code); err == nil && n >= 200 && n < 600 {
				w.WriteHeader(n)
			}
		}
		_, _ = io.WriteString(w, r.URL.Path+"\n")
	})}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := line(p.Stdout, []string{"ready"}); err != nil {
		return 0, err
	}
	return 0, server.Serve(listener)
}

func dial(ctx context.Context, p *program.Process, args []string) (int, error) {
	conn, err := p.Dial(ctx, args[0])
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, err = io.Copy(p.Stdout, conn)
	return goOn, err
}
