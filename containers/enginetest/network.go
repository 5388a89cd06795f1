package enginetest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
)

var networkCases = []Case{
	{"dial reaches a container by name, alias and address", dialNames},
	{"a connection carries bytes both ways", dialBothWays},
	{"http works over dial", dialHTTP},
	{"dial of what does not listen or is not there is unreachable", dialUnreachable},
	{"networks isolate", networksIsolate},
	{"a network in use is not removed", networkInUse},
	{"the ports that a spec exposes or publishes are told", exposedPorts},
	{"a container that shares another's network answers at its address", networkShared},
	{"an idle container lends its network to others until it is stopped", networkIdle},
}

func (s *stage) on(network string, aliases ...string) func(*containers.Spec) {
	return func(c *containers.Spec) {
		c.Networks = append(c.Networks, containers.Attachment{Network: network, Aliases: aliases})
	}
}

// ask dials and returns all that the other side says.
func (s *stage) ask(network, address string) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.Slack)
	defer cancel()
	conn, err := s.Engine.Dial(ctx, network, address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	s.check(conn.SetDeadline(time.Now().Add(s.Slack)))
	text, err := io.ReadAll(conn)
	return string(text), err
}

func dialNames(t *testing.T, h Harness) {
	s := newStage(t, h)
	network := s.network("n")
	name := s.ready(s.spec("a", "listen :8080 hello there", s.on(network, "short", "api.example")))
	status, err := h.Engine.Status(s.ctx, name)
	s.must(err)
	if status.Networks[network] == "" {
		t.Fatalf("no address on %s: %v", network, status.Networks)
	}
	for _, host := range []string{name, "short", "api.example", status.Networks[network]} {
		text, err := s.ask(network, net.JoinHostPort(host, "8080"))
		s.check(err)
		equal(s, host, text, "hello there\n")
	}
	client := s.finish(s.spec("b", "dial short:8080", s.on(network)))
	equal(s, "what another container is told", s.logs(client.Name, containers.LogOptions{}), "hello there\n")
}

func dialBothWays(t *testing.T, h Harness) {
	s := newStage(t, h)
	network := s.network("n")
	name := s.ready(s.spec("a", "listen :7", s.on(network)))
	conn, err := h.Engine.Dial(s.ctx, network, name+":7")
	s.must(err)
	defer func() { _ = conn.Close() }()
	s.must(conn.SetDeadline(time.Now().Add(s.Slack)))
	sent := strings.Repeat("0123456789", 100_000) // more than buffers hold
	written := s.async(func(context.Context) error {
		_, err := io.WriteString(conn, sent)
		return err
	})
	got := make([]byte, len(sent))
	_, err = io.ReadFull(conn, got)
	s.must(err)
	s.must(written())
	equal(s, "what came back is what was sent", string(got) == sent, true)
	s.must(conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
	_, err = conn.Read(got)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a read past its deadline: %v", err)
	}
}

func dialHTTP(t *testing.T, h Harness) {
	s := newStage(t, h)
	network := s.network("n")
	name := s.ready(s.spec("a", "http :8080", s.on(network)))
	client := http.Client{Timeout: s.Slack, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return h.Engine.Dial(ctx, network, address)
		},
	}}
	for path, want := range map[string]int{"/hello": 200, "/status/503": 503} {
		response, err := client.Get("http://" + name + ":8080" + path)
		s.must(err)
		body, err := io.ReadAll(response.Body)
		s.check(err)
		s.check(response.Body.Close())
		equal(s, path, response.StatusCode, want)
		equal(s, "body", string(body), path+"\n")
	}
}

func dialUnreachable(t *testing.T, h Harness) {
	s := newStage(t, h)
	network := s.network("n")
	name := s.ready(s.spec("a", "listen :8080 hello", s.on(network)))
	_, err := s.ask(network, name+":8081")
	s.is("a port that nobody listens on", err, containers.ErrUnreachable)
	_, err = s.ask(network, s.named("nobody")+":8080")
	s.is("a name that nobody has", err, containers.ErrUnreachable)
	created := s.create(s.spec("b", "listen :8080 hello", s.on(network)))
	_, err = s.ask(network, created+":8080")
	s.is("a container that has not started", err, containers.ErrUnreachable)
	_, err = h.Engine.Stop(s.ctx, name, 0)
	s.must(err)
	_, err = s.ask(network, name+":8080")
	s.is("a container that has ended", err, containers.ErrUnreachable)
	s.must(h.Engine.Start(s.ctx, name))
	s.eventually("the port after another start", func() bool {
		text, err := s.ask(network, name+":8080")
		return err == nil && text == "hello\n"
	})
}

