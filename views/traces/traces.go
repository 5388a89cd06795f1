// Package traces tells a run to OpenTelemetry: a span for the run, and below it for each
// stage, step and wait. It looks on: no run waits for it, and none fails with it.
package traces

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views/text"
)

// flushLimit bounds how long the end of a run waits for a receiver.
const flushLimit = 5 * time.Second

// Wanted tells whether the environment asks for traces, by the variables that OpenTelemetry specifies:
// an endpoint, or OTEL_TRACES_EXPORTER=otlp; neither counts with OTEL_SDK_DISABLED=true or with another exporter. The
// error says what of it cannot be had.
func Wanted(getenv func(string) string) (bool, error) {
	exporter := getenv("OTEL_TRACES_EXPORTER")
	asked := exporter == "otlp" || getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	protocol := protocolOf(getenv)
	switch {
	case strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true"), exporter == "none":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER=%s: only otlp and none are known here", exporter)
	case asked && protocol != overHTTP && protocol != overGRPC:
		return false, fmt.Errorf("the protocol %s for traces is not known here, only %s (port 4318 of most receivers) and %s (port 4317)", protocol, overHTTP, overGRPC)
	}
	return asked, nil
}

// The protocols by OpenTelemetry's names.
const (
	overHTTP = "http/protobuf"
	overGRPC = "grpc"
)

func protocolOf(getenv func(string) string) string {
	return cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), overHTTP)
}

// Traces is the view. It is an events.Sink of one run.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	sent     *watched
	limit    time.Duration

	mu     sync.Mutex
	parent context.Context //nolint:containedctx // carries the caller's span, and nothing that ends
	run    *span
	stages map[string]*span
	steps  map[string]*span
	waits  map[string]*span // by step
}

// span is one that has been begun.
type span struct {
	trace.Span
	ctx context.Context //nolint:containedctx // that its children are begun in
}

// New begins to send to where the process's OTEL_ variables say, as far as those are standard for
// OTLP. version is the program's; getenv finds the protocol, and TRACEPARENT, the span that the run belongs to. Close it.
func New(ctx context.Context, version string, getenv func(string) string) (*Traces, error) {
	exporter, err := exporterOf(ctx, protocolOf(getenv))
	if err != nil {
		return nil, err
	}
	return made(ctx, exporter, version, getenv)
}

func exporterOf(ctx context.Context, protocol string) (sdk.SpanExporter, error) {
	const first, longest = 200 * time.Millisecond, time.Second
	if protocol == overGRPC {
		return otlptracegrpc.New(ctx, otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
			Enabled: true, InitialInterval: first, MaxInterval: longest, MaxElapsedTime: flushLimit,
		}))
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
		Enabled: true, InitialInterval: first, MaxInterval: longest, MaxElapsedTime: flushLimit,
	}))
}

func made(ctx context.Context, exporter sdk.SpanExporter, version string, getenv func(string) string) (*Traces, error) {
	own, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "stagehand"), attribute.String("service.version", version),
	), resource.WithTelemetrySDK(), resource.WithFromEnv()) // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, err
	}
	t := &Traces{sent: &watched{SpanExporter: exporter}, limit: flushLimit, stages: map[string]*span{}, steps: map[string]*span{}, waits: map[string]*span{}}
	t.provider = sdk.NewTracerProvider(sdk.WithResource(own), sdk.WithBatcher(t.sent, sdk.WithBatchTimeout(time.Second)))
	t.tracer = t.provider.Tracer("github.com/stagehand-dev/stagehand", trace.WithInstrumentationVersion(version))
	t.parent = propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{
		"traceparent": getenv("TRACEPARENT"), "tracestate": getenv("TRACESTATE"),
	})
	return t, nil
}

// watched remembers how the last export ended.
type watched struct {
	sdk.SpanExporter
	mu  sync.Mutex
	err error
}

func (w *watched) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := w.SpanExporter.ExportSpans(ctx, spans)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
	return nil // OpenTelemetry would print it
}

