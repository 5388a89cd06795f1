package traces

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/stagehand-dev/stagehand/events"
)

// receiver takes OTLP over HTTP, as OpenTelemetry's collector does.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*spans.Span
	service string
	headers http.Header
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Error(err)
			}
		}
		content, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		var asked collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(content, &asked); err != nil || q.URL.Path != "/v1/traces" || q.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", q.URL, q.Header.Get("Content-Type"), err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.headers = q.Header
		for _, of := range asked.ResourceSpans {
			r.service = attributes(of.Resource.Attributes)["service.name"]
			for _, scope := range of.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{})
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(r.Close)
	return r
}

func attributes(all []*v1.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range all {
		switch v := a.Value.Value.(type) {
		case *v1.AnyValue_StringValue:
			out[a.Key] = v.StringValue
		case *v1.AnyValue_IntValue:
			out[a.Key] = fmt.Sprint(v.IntValue)
		}
	}
	return out
}

var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int, kind events.Kind, step string, e events.Event) events.Event {
	e.Time, e.Run, e.Stack, e.Kind, e.Step = zero.Add(time.Duration(ms)*time.Millisecond), "r1", "demo", kind, step
	e.Stage, _, _ = strings.Cut(step, "/")
	return e
}

// failing is a run in which one step waits and is retried, and another fails.
func failing() []events.Event {
	code := 7
	return []events.Event{
		at(0, events.RunStarted, "", events.Event{Verb: "up", Engine: "e1"}),
		at(500, events.LeaseAcquired, "", events.Event{Token: 1, Elapsed: 400 * time.Millisecond}),
		at(510, events.StageStarted, "db", events.Event{Verb: "start"}),
		at(511, events.StepStarted, "db", events.Event{Verb: "start", Attempt: 1, Cause: "not there", Service: "db", Container: "demo-db-1"}),
		at(600, events.StepWaiting, "db", events.Event{Cause: "tcp db:5432: refused"}),
		at(700, events.StepWaiting, "db", events.Event{Cause: "tcp db:5432: no answer"}),
		at(800, events.StepRetrying, "db", events.Event{Attempt: 1, Outcome: events.Failed, Error: "has died", ExitCode: &code}),
		at(900, events.StepStarted, "db", events.Event{Verb: "start", Attempt: 2, Cause: "not there"}),
		at(950, events.StepWaiting, "db", events.Event{Cause: "tcp db:5432: refused"}),
		at(1000, events.StepEnded, "db", events.Event{Verb: "start", Attempt: 2, Outcome: events.Done}),
		at(1001, events.StageCompleted, "db", events.Event{Outcome: events.Done}),
		at(1002, events.StageStarted, "setup", events.Event{Verb: "run"}),
		at(1003, events.StepStarted, "setup/one", events.Event{Verb: "run", App: "one", Attempt: 1, Behind: "db"}),
		at(1004, events.StepStarted, "setup/two", events.Event{Verb: "run", App: "two", Attempt: 1, Behind: "db"}),
		at(2000, events.StepEnded, "setup/one", events.Event{Attempt: 1, Outcome: events.Failed, ExitCode: &code, Error: "exit 7"}),
		at(2500, events.StepEnded, "setup/two", events.Event{Attempt: 1, Outcome: events.Done}),
		at(2500, events.StepEnded, "api/one", events.Event{Outcome: events.Skipped, Error: "not reached: setup/one failed"}),
		at(2600, events.RunEnded, "", events.Event{Verb: "up", Verdict: events.VerdictFailed}),
		at(2700, events.HelperDestroyed, "setup/two", events.Event{}),
	}
}

