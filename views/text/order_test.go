package text

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCompare(t *testing.T) {
	want := []string{"", "1", "01", "2", "10", "api", "web", "web2x3", "web2x20", "web-1", "web/2", "web/9", "web/10", "web/10/a"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Compare)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// It is an order: what is equal is the same, either way round says the opposite, and three agree.
func TestCompareIsAnOrder(t *testing.T) {
	word := rapid.StringMatching(`[ab/0-2]{0,5}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		if ab := Compare(a, b); ab != -Compare(b, a) || (ab == 0) != (a == b) {
			t.Fatalf("%q and %q: %d, %d", a, b, ab, Compare(b, a))
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("%q, %q, %q", a, b, c)
		}
	})
}