func networksIsolate(t *testing.T, h Harness) {
	s := newStage(t, h)
	one, two := s.network("one"), s.network("two")
	server := s.ready(s.spec("server", "listen :8080 hello", s.on(one, "shared")))
	_, err := s.ask(two, "shared:8080")
	s.is("the alias, from the other network", err, containers.ErrUnreachable)
	_, err = s.ask(two, server+":8080")
	s.is("the name, from the other network", err, containers.ErrUnreachable)
	equal(s, "a container on the other network", s.finish(s.spec("outside", "dial "+server+":8080", s.on(two))).ExitCode, 1)
	equal(s, "a container on both", s.finish(s.spec("both", "dial "+server+":8080", s.on(two), s.on(one))).ExitCode, 0)
	equal(s, "a container without network", s.finish(s.spec("none", "dial "+server+":8080", func(c *containers.Spec) {
		c.NetworkMode = "none"
	})).ExitCode, 1)
}

func networkInUse(t *testing.T, h Harness) {
	s := newStage(t, h)
	network := s.network("n")
	name := s.ready(s.spec("a", "print ready then forever", s.on(network)))
	s.is("RemoveNetwork", h.Engine.RemoveNetwork(s.ctx, network), containers.ErrConflict)
	s.must(h.Engine.Destroy(s.ctx, name))
	s.must(h.Engine.RemoveNetwork(s.ctx, network))
	left, err := h.Engine.ListNetworks(s.ctx, s.labels)
	s.must(err)
	equal(s, "networks left", len(left), 0)
	for range 3 { // the name is free at once
		s.network("n")
		s.must(h.Engine.RemoveNetwork(s.ctx, network))
	}
}

func networkShared(t *testing.T, h Harness) {
	s := newStage(t, h)
	network := s.network("n")
	owner := s.ready(s.spec("owner", "listen :8080 from the owner", s.on(network)))
	s.ready(s.spec("guest", "listen :9090 from the guest", func(c *containers.Spec) { c.NetworkMode = "container:" + owner }))
	text, err := s.ask(network, owner+":9090")
	s.must(err)
	equal(s, "the guest's port", text, "from the guest\n")
	client := s.finish(s.spec("client", "dial localhost:8080", func(c *containers.Spec) { c.NetworkMode = "container:" + owner }))
	equal(s, "the owner on loopback", s.logs(client.Name, containers.LogOptions{}), "from the owner\n")
}

func networkIdle(t *testing.T, h Harness) {
	s := newStage(t, h)
	idler, can := containers.AsIdler(h.Engine)
	if !can {
		t.Skip("the engine has no idle containers")
	}
	idle, err := idler.Idle(s.ctx)
	s.must(err)
	network := s.network("n")
	idle.Name, idle.Labels, idle.Networks = s.named("idle"), s.labels, []containers.Attachment{{Network: network}}
	server := s.ready(s.spec("server", "listen :8080 hello", s.on(network)))
	_, err = h.Engine.Create(s.ctx, idle)
	s.must(err)
	s.must(h.Engine.Start(s.ctx, idle.Name))
	for _, name := range []string{"one", "two"} {
		client := s.finish(s.spec(name, "dial "+server+":8080", func(c *containers.Spec) { c.NetworkMode = "container:" + idle.Name }))
		equal(s, "what "+name+" is told", s.logs(client.Name, containers.LogOptions{}), "hello\n")
	}
	status, err := h.Engine.Create(s.ctx, idle) // as whoever goes on after a crash
	s.must(err)
	equal(s, "runs", status.Running(), true)
	status, err = h.Engine.Stop(s.ctx, idle.Name, 10*time.Second)
	s.must(err)
	equal(s, "stopped", status.Ended(), true)
	s.must(h.Engine.Start(s.ctx, idle.Name))
	equal(s, "after another start", s.finish(s.spec("three", "dial "+server+":8080", func(c *containers.Spec) { c.NetworkMode = "container:" + idle.Name })).ExitCode, 0)
}

func exposedPorts(t *testing.T, h Harness) {
	s := newStage(t, h)
	name := s.ready(s.spec("a", "listen :8080 hello", s.on(s.network("n")), func(c *containers.Spec) {
		c.Expose = []string{"10000", "53/udp", "8080"}
		c.Ports = []containers.Port{{HostIP: "127.0.0.1", Container: 8080, Protocol: "tcp"}}
	}))
	status, err := h.Engine.Status(s.ctx, name)
	s.must(err)
	equal(s, "exposed", strings.Join(status.Exposed, " "), "53/udp 8080/tcp 10000/tcp")
	list, err := h.Engine.List(s.ctx, s.labels)
	s.must(err)
	equal(s, "listed", len(list), 1)
	equal(s, "exposed, as listed", strings.Join(list[0].Exposed, " "), "53/udp 8080/tcp 10000/tcp")
}
