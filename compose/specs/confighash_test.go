package specs

import (
	"cmp"
	"os"
	"regexp"
	"testing"
)

// TestServiceHash: what the hash of each service is stands in the file, and that of v5 where it is another one.
func TestServiceHash(t *testing.T) {
	text, err := os.ReadFile("testdata/hashes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := convert(t, string(text))
	want := regexp.MustCompile(`(?m)^# (\w+) ([0-9a-f]{64})(?: ([0-9a-f]{64}))?$`).FindAllStringSubmatch(string(text), -1)
	if len(want) != len(c.Project.Services) {
		t.Errorf("%d hashes for %d services", len(want), len(c.Project.Services))
	}
	for _, w := range want {
		service := c.Project.Services[w[1]]
		got, newer := serviceHash(service)
		if got != w[2] {
			t.Errorf("%s: got %s, docker compose says %s, of what may differ from\n%s", w[1], got, w[2], serviceText(service, false))
		}
		if want := cmp.Or(w[3], w[2]); newer != want {
			t.Errorf("%s: got %s, docker compose v5 says %s, of what may differ from\n%s", w[1], newer, want, serviceText(service, true))
		}
	}
}
