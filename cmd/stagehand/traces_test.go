package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestARunIsTraced: where the environment asks for it a whole run arrives, without secrets; and a receiver that is not
// there is said, and changes nothing else.
func TestARunIsTraced(t *testing.T) {
	var mu sync.Mutex
	var got []byte
	names := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(body)
		}
		text, err := io.ReadAll(body)
		var asked collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(text, &asked) != nil {
			t.Errorf("this cannot be read: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, text...)
		for _, of := range asked.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				for _, s := range scope.Spans {
					names[s.Name]++
				}
			}
		}
	}))
	defer receiver.Close()
	v := newVault(t, badStages)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.URL)
	v.doWith([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.URL}, 3, "up")
	for _, name := range []string{"up vault", "init", "web", "bad", "look", "wait"} {
		if names[name] == 0 {
			t.Errorf("no span %s: %v", name, names)
		}
	}
	v.said["the traces"] = got
	v.do(0, "down", "--volumes") // not asked for: nothing arrives
	if names["down vault"] != 0 {
		t.Error("traces that nobody has asked for")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	if said := v.doWith([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, 3, "up"); !strings.Contains(said, "stagehand: not all traces were sent: ") {
		t.Error(said)
	}
	v.search()
}
