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

// session runs Main in this process and returns the near side of it.
func session(t *testing.T) *Session {
	t.Helper()
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	var program sync.WaitGroup
	program.Go(func() {
		var said bytes.Buffer
		code := Main([]string{ServeArg}, inRead, outWrite, &said)
		_ = outWrite.Close()
		if code != 0 || said.Len() > 0 {
			t.Errorf("probe: exit %d: %s", code, said.String())
		}
	})
	s, err := NewSession(link{outRead, inWrite, func() error { return errors.Join(inWrite.Close(), outRead.Close()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		program.Wait()
	})
	return s
}

// connected connects to the address through a session of its own.
func connected(t *testing.T, address string) (net.Conn, error) {
	t.Helper()
	return session(t).Dial(t.Context(), address)
}

// listen answers each connection with handle.
func listen(t *testing.T, handle func(*net.TCPConn)) string {
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
	conn, err := connected(t, listen(t, echo))
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
	conn, err := connected(t, listen(t, func(c *net.TCPConn) {
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
	_, err := connected(t, "127.0.0.1:1")
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	silent, _ := io.Pipe() // a probe that never answers
	_, err := connect(ctx, link{silent, io.Discard, silent.Close}, "x:1")
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
	conn, err := connect(t.Context(), link{&answer, io.Discard, func() error { return nil }}, "x:1")
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
	conn, err := connected(t, listen(t, echo))
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

// TestManyAtOnce: one session carries many connections, of which some are cut off,
// some refused, and none waits for another one that is not read.
func TestManyAtOnce(t *testing.T) {
	s, address := session(t), listen(t, echo)
	flood, err := s.Dial(t.Context(), listen(t, func(c *net.TCPConn) { _, _ = io.Copy(c, zeroes{}) }))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			if i%8 == 0 {
				var refused *RefusedError
				if _, err := s.Dial(t.Context(), "127.0.0.1:1"); !errors.As(err, &refused) {
					t.Errorf("got %v, want a refusal", err)
				}
				return
			}
			conn, err := s.Dial(t.Context(), address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if i%8 == 1 {
				return // cut off
			}
			text := strings.Repeat(string(rune('a'+i%26)), 100_000)
			group.Go(func() { _, _ = io.WriteString(conn, text) })
			got := make([]byte, len(text))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
				t.Errorf("connection %d: error %v", i, err)
			}
		})
	}
	group.Wait()
	if err := flood.Close(); err != nil {
		t.Error(err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

func TestProbeThatEnds(t *testing.T) {
	silent, end := io.Pipe()
	s, err := NewSession(link{silent, io.Discard, silent.Close})
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 1)
	go func() { // ends with the session
		_, err := s.Dial(t.Context(), "x:1")
		answers <- err
	}()
	if err := end.Close(); err != nil {
		t.Fatal(err)
	}
	var refused *RefusedError
	if err := <-answers; err == nil || errors.As(err, &refused) {
		t.Errorf("got %v, want that the probe ended", err)
	}
	if !s.Ended() {
		t.Error("the session goes on")
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{}, {"a:1"}, {ServeArg, "x"}} {
		var stderr bytes.Buffer
		if code := Main(args, strings.NewReader(""), io.Discard, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("%q: code %d, said %q; want 2 and a reason", args, code, stderr.String())
		}
	}
}