// Close ends what has not ended, and waits until all is sent, 5 s at most. The error says that some is not.
func (t *Traces) Close() error {
	t.mu.Lock()
	t.end(time.Now())
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), t.limit)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	t.sent.mu.Lock()
	defer t.sent.mu.Unlock()
	if err = errors.Join(t.sent.err, err); err != nil {
		return fmt.Errorf("not all traces were sent: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// Emit takes an event of the run. It gives no error.
func (t *Traces) Emit(_ context.Context, e events.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Kind {
	case events.RunStarted:
		t.run = t.begin(t.parent, strings.Join([]string{e.Verb, e.Stack}, " "), e,
			attribute.String("stagehand.run", e.Run), attribute.String("stagehand.stack", e.Stack), attribute.String("stagehand.engine", e.Engine))
	case events.LeaseAcquired:
		if t.run != nil && e.Elapsed > 0 {
			wait := e
			wait.Time = e.Time.Add(-e.Elapsed)
			t.begin(t.run.ctx, "wait for the lease", wait).End(trace.WithTimestamp(e.Time))
		}
	case events.StageStarted:
		t.stages[e.Stage] = t.begin(t.above(), e.Stage, e, attribute.String("stagehand.stage", e.Stage))
	case events.StageCompleted:
		t.close(t.stages, e.Stage, e)
	case events.StepStarted:
		t.stepStarted(e)
	case events.StepWaiting:
		t.waiting(e)
	case events.StepRetrying:
		t.close(t.waits, e.Step, e)
		if s := t.steps[e.Step]; s != nil {
			s.AddEvent("failed, tries again", trace.WithTimestamp(e.Time), trace.WithAttributes(told(e)...))
		}
	case events.StepEnded:
		t.close(t.waits, e.Step, e)
		t.close(t.steps, e.Step, e)
	case events.RunInterrupted:
		if t.run != nil {
			t.run.AddEvent("interrupted", trace.WithTimestamp(e.Time), trace.WithAttributes(told(e)...))
		}
	case events.RunEnded:
		if t.run != nil {
			t.run.SetAttributes(attribute.String("stagehand.verdict", string(e.Verdict)))
			if e.Verdict != events.VerdictDone {
				t.run.SetStatus(codes.Error, cmp.Or(e.Error, string(e.Verdict)))
			}
		}
		t.end(e.Time)
	}
	return nil
}

// above is what a stage belongs to.
func (t *Traces) above() context.Context {
	if t.run == nil {
		return t.parent
	}
	return t.run.ctx
}

func (t *Traces) begin(in context.Context, name string, e events.Event, more ...attribute.KeyValue) *span {
	if e.Verb != "" {
		more = append(more, attribute.String("stagehand.verb", e.Verb))
	}
	ctx, s := t.tracer.Start(in, name, trace.WithTimestamp(e.Time), trace.WithAttributes(more...))
	return &span{s, ctx}
}

// stepStarted begins the step's span; a further attempt belongs to the one that is there.
func (t *Traces) stepStarted(e events.Event) {
	if t.steps[e.Step] != nil {
		return
	}
	in := t.above()
	if stage := t.stages[e.Stage]; stage != nil {
		in = stage.ctx
	}
	s := t.begin(in, e.Step, e, attribute.String("stagehand.step", e.Step), attribute.String("stagehand.stage", e.Stage), attribute.String("stagehand.cause", e.Cause))
	for key, value := range map[string]string{"stagehand.app": e.App, "stagehand.service": e.Service, "container.name": e.Container, "stagehand.behind": e.Behind} {
		if value != "" {
			s.SetAttributes(attribute.String(key, value))
		}
	}
	t.steps[e.Step] = s
}

// waiting begins the wait of a step that has seen its condition not hold, or tells what it saw now.
func (t *Traces) waiting(e events.Event) {
	step := t.steps[e.Step]
	if step == nil {
		return
	}
	w := t.waits[e.Step]
	if w == nil {
		w = t.begin(step.ctx, "wait", e, attribute.String("stagehand.step", e.Step))
		t.waits[e.Step] = w
	}
	w.AddEvent("looked", trace.WithTimestamp(e.Time), trace.WithAttributes(attribute.String("stagehand.saw", e.Cause)))
	w.SetAttributes(attribute.String("stagehand.saw", e.Cause)) // the last one
}

// close ends the span of that name as the event says.
func (t *Traces) close(open map[string]*span, name string, e events.Event) {
	s := open[name]
	if s == nil {
		return
	}
	delete(open, name)
	s.SetAttributes(told(e)...)
	if e.Outcome == events.Failed || e.Outcome == events.TimedOut || e.Error != "" {
		s.SetStatus(codes.Error, text.How(e))
	}
	s.End(trace.WithTimestamp(e.Time))
}

// told is what an event says of an end.
func told(e events.Event) []attribute.KeyValue {
	var all []attribute.KeyValue
	if e.Outcome != "" {
		all = append(all, attribute.String("stagehand.outcome", string(e.Outcome)))
	}
	if e.Attempt > 0 {
		all = append(all, attribute.Int("stagehand.attempt", e.Attempt))
	}
	if e.ExitCode != nil {
		all = append(all, attribute.Int("process.exit.code", *e.ExitCode))
	}
	if e.Error != "" {
		all = append(all, attribute.String("stagehand.error", e.Error))
	}
	return all
}

// end ends all that is open. t.mu is held.
func (t *Traces) end(at time.Time) {
	for _, open := range []map[string]*span{t.waits, t.steps, t.stages} {
		for name, s := range open {
			s.End(trace.WithTimestamp(at))
			delete(open, name)
		}
	}
	if t.run != nil {
		t.run.End(trace.WithTimestamp(at))
		t.run = nil
	}
}
