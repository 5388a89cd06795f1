package chaos

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/program"
	"github.com/stagehand-dev/stagehand/events"
)

const (
	deployFile   = "testdata/deploy.yaml"
	clusterImage = "stagehand-cluster:chaos"
)

// clusterApp deploys apps: PUT /apps/NAME with a count is 201 where the app is new, 200 where it was deployed
// with that count, 409 where with another one. That of examples/voedger does the same, with a real
// database, which has no place in a bubble.
func clusterApp(ctx context.Context, p *program.Process) int {
	listener, err := p.Listen(":80")
	if err != nil {
		return 1
	}
	var mu sync.Mutex
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count, err := io.ReadAll(r.Body)
		if err != nil {
			return // the request broke off
		}
		mu.Lock()
		defer mu.Unlock()
		record := "/data/" + r.URL.Path[len("/apps/"):]
		deployed, err := p.ReadFile(record)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := p.WriteFile(record, count); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusCreated)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case string(deployed) != string(count):
			http.Error(w, "was deployed with "+string(deployed), http.StatusConflict)
		}
	})}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	_ = server.Serve(listener)
	return 0
}

// deployed is the count that the cluster app has for an app, "" where it has none.
func deployed(t *testing.T, w *world, app string) string {
	t.Helper()
	text, err := w.engine.CopyOut(t.Context(), w.stack.Name+"-cluster-1", "/data/"+app)
	if err != nil && !errors.Is(err, containers.ErrNotFound) {
		t.Fatal(err)
	}
	return string(text)
}

// TestDeployKilledAtEveryPoint: between the record and the request, and between the request and its record, too.
func TestDeployKilledAtEveryPoint(t *testing.T) {
	stack := loadWith(t, deployFile)
	c := &court{t: t, want: undisturbed(t, stack, false)}
	for point := 1; point <= c.want.points; point++ {
		v := c.judge(story{stack: stack, lives: []life{{Dies: point}}})
		want := map[string]events.AppState{"ada": events.Deployed, "bob": events.Deployed, "cyd": events.Deployed}
		if diff := cmp.Diff(want, v.apps); diff != "" {
			t.Errorf("died %q: the apps (-want +got):\n%s", v.deaths, diff)
		}
	}
	t.Logf("%d points, %d stories, %d bad", c.want.points, c.stories, c.bad)
}

// TestNoCountSlipsThroughACall: wherever the runner dies, another count is refused as soon as the cluster
// app has the first one, and in the end the registry and the cluster app have the same.
func TestNoCountSlipsThroughACall(t *testing.T) {
	count := func(w *world) string { return deployed(t, w, "bob") }
	noCountSlipsThrough(t, loadWith(t, deployFile), loadWith(t, deployFile, "BOB=3"), witness{func(w *world) bool { return count(w) != "" }, count})
}