// TestAReceiverHasARun: what arrives at a receiver is a span for the run, each stage, step and wait, each below
// what it belongs to, with the events' own times.
func TestAReceiverHasARun(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=demo")
	t.Setenv("OTEL_SERVICE_NAME", "deploys")
	environ := map[string]string{"TRACEPARENT": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
	view, err := New(t.Context(), "v1", func(name string) string { return environ[name] })
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range failing() {
		if err := view.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := view.Close(); err != nil {
		t.Fatal(err)
	}
	if r.service != "deploys" || r.headers.Get("X-Tenant") != "demo" {
		t.Errorf("service %q, headers %v", r.service, r.headers)
	}
	ids := map[string]string{"0123456789abcdef": "the caller"}
	for _, s := range r.spans {
		ids[hex.EncodeToString(s.SpanId)] = s.Name
	}
	var got []string
	for _, s := range r.spans {
		if trace := hex.EncodeToString(s.TraceId); trace != "0123456789abcdef0123456789abcdef" {
			t.Errorf("%s is of trace %s", s.Name, trace)
		}
		ms := func(ns uint64) int64 { return (int64(ns) - zero.UnixNano()) / 1e6 }
		got = append(got, fmt.Sprintf("%s < %s %d-%d %s %d", s.Name, ids[hex.EncodeToString(s.ParentSpanId)], ms(s.StartTimeUnixNano), ms(s.EndTimeUnixNano), s.Status.GetCode(), len(s.Events)))
	}
	slices.Sort(got)
	want := []string{
		"db < db 511-1000 STATUS_CODE_UNSET 1",
		"db < up demo 510-1001 STATUS_CODE_UNSET 0",
		"setup < up demo 1002-2600 STATUS_CODE_UNSET 0",
		"setup/one < setup 1003-2000 STATUS_CODE_ERROR 0",
		"setup/two < setup 1004-2500 STATUS_CODE_UNSET 0",
		"up demo < the caller 0-2600 STATUS_CODE_ERROR 0",
		"wait < db 600-800 STATUS_CODE_ERROR 2",
		"wait < db 950-1000 STATUS_CODE_UNSET 1",
		"wait for the lease < up demo 100-500 STATUS_CODE_UNSET 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, s := range r.spans {
		if s.Name != "setup/one" {
			continue
		}
		a := attributes(s.Attributes)
		for key, value := range map[string]string{"stagehand.outcome": "failed", "process.exit.code": "7", "stagehand.app": "one", "stagehand.behind": "db", "stagehand.verb": "run", "stagehand.error": "exit 7"} {
			if a[key] != value {
				t.Errorf("%s is %q", key, a[key])
			}
		}
	}
}

// TestNobodyReceives: a receiver that is not there, answers badly or not at all holds a run's events up by
// nothing, and its end by no more than the limit.
func TestNobodyReceives(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer silent.CloseClientConnections()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer refusing.Close()
	for name, url := range map[string]string{"nobody": "http://127.0.0.1:1", "silent": silent.URL, "refusing": refusing.URL} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
			view, err := New(t.Context(), "v1", func(string) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			view.limit = 500 * time.Millisecond
			for range 5000 { // more than any queue holds: what has no room is dropped, not waited for
				for _, e := range failing() {
					if err := view.Emit(t.Context(), e); err != nil {
						t.Fatal(err)
					}
				}
			}
			began := time.Now()
			if err := view.Close(); err == nil || !strings.HasPrefix(err.Error(), "not all traces were sent: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took > flushLimit {
				t.Errorf("its end took %s", took)
			}
		})
	}
}

// overNet takes OTLP over gRPC.
type overNet struct {
	collector.UnimplementedTraceServiceServer
	mu       sync.Mutex
	spans    []*spans.Span
	service  string
	metadata metadata.MD
}

func (o *overNet) Export(ctx context.Context, asked *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.metadata, _ = metadata.FromIncomingContext(ctx)
	for _, of := range asked.ResourceSpans {
		o.service = attributes(of.Resource.Attributes)["service.name"]
		for _, scope := range of.ScopeSpans {
			o.spans = append(o.spans, scope.Spans...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestOverGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o, server := &overNet{}, grpc.NewServer()
	collector.RegisterTraceServiceServer(server, o)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "of=me")
	view, err := New(t.Context(), "v1", func(name string) string { return map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}[name] })
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range failing() {
		_ = view.Emit(t.Context(), e)
	}
	if err := view.Close(); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var names []string
	for _, s := range o.spans {
		names = append(names, s.Name)
	}
	if o.service != "stagehand" || !slices.Contains(names, "up demo") || !slices.Contains(names, "setup/one") || !slices.Equal(o.metadata.Get("of"), []string{"me"}) {
		t.Errorf("%s, %v: %v", o.service, o.metadata, names)
	}
}

// TestARunThatIsCut: what has no end when the view is closed gets one.
func TestARunThatIsCut(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.URL+"/v1/traces")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	view, err := New(context.Background(), "v1", func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range failing()[:13] {
		_ = view.Emit(t.Context(), e)
	}
	if err := view.Close(); err != nil {
		t.Fatal(err)
	}
	var names bytes.Buffer
	for _, s := range r.spans {
		fmt.Fprintf(&names, "%s,", s.Name)
	}
	if r.service != "stagehand" || len(r.spans) != 8 || !strings.Contains(names.String(), "up demo,") || !strings.Contains(names.String(), "setup/one,") {
		t.Errorf("%s: %s", r.service, names.String())
	}
}

func TestWanted(t *testing.T) {
	for environ, want := range map[string]string{
		"": "false", "OTEL_SERVICE_NAME=x": "false",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://x": "true", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://x": "true", "OTEL_TRACES_EXPORTER=otlp": "true",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://x OTEL_SDK_DISABLED=true":                "false",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://x OTEL_TRACES_EXPORTER=none":             "false",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://x OTEL_TRACES_EXPORTER=zipkin":           "false OTEL_TRACES_EXPORTER=zipkin: only otlp and none are known here",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://x OTEL_EXPORTER_OTLP_PROTOCOL=http/json": "false the protocol http/json for traces is not known here, only http/protobuf (port 4318 of most receivers) and grpc (port 4317)",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://x OTEL_EXPORTER_OTLP_PROTOCOL=grpc":      "true",
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc":                                           "false",
	} {
		got, err := Wanted(func(name string) string {
			for _, pair := range strings.Fields(environ) {
				if value, ok := strings.CutPrefix(pair, name+"="); ok {
					return value
				}
			}
			return ""
		})
		said := fmt.Sprint(got)
		if err != nil {
			said += " " + err.Error()
		}
		if said != want {
			t.Errorf("%s: %s", environ, said)
		}
	}
}
