//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/stagehand-dev/stagehand/bench/internal/api"
	"github.com/stagehand-dev/stagehand/bench/internal/figures"
	"github.com/stagehand-dev/stagehand/events"
)

const (
	lagStages = 20
	lagEach   = 10
)

// The kinds of truth whose lag is measured.
const (
	truthHTTP = "an http condition"
	truthEnd  = "a helper's own end"
)

// lagWork measures for how long a thing is true before its step has ended.
func (b *bench) lagWork() work {
	const title = "lag from a condition becoming true to its step's end"
	claim := func(kind string) figures.Claim {
		return figures.Claim{Title: title + ", " + kind + ", 99th percentile", Metric: "lag", Ours: kind, Statistic: figures.P99, AtMost: 30, Reach: 15}
	}
	return work{
		name: "lag", title: title, repetitions: 1,
		units:   map[string]string{"lag": milli, "lag to a reader": milli},
		parties: []party{{truthHTTP, b.httpLag}, {truthEnd, b.endLag}},
		claims:  []figures.Claim{claim(truthHTTP), claim(truthEnd)},
	}
}

// told is a step's end: the event's own time, and when a reader of --json had it.
type told struct{ at, read time.Time }

// watched runs up --json and returns the ends of the steps by stage, and by container.
func (b *bench) watched(ctx context.Context, p project) (byStage, byContainer map[string]told, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.stagehand, "up", "--json", "--ledger", p.ledger, "-p", p.name, "-f", p.file)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	byStage, byContainer = map[string]told{}, map[string]told{}
	var broken error
	for d := json.NewDecoder(out); ; {
		var e events.Event
		if err := d.Decode(&e); err != nil {
			if !errors.Is(err, io.EOF) {
				broken = err
			}
			break
		}
		if e.Kind == events.StepEnded {
			end := told{e.Time, time.Now()}
			byStage[e.Stage], byContainer[e.Container] = end, end
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, nil, fmt.Errorf("stagehand up: %w\n%s", err, lastLines(stderr.String()))
	}
	return byStage, byContainer, broken
}

// httpLag has conditions wait for answers of a server of ours. Each becomes true at a
// random instant, 0.2 to 1.5 s after it was first looked at.
func (b *bench) httpLag(ctx context.Context) (_ measurement, err error) {
	s := &server{truths: map[string]time.Time{}}
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		return nil, err
	}
	web := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(listener) }) // ends with Close
	defer serving.Wait()
	defer func() { _ = web.Close() }()
	host, err := hostAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, err
	}
	p, err := b.newProject(waits("http://"+net.JoinHostPort(host, port)+"/w", lagStages, lagEach))
	if err != nil {
		return nil, err
	}
	byStage, _, err := b.watched(ctx, p)
	if err := errors.Join(err, p.end(ctx)); err != nil {
		return nil, err
	}
	return lags(s.truths, byStage, lagStages*lagEach)
}

// hostAddress is one of this host's addresses that containers reach: they are
// routed to all that are not the loopback's.
func hostAddress() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String(), nil
		}
	}
	return "", errors.New("this host has no address that a container could reach")
}

// server answers /NAME with 503 until NAME becomes true, and 200 from then on.
type server struct {
	mu     sync.Mutex
	truths map[string]time.Time // by name
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	truth, known := s.truths[name]
	if !known {
		truth = now.Add(200*time.Millisecond + rand.N(1300*time.Millisecond))
		s.truths[name] = truth
	}
	if now.Before(truth) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// endLag has helpers end by themselves, and asks the engine when they did.
func (b *bench) endLag(ctx context.Context) (measurement, error) {
	p, err := b.newProject(ends(lagStages, lagEach))
	if err != nil {
		return nil, err
	}
	truths := map[string]time.Time{}
	stop, err := p.follow(ctx, func(e api.Event) bool {
		if e.Action == "die" {
			truths[e.Name] = e.At
		}
		return len(truths) == lagStages*lagEach
	})
	if err != nil {
		return nil, err
	}
	_, byContainer, err := b.watched(ctx, p)
	if err := errors.Join(err, stop(err == nil), p.end(ctx)); err != nil {
		return nil, err
	}
	return lags(truths, byContainer, lagStages*lagEach)
}

// lags is, for each of want truths, the time to the end that was told of it.
func lags(truths map[string]time.Time, ends map[string]told, want int) (measurement, error) {
	m := measurement{}
	for _, name := range sortedKeys(truths) {
		if end, ok := ends[name]; ok {
			m["lag"] = append(m["lag"], milliseconds(end.at.Sub(truths[name])))
			m["lag to a reader"] = append(m["lag to a reader"], milliseconds(end.read.Sub(truths[name])))
		}
	}
	if len(m["lag"]) != want {
		return nil, fmt.Errorf("%d ends were seen of %d", len(m["lag"]), want)
	}
	return m, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
