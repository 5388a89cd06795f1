package look

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/docker/docker/client"
)

func TestFresh(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"Id": "1", "Name": "/job", "State": map[string]any{"Status": "created"}})
	}))
	defer server.Close()
	api, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	var f Fresh
	for i, step := range []struct {
		name  string
		touch bool
		asked int // so often, with this step
	}{
		{name: "job", asked: 1},
		{name: "job", asked: 1},
		{name: "job", touch: true, asked: 2},
		{name: "job", asked: 3}, // it stays touched
	} {
		if step.touch {
			f.Touch(step.name)
		}
		c, err := f.Container(t.Context(), api, step.name)
		if err != nil || c.ID != "1" || asked != step.asked {
			t.Errorf("step %d: %q, %v, asked %d times, want %d", i, c.ID, err, asked, step.asked)
		}
		if i == 0 {
			f.Made(step.name, c)
		}
	}
}
