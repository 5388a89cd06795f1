package jsonpath

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	for path, want := range map[string][]any{
		"$": {}, ".": {}, "a": {"a"}, ".a.b": {"a", "b"}, "$.a[0].b": {"a", 0, "b"}, `["x y"][1][2].z`: {"x y", 1, 2, "z"}, `.a["]"]`: {"a", "]"},
	} {
		if got, err := Parse(path); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	for _, path := range []string{"..", ".a.", ".a[", ".a[x]", ".a[-1]", `.a["x"`, ".a[0]b", "[0"} {
		if got, err := Parse(path); err == nil {
			t.Errorf("%s: %v", path, got)
		}
	}
}
