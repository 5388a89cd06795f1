package pull

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestRegistryDown(t *testing.T) {
	for text, want := range map[string]bool{
		"Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: no such host":          true,
		"Get \"https://registry.example/v2/\": net/http: TLS handshake timeout":                          true,
		"pull access denied for x, repository does not exist or may require 'docker login'":              false,
		"manifest for x:y not found: manifest unknown: manifest unknown":                                 false,
		"Get \"https://registry.example/v2/\": net/http: request canceled (Client.Timeout exceeded ...)": true,
	} {
		if got := RegistryDown(errors.New(text)); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	const stream = `{"status":"Pulling from library/x","id":"latest"}
{"status":"Pulling fs layer","id":"a"}{"status":"Pulling fs layer","id":"b"}
{"status":"Downloading","progressDetail":{"current":1500000,"total":3000000},"id":"a"}
{"status":"Already exists","id":"b"}
`
	var p progress
	for _, m := range []message{
		{ID: "latest", Status: "Pulling from library/x"}, {ID: "a", Status: "Pulling fs layer"}, {ID: "b", Status: "Already exists"},
	} {
		p.add(m)
	}
	p.layers["a"].current, p.layers["a"].total = 1_500_000, 3_000_000
	if got, want := p.String(), "1/2 layers, 1.5/3.0 MB"; got != want {
		t.Errorf("progress %q, want %q", got, want)
	}
	var told []string
	if err := Read(strings.NewReader(stream), func(s string) { told = append(told, s) }); err != nil || len(told) == 0 {
		t.Errorf("error %v, told %q", err, told)
	}
	err := Read(strings.NewReader(stream+`{"error":"toomanyrequests: slow down"}`), nil)
	if err == nil || err.Error() != "toomanyrequests: slow down" {
		t.Errorf("got %v, want the error of the stream", err)
	}
	if err := Read(strings.NewReader(`{"status":"x"`), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream that breaks off: %v, want it told as a lost connection", err)
	}
}
