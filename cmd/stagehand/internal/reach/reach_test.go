package reach

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
	"github.com/stagehand-dev/stagehand/containers/memory"
)

func TestVariable(t *testing.T) {
	for want, words := range map[string][3]string{
		"DB_5432_ADDR":        {"db", "5432", "tcp"},
		"MY_API_V2_80_ADDR":   {"my-api.v2", "80", "tcp"},
		"DNS_53_UDP_ADDR":     {"dns", "53", "udp"},
		"_3SCALE_8080_ADDR":   {"3scale", "8080", "tcp"},
		"GREETER_API_80_ADDR": {"greeter-api", "80", "tcp"},
	} {
		if got := Variable(words[0], words[1], words[2]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestPublished(t *testing.T) {
	for _, c := range []struct{ ip, host, want string }{
		{"", "", "127.0.0.1:80"},
		{"0.0.0.0", "", "127.0.0.1:80"},
		{"0.0.0.0", "far", "far:80"},
		{"::", "", "127.0.0.1:80"},
		{"127.0.0.1", "", "127.0.0.1:80"},
		{"127.0.0.1", "far", ""},
		{"10.0.0.7", "far", "10.0.0.7:80"},
		{"::1", "", "[::1]:80"},
	} {
		if got := published(containers.Binding{HostIP: c.ip, Host: 80}, c.host); got != c.want {
			t.Errorf("%q on %q: %q, want %q", c.ip, c.host, got, c.want)
		}
	}
}

// world is a memory engine with one service on a network.
func world(t *testing.T, command []string, change func(*containers.Spec)) (*memory.Engine, []containers.Status) {
	t.Helper()
	ctx := t.Context()
	engine := memory.New(memory.Options{Images: map[string]memory.Program{"actor": actor.Main}})
	t.Cleanup(engine.Halt)
	if err := engine.EnsureNetwork(ctx, containers.Network{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	spec := containers.Spec{
		Name: "s-echo-1", Image: "actor", Command: command, Networks: []containers.Attachment{{Network: "n"}},
		Labels: map[string]string{containers.LabelService: "echo"},
	}
	change(&spec)
	if _, err := engine.Create(ctx, spec); err != nil {
		t.Fatal(err)
	}
	if err := engine.Start(ctx, spec.Name); err != nil {
		t.Fatal(err)
	}
	list, err := engine.List(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return engine, list
}

// dialled is a connection through to the container's program, which may only just have begun: until it
// listens the way ends in a reset.
func dialled(t *testing.T, address string) net.Conn {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.SetDeadline(end)
			if _, err = io.WriteString(conn, "x"); err == nil {
				_, err = io.ReadFull(conn, make([]byte, 1))
			}
			if err == nil {
				return conn
			}
			_ = conn.Close()
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestWays(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	engine, list := world(t, []string{"listen", ":7"}, func(s *containers.Spec) { s.Expose = []string{"7", "9", "53/udp"} })
	ways, err := Open(t.Context(), engine, list, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ways.Close()
	if want := []string{"echo port 53/udp: it is not published, and there is no other way to udp"}; !slices.Equal(ways.Unknown, want) {
		t.Errorf("unknown: %q", ways.Unknown)
	}
	if len(ways.Environ) != 2 || !strings.HasPrefix(ways.Environ[0], "ECHO_7_ADDR=127.0.0.1:") || !strings.HasPrefix(ways.Environ[1], "ECHO_9_ADDR=127.0.0.1:") {
		t.Fatalf("%q", ways.Environ)
	}
	_, address, _ := strings.Cut(ways.Environ[0], "=")
	conn := dialled(t, address)
	defer conn.Close()
	sent := strings.Repeat("0123456789", 200_000) // more than buffers hold
	go func() {
		_, _ = io.WriteString(conn, sent)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != sent {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(sent), err)
	}
	// Where nobody listens there is an end, and no hang.
	_, address, _ = strings.Cut(ways.Environ[1], "=")
	if deaf, err := net.Dial("tcp", address); err == nil { // else the end came at once
		defer deaf.Close()
		_ = deaf.SetDeadline(time.Now().Add(10 * time.Second))
		var timeout net.Error
		if _, err := deaf.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("no end at a port that nobody listens on: %v", err)
		}
	}
	// What is open when the ways are closed is closed with them.
	idle, err := net.Dial("tcp", strings.TrimPrefix(ways.Environ[0], "ECHO_7_ADDR="))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := io.WriteString(idle, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(idle, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ways.Close()
	_ = idle.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("the way is still open")
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the port is still open")
	}
}

func TestAPublishedPortIsTakenWhereItAnswers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	engine, list := world(t, []string{"listen", ":7"}, func(s *containers.Spec) { s.Expose = []string{"7"} })
	list[0].Ports = []containers.Binding{{HostIP: "0.0.0.0", Host: uint16(port), Container: 7, Protocol: "tcp"}}
	open := func() string {
		ways, err := Open(context.Background(), engine, list, "")
		if err != nil {
			t.Fatal(err)
		}
		defer ways.Close()
		return ways.Environ[0]
	}
	want := "ECHO_7_ADDR=127.0.0.1:" + strconv.Itoa(port)
	if got := open(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_ = listener.Close()
	if got := open(); got == want {
		t.Errorf("%s, though nothing answers there", got)
	}
}

func TestWhatHasNoAddressIsTold(t *testing.T) {
	engine, list := world(t, []string{"forever"}, func(*containers.Spec) {})
	alone := list[0]
	alone.Labels, alone.Networks, alone.Exposed = map[string]string{containers.LabelService: "alone"}, nil, []string{"80/tcp"}
	ways, err := Open(t.Context(), engine, append(list, alone), "")
	if err != nil {
		t.Fatal(err)
	}
	defer ways.Close()
	if want := []string{"echo: neither it nor its image exposes a port", "alone port 80/tcp: it has no network of its own"}; !slices.Equal(ways.Unknown, want) {
		t.Errorf("%q", ways.Unknown)
	}
}
