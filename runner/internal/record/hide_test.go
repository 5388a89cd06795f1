package record

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/secrets"
)

// kept is a sink that keeps all.
type kept []events.Event

func (k *kept) Emit(_ context.Context, e events.Event) error {
	*k = append(*k, e)
	return nil
}

// What the engine says of a container may repeat what the container was given.
func TestWhatTheEngineSaidIsToldWithoutSecrets(t *testing.T) {
	masker := &secrets.Masker{}
	masker.Add("hidden-4711")
	var d kept
	r := New(&d, "r", "s")
	r.Secrets = masker
	said := &events.Inspection{ID: "1f", Error: "exec hidden-4711: not found", HealthLog: "login with hidden-4711 failed"}
	if err := r.Emit(events.Event{Kind: events.StepEnded, Inspect: said}); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(d[0].Inspect)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "4711") || strings.Count(string(text), secrets.Hidden) != 2 || d[0].Inspect.ID != "1f" {
		t.Errorf("told: %s", text)
	}
	if !strings.Contains(said.Error, "hidden-4711") {
		t.Error("the caller's own was changed")
	}
}
