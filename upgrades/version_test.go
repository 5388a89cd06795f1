package upgrades

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	ordered := []string{"1", "1.0.1", "1.2", "1.2.0+1", "1.2.0+10", "1.10", "2.0.0", "10"}
	for i, a := range ordered {
		v, err := ParseVersion(a)
		if err != nil || v.String() != a {
			t.Errorf("%s: %v, %v", a, v, err)
		}
		for j, b := range ordered {
			if c := v.Compare(MustVersion(b)); (c < 0) != (i < j) || (c > 0) != (i > j) {
				t.Errorf("%s to %s is %d", a, b, c)
			}
		}
	}
	if MustVersion("1.5").Compare(MustVersion("1.5.0")) != 0 || (Version{}).Compare(MustVersion("0.1")) >= 0 {
		t.Error("zeros count")
	}
	for _, wrong := range []string{"", "v1", "1.", "1..2", "1.5-rc1", "1+", "1+x", " 1", "1.5\n", "1234567890"} {
		if v, err := ParseVersion(wrong); err == nil || !strings.Contains(err.Error(), "1.5.0") {
			t.Errorf("%q is read as %v, %v", wrong, v, err)
		}
	}
}

func TestRoutes(t *testing.T) {
	step := func(text string) Step {
		from, to, _ := strings.Cut(text, ">")
		return Step{From: MustVersion(from), To: MustVersion(to)}
	}
	for _, c := range []struct {
		recorded, final string
		known           []string
		want            string // the steps, or what the error names
		err             error
	}{
		{"1.2.0", "1.5.0", []string{"1.4.0>1.5.0", "1.2.0>1.4.0"}, "1.2.0 → 1.4.0, 1.4.0 → 1.5.0", nil},
		{"1.2.0+7", "1.5.0+3", []string{"1.4.0>1.5.0", "1.2.0>1.4.0"}, "1.2.0+7 → 1.4.0, 1.4.0 → 1.5.0+3", nil},
		{"1.2", "1.4", []string{"1.2.0>1.4.0"}, "1.2 → 1.4", nil},
		{"1.5.0+2", "1.5.0+3", []string{"1.4.0>1.5.0"}, "1.5.0+2 → 1.5.0+3", nil},
		{"1.5.0+3", "1.5.0+3", nil, "", nil},
		{"1.5.0+3", "1.5.0", []string{"1.4.0>1.5.0"}, "1.5.0 1.5.0+3", ErrOlder},
		{"1.5.0", "1.5.0+1", nil, "1.5.0 1.5.0+1", ErrGap},
		{"1.2.0", "1.5.0", []string{"1.4.0>1.5.0"}, "1.2.0 1.4.0", ErrGap},
		{"1.2.0", "1.5.0", []string{"1.2.0>1.3.0", "1.4.0>1.5.0"}, "1.3.0 1.4.0", ErrGap},
		{"1.2.0", "1.6.0", []string{"1.2.0>1.4.0", "1.4.0>1.5.0"}, "1.5.0 1.6.0", ErrGap},
		{"1.3.0", "1.5.0", []string{"1.2.0>1.4.0", "1.4.0>1.5.0"}, "1.3.0 1.4.0", ErrGap},
		{"1.2.0", "1.5.0", []string{"1.5.0>1.5.0", "1.6.0>1.5.0"}, "1.2.0 1.5.0", ErrGap}, // no chain goes round or back
	} {
		var known []Step
		for _, k := range c.known {
			known = append(known, step(k))
		}
		route, err := Route(MustVersion(c.recorded), MustVersion(c.final), known)
		var got []string
		for _, s := range route {
			got = append(got, s.String())
		}
		switch {
		case c.err == nil && (err != nil || strings.Join(got, ", ") != c.want):
			t.Errorf("%s to %s: %v, %v", c.recorded, c.final, got, err)
		case c.err != nil && (!errors.Is(err, c.err) || len(route) > 0 || slices.ContainsFunc(strings.Fields(c.want), func(w string) bool { return !strings.Contains(err.Error(), w) })):
			t.Errorf("%s to %s: %v, %v; want %v with %s", c.recorded, c.final, got, err, c.err, c.want)
		}
	}
}

func TestOptions(t *testing.T) {
	good := Options{Store: &Memory{}, Deployment: Deployment{Name: "x"}, Version: MustVersion("1.0")}
	for name, spoil := range map[string]func(*Options){
		"no store":   func(o *Options) { o.Store = nil },
		"no name":    func(o *Options) { o.Deployment.Name = "" },
		"no version": func(o *Options) { o.Version = Version{} },
		"workers":    func(o *Options) { o.Workers = -1 },
		"batch":      func(o *Options) { o.Batch = -1 },
		"retries":    func(o *Options) { o.Retries = -1 },
		"handle back": func(o *Options) {
			o.Handles = []VersionHandle{Funcs{From: MustVersion("2"), Version: MustVersion("1")}}
		},
		"handle of one": func(o *Options) { o.Handles = []VersionHandle{Funcs{From: MustVersion("1.0")}} },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	o := good
	o.Version, o.Handles = Version{}, []VersionHandle{Funcs{From: MustVersion("1"), Version: MustVersion("1.2")}, Funcs{From: MustVersion("1"), Version: MustVersion("1.1")}}
	if s, err := New(o); err != nil || s.FinalVersion() != MustVersion("1.2") {
		t.Errorf("%v, %v", s, err)
	}
}
