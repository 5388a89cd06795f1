package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/sleep"
)

type (
	runID struct {
		ID string `path:"id" doc:"the run's ID"`
	}
	runEvents struct {
		ID     string `path:"id" doc:"the run's ID"`
		After  int64  `query:"after" minimum:"0" doc:"leave out the events up to this number"`
		Follow bool   `query:"follow" doc:"go on until the run has ended"`
	}
	oneRun   struct{ Body ledger.Run }
	manyRuns struct{ Body []ledger.Run }
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func (s *server) runs(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-runs", Method: http.MethodGet, Path: "/v1/runs", Summary: "The stack's runs, the latest first",
		Errors: []int{http.StatusUnauthorized, http.StatusServiceUnavailable},
	}, s.listRuns)
	huma.Register(api, huma.Operation{
		OperationID: "get-run", Method: http.MethodGet, Path: "/v1/runs/{id}", Summary: "One run",
		Errors: []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusServiceUnavailable},
	}, s.getRun)
	event := huma.SchemaFromType(api.OpenAPI().Components.Schemas, typeOf[events.Event]())
	huma.Register(api, huma.Operation{
		OperationID: "run-events", Method: http.MethodGet, Path: "/v1/runs/{id}/events", Summary: "A run's events as a stream, one JSON object a line",
		Responses: map[string]*huma.Response{"200": {
			Description: "The events so far or, with follow, as they come", Content: map[string]*huma.MediaType{ndjson: {Schema: event}},
		}},
		Errors: []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusServiceUnavailable},
	}, s.runEvents)
}

const ndjson = "application/x-ndjson"

func (s *server) listRuns(ctx context.Context, _ *struct{}) (*manyRuns, error) {
	runs, err := s.Ledger.Runs(ctx, s.Stack.Name)
	if err != nil {
		return nil, s.refused(err)
	}
	return &manyRuns{append([]ledger.Run{}, runs...)}, nil
}

// find finds a run of this stack: others' are none of the server's.
func (s *server) find(ctx context.Context, id string) (ledger.Run, error) {
	run, ok, err := s.Ledger.Find(ctx, id)
	if err != nil {
		return run, s.refused(err)
	}
	if !ok || run.Stack != s.Stack.Name {
		return run, huma.Error404NotFound("no run " + id + " of " + s.Stack.Name)
	}
	return run, nil
}

func (s *server) getRun(ctx context.Context, in *runID) (*oneRun, error) {
	run, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &oneRun{run}, nil
}

// lookEvery is how often the ledger is looked at for new events: a query of
// well under a millisecond.
const lookEvery = 100 * time.Millisecond

func (s *server) runEvents(ctx context.Context, in *runEvents) (*huma.StreamResponse, error) {
	if _, err := s.find(ctx, in.ID); err != nil {
		return nil, err
	}
	first, err := s.Ledger.Events(ctx, in.ID, in.After)
	if err != nil {
		return nil, s.refused(err)
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", ndjson)
		s.stream(c, in, first)
	}}, nil
}

// stream writes the events, and those that come, until the run or the request
// has ended. A ledger that fails meanwhile ends the stream without a run.ended in it.
func (s *server) stream(c huma.Context, in *runEvents, fresh []events.Event) {
	ctx, after := c.Context(), in.After
	write := json.NewEncoder(c.BodyWriter())
	flusher, flushes := c.BodyWriter().(http.Flusher)
	for {
		for _, e := range fresh {
			if write.Encode(e) != nil {
				return // nobody reads on
			}
			after = e.Seq
		}
		if flushes {
			flusher.Flush()
		}
		if !in.Follow || s.over(ctx, in.ID, fresh) {
			return
		}
		if sleep.For(ctx, lookEvery) != nil {
			return
		}
		var err error
		if fresh, err = s.Ledger.Events(ctx, in.ID, after); err != nil {
			return
		}
	}
}

// over tells whether nothing is to be expected after these events.
func (s *server) over(ctx context.Context, id string, fresh []events.Event) bool {
	if len(fresh) > 0 {
		return fresh[len(fresh)-1].Kind == events.RunEnded
	}
	run, ok, err := s.Ledger.Find(ctx, id)
	return err != nil || !ok || !run.Ended.IsZero()
}
