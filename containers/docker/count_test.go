package docker

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stagehand-dev/stagehand/containers"
)

// TestANetworkThatTheEngineCountsWrong: what Docker 20.10 answers when it has lost count of a
// network's endpoints, which cannot be brought about. It may be behind only for a moment.
func TestANetworkThatTheEngineCountsWrong(t *testing.T) {
	for name, wrong := range map[string]int32{"for a moment": 3, "for good": 1 << 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var removals atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Api-Version", "1.41")
				answer, code := `{}`, http.StatusOK
				switch {
				case r.Method == http.MethodDelete && removals.Add(1) <= wrong:
					answer, code = `{"message":"error while removing network: network n id 1 has active endpoints"}`, http.StatusForbidden
				case r.Method == http.MethodDelete:
					code = http.StatusNoContent
				case strings.HasSuffix(r.URL.Path, "/containers/json"):
					answer = `[]`
				case strings.HasSuffix(r.URL.Path, "/networks/n") && removals.Load() > wrong:
					answer, code = `{"message":"network n not found"}`, http.StatusNotFound
				case strings.HasSuffix(r.URL.Path, "/networks/n"):
					answer = `{"Name":"n","Id":"1","Containers":{}}`
				}
				w.WriteHeader(code)
				if code != http.StatusNoContent {
					_, _ = w.Write([]byte(answer))
				}
			}))
			listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			_ = server.Listener.Close()
			server.Listener = listener
			server.Start()
			t.Cleanup(server.Close)
			engine, err := Open(t.Context(), Options{Endpoint: "unix://" + listener.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			defer engine.Close()
			err = engine.RemoveNetwork(t.Context(), "n")
			if wrong < 1<<30 && err != nil {
				t.Errorf("removed when the count is right: %v", err)
			}
			if wrong == 1<<30 && (!errors.Is(err, containers.ErrConflict) || !strings.Contains(err.Error(), "the engine has lost count")) {
				t.Errorf("got %v, want the engine's words and why", err)
			}
		})
	}
}
