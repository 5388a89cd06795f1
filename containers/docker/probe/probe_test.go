package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// link is Main in this process with both of its ends.
type link struct {
	io.Reader
	io.Writer
	close func() error
}

func (l link) Close() error { return l.close() }

// dial runs Main against the address and connects to it.
func dial(t *testing.T, ctx context.Context, address string) (net.Conn, error) {
	t.Helper()
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	var program sync.WaitGroup
	program.Go(func() {
		var said bytes.Buffer
		Main([]string{address, "5000"}, inRead, outWrite, &said)
		_ = outWrite.Close()
		if said.Len() > 0 {
			t.Errorf("probe: %s", said.String())
		}
	})
	stream := link{outRead, inWrite, func() error { return errors.Join(inWrite.Close(), outRead.Close()) }}
	t.Cleanup(program.Wait)
	return Connect(ctx, stream, address)
}

// serve answers each connection with handle.
func serve(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return listener.Addr().String()
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func TestEchoAndHalfClose(t *testing.T) {
	conn, err := dial(t, t.Context(), serve(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := strings.Repeat("z", 3*maxFrame)
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Error(err)
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(conn)
	sending.Wait()
	if err != nil || string(got) != text {
		t.Errorf("got %d bytes and error %v, want %d", len(got), err, len(text))
	}
}

func TestFarEndClosesFirst(t *testing.T) {
	heard := make(chan string, 1)
	conn, err := dial(t, t.Context(), serve(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "bye")
		_ = c.CloseWrite()
		rest, _ := io.ReadAll(c)
		heard <- string(rest)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "bye" {
		t.Fatalf("got %q and error %v", got, err)
	}
	if _, err := io.WriteString(conn, "so long"); err != nil {
		t.Errorf("write after the far end's close: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if rest := <-heard; rest != "so long" {
		t.Errorf("the far end heard %q", rest)
	}
}

func TestRefused(t *testing.T) {
	_, err := dial(t, t.Context(), "127.0.0.1:1")
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	silent, _ := io.Pipe() // a probe that never answers
	_, err := Connect(ctx, link{silent, io.Discard, silent.Close}, "x:1")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestBrokenStreamIsNotAnEnd(t *testing.T) {
	var answer bytes.Buffer
	out := &frameWriter{w: &answer}
	if err := errors.Join(out.frame(frameOpen, nil), out.frame(frameData, []byte("half"))); err != nil {
		t.Fatal(err)
	}
	conn, err := Connect(t.Context(), link{&answer, io.Discard, func() error { return nil }}, "x:1")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if string(got) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q and error %v, want the data and an unexpected end", got, err)
	}
}

func TestDeadlines(t *testing.T) {
	conn, err := dial(t, t.Context(), serve(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "x\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(conn).ReadString('\n'); err != nil || got != "x\n" {
		t.Errorf("after the deadline was lifted: %q, %v", got, err)
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{}, {"a:1", "x"}, {"a:1", "-1"}, {"a", "1", "2"}} {
		var stderr bytes.Buffer
		if code := Main(args, strings.NewReader(""), io.Discard, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("%q: code %d, said %q; want 2 and a reason", args, code, stderr.String())
		}
	}
}
