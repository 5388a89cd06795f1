package variables

import (
	"slices"
	"testing"
)

func TestUnset(t *testing.T) {
	env := map[string]string{"SET": "v", "EMPTY": ""}
	lookup := func(n string) (string, bool) { v, ok := env[n]; return v, ok }
	for text, want := range map[string][]string{
		"plain":                nil,
		"$A ${B} $$C $SET":     {"A", "B"},
		"${A:-x}":              nil,
		"${A-${B}}":            {"B"},
		"${SET-${B}}":          nil,
		"${EMPTY:-${B}}":       {"B"},
		"${EMPTY-${B}}":        nil,
		"${SET:+$B}":           {"B"},
		"${A:+$B}":             nil,
		"${A:?no $B}":          {"B"},
		"${broken $X":          nil,
		"${A:-{\"k\":\"$B\"}}": {"B"},
		"$":                    nil,
		"$1 ${1} ${}":          nil,
	} {
		if got := Unset(text, lookup); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
