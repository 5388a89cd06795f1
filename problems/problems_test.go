package problems

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRenderShowsEachProblemInItsPlaceOnceAndInOrder(t *testing.T) {
	var l List
	l.Source("a.yaml", []byte("name: x\n\tservices: {}\nlast: é!"))
	l.Add(Pos{"b.yaml", 0, 0}, "", "cannot be read")
	l.Add(Pos{"a.yaml", 3, 8}, "nothing", "odd %q", "!")
	l.Warn(Pos{"a.yaml", 2, 2}, "", "a tab")
	l.Add(Pos{"a.yaml", 3, 8}, "nothing", "odd %q", "!")
	const want = `a.yaml:2:2: warning: a tab
    2 |  services: {}
      |  ^
a.yaml:3:8: odd "!"
    3 | last: é!
      |        ^
      = nothing
b.yaml: cannot be read
`
	if got := l.Render(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if err := l.Err(); !errors.Is(err, ErrFile) || err.Error() != want {
		t.Errorf("error: %v", err)
	}
	if w := l.Warnings(); len(w) != 1 || w[0].Message != "a tab" {
		t.Errorf("warnings: %v", w)
	}
}

func TestWarningsAloneAreNoError(t *testing.T) {
	var l List
	l.Warn(Pos{"a", 1, 1}, "", "hm")
	if err := l.Err(); err != nil {
		t.Errorf("error: %v", err)
	}
}

func TestRenderTakesAnyPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l List
		l.Source("f", []byte(rapid.String().Draw(t, "text")))
		p := Pos{"f", rapid.IntRange(-2, 9).Draw(t, "line"), rapid.IntRange(-2, 99).Draw(t, "col")}
		l.Add(p, "", "x")
		if !strings.HasPrefix(l.Render(), "f") {
			t.Fatal("the problem is not shown")
		}
	})
}

func TestNearest(t *testing.T) {
	names := []string{"services", "stages", "start", "run"}
	for word, want := range map[string]string{
		"stage": "stages", "satrt": "start", "RUN": "run", "sevices": "services", "volumes": "", "": "", "rnu": "run", "x": "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// many are word and more others than are shown.
func many(word string) []string {
	all := []string{word}
	for i := range 24 {
		all = append(all, fmt.Sprintf("k%02d", i))
	}
	return all
}

func TestOneOf(t *testing.T) {
	for _, test := range []struct {
		word       string
		candidates []string
		want       string
	}{
		{"app", []string{"apps"}, `did you mean "apps"?`},
		{"zebra", []string{"apps"}, "expected one of: apps"},
		{"app", []string{"stages", "apps"}, `did you mean "apps"? expected one of: apps, stages`},
		{"app", nil, ""},
		{"app", many("apps"), `did you mean "apps"?`},
		{"zebra", many("apps"), "expected one of: apps, k00, k01, k02, k03, k04, k05, k06, k07, k08, k09, k10, k11, k12, k13, k14, k15, k16, k17, k18, k19, k20, k21, k22, …"},
	} {
		if got := OneOf(test.word, test.candidates); got != test.want {
			t.Errorf("OneOf(%q, %v) = %q, want %q", test.word, test.candidates, got, test.want)
		}
	}
}

func TestDistanceIsSymmetricAndZeroOnlyForEquals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringN(0, 8, -1).Draw(t, "a"), rapid.StringN(0, 8, -1).Draw(t, "b")
		if d := distance(a, b); d != distance(b, a) || (d == 0) != (a == b) || d > max(len([]rune(a)), len([]rune(b))) {
			t.Fatalf("distance %d", d)
		}
	})
}
