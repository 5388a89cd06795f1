package upgrades

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version is a version and how many entries it has: the same version may gain some.
type Version struct {
	Number  string // 1.5.0
	Entries int    // 0 where the version does not count any
}

var versionText = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})*(\+[0-9]{1,9})?$`)

// ParseVersion reads numbers with dots between them and, after a plus, the
// number of entries: 1.5.0 or 1.5.0+3.
func ParseVersion(text string) (Version, error) {
	if !versionText.MatchString(text) {
		return Version{}, fmt.Errorf("%q is no version: expected numbers such as 1.5.0 or, with a count of entries, 1.5.0+3", text)
	}
	number, entries, _ := strings.Cut(text, "+")
	n, _ := strconv.Atoi(entries) // "" where there are none
	return Version{number, n}, nil
}

// MustVersion is ParseVersion for texts that stand in a program.
func MustVersion(text string) Version {
	v, err := ParseVersion(text)
	if err != nil {
		panic(err)
	}
	return v
}

// String is the version as ParseVersion reads it; "" for the zero value.
func (v Version) String() string {
	if v.Entries == 0 {
		return v.Number
	}
	return fmt.Sprintf("%s+%d", v.Number, v.Entries)
}

// MarshalText implements encoding.TextMarshaler.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Compare is below 0 where v is older than w, above 0 where it is newer. 1.5 and 1.5.0 are the same.
func (v Version) Compare(w Version) int {
	return cmp.Or(v.compareNumber(w), cmp.Compare(v.Entries, w.Entries))
}

func (v Version) compareNumber(w Version) int {
	a, b := strings.Split(v.Number, "."), strings.Split(w.Number, ".")
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(part(a, i), part(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func part(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i]) // "" of the zero value
	return n
}

// Step is one step of a route.
type Step struct {
	To   Version `json:"to"`
	From Version `json:"from"`
}

// String is FROM → TO.
func (s Step) String() string { return s.From.String() + " → " + s.To.String() }

// Route finds the steps that lead from the recorded version to the final one; none where they are the same. known are the
// steps that there are, in any order; their entries do not count. A final version that only has more entries than
// the recorded one takes the step that leads to it once more. The error is ErrOlder or ErrGap, with
// the versions between which nothing leads.
func Route(recorded, final Version, known []Step) ([]Step, error) {
	switch {
	case final.Compare(recorded) == 0:
		return nil, nil
	case final.Compare(recorded) < 0:
		return nil, fmt.Errorf("version %s is %w %s", final, ErrOlder, recorded)
	}
	var route []Step
	for to := final; ; {
		step, ok := leadingTo(to, known)
		same := final.compareNumber(recorded) == 0
		if !ok || !same && step.From.compareNumber(recorded) < 0 {
			return nil, fmt.Errorf("%w: no upgrade leads from %s to %s", ErrGap, below(to, recorded, known), to)
		}
		route = append([]Step{{To: to, From: Version{Number: step.From.Number}}}, route...)
		if same || step.From.compareNumber(recorded) == 0 {
			route[0].From = recorded
			return route, nil
		}
		to = Version{Number: step.From.Number}
	}
}

func leadingTo(to Version, known []Step) (Step, bool) {
	for _, s := range known {
		if s.To.compareNumber(to) == 0 && s.From.compareNumber(to) < 0 {
			return s, true
		}
	}
	return Step{}, false
}

// below is the newest version before to that is known.
func below(to, recorded Version, known []Step) Version {
	newest := recorded
	for _, s := range known {
		if s.To.compareNumber(to) < 0 && s.To.compareNumber(newest) > 0 {
			newest = Version{Number: s.To.Number}
		}
	}
	return newest
}
