// Package problems collects what is wrong with the files that a user wrote
// and shows it in place: file:line:col, the source line, a caret, what was
// expected. A reader of files reports everything it finds before it gives up.
package problems

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stagehand-dev/stagehand/secrets"
)

// Pos is a place in a file. Line and Col count from 1; Line 0 means the whole file.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
}

// String is file:line:col, without what is not known.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Problem is one thing that is wrong.
type Problem struct {
	Pos
	// Message says what is wrong, without a full stop.
	Message string `json:"message"`
	// Expected says what would be right, or what to do; may be empty.
	Expected string `json:"expected,omitempty"`
	// Warning is true where the file can be used all the same.
	Warning bool `json:"warning,omitempty"`
}

// Unread says why a file could not be read, without its path.
func Unread(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file"
	}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// List holds problems of several files and the files' texts. The zero value
// is ready. It is not safe for concurrent use.
type List struct {
	items   []Problem
	sources map[string][]string
}

// Source tells the text of a file, so that Render can show its lines.
func (l *List) Source(file string, text []byte) {
	if l.sources == nil {
		l.sources = map[string][]string{}
	}
	l.sources[file] = strings.Split(string(text), "\n")
}

// Add reports an error. expected may be empty.
func (l *List) Add(pos Pos, expected, format string, args ...any) {
	l.add(Problem{Pos: pos, Message: fmt.Sprintf(format, args...), Expected: expected})
}

// Warn reports what the user should know but can live with.
func (l *List) Warn(pos Pos, expected, format string, args ...any) {
	l.add(Problem{Pos: pos, Message: fmt.Sprintf(format, args...), Expected: expected, Warning: true})
}

// add drops exact repetitions: one file is often read once an app.
func (l *List) add(p Problem) {
	if !slices.Contains(l.items, p) {
		l.items = append(l.items, p)
	}
}

// Merge adds the problems and sources of other.
func (l *List) Merge(other *List) {
	for file, lines := range other.sources {
		if l.sources == nil {
			l.sources = map[string][]string{}
		}
		l.sources[file] = lines
	}
	for _, p := range other.items {
		l.add(p)
	}
}

// All returns the problems by file, line and column.
func (l *List) All() []Problem {
	sorted := slices.Clone(l.items)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Message, b.Message))
	})
	return sorted
}

// Warnings returns only the warnings, in order.
func (l *List) Warnings() []Problem {
	return slices.DeleteFunc(l.All(), func(p Problem) bool { return !p.Warning })
}

// Err returns nil when there are no problems but warnings, otherwise an
// *Error that holds them all.
func (l *List) Err() error {
	if !slices.ContainsFunc(l.items, func(p Problem) bool { return !p.Warning }) {
		return nil
	}
	return &Error{list: l}
}

// Error is a file that cannot be used, with every reason why.
type Error struct{ list *List }

// Error is the rendered list.
func (e *Error) Error() string { return e.list.Render() }

// All returns the problems, warnings among them.
func (e *Error) All() []Problem { return e.list.All() }

// Is makes errors.Is(err, problems.ErrFile) true for every *Error.
func (e *Error) Is(target error) bool { return target == ErrFile }

// ErrFile stands for any problem with a user's file.
var ErrFile = errors.New("the file has problems")

// Render is the text for people: each problem with its line and a caret.
func (l *List) Render() string {
	var b strings.Builder
	for _, p := range l.All() {
		kind := ""
		if p.Warning {
			kind = "warning: "
		}
		fmt.Fprintf(&b, "%s: %s%s\n", p.Pos, kind, p.Message)
		l.excerpt(&b, p)
		if p.Expected != "" {
			fmt.Fprintf(&b, "      = %s\n", p.Expected)
		}
	}
	return b.String()
}

func (l *List) excerpt(b *strings.Builder, p Problem) {
	lines := l.sources[p.File]
	if p.Line < 1 || p.Line > len(lines) {
		return
	}
	line := strings.TrimRight(strings.ReplaceAll(lines[p.Line-1], "\t", " "), "\r ")
	if !utf8.ValidString(line) || utf8.RuneCountInString(line) > 400 {
		return
	}
	fmt.Fprintf(b, " %4d | %s\n", p.Line, secrets.Source(line))
	if p.Col > 0 && p.Col <= utf8.RuneCountInString(line)+1 {
		fmt.Fprintf(b, "      | %s^\n", strings.Repeat(" ", p.Col-1))
	}
}

// Nearest returns the candidate that word was most likely meant to be, or ""
// when none is near: at most a third of the letters may differ.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", len(word)/3+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance || d == bestDistance && best == "" && d <= 1 {
			best, bestDistance = c, d
		}
	}
	return best
}

// OneOf is the usual expectation text: the near candidate if there is one,
// and all of them while they are few.
func OneOf(word string, candidates []string) string {
	text := ""
	if near := Nearest(word, candidates); near != "" {
		text = fmt.Sprintf("did you mean %q? ", near)
	}
	shown := slices.Compact(slices.Sorted(slices.Values(candidates)))
	const few = 24
	if len(shown) == 0 || text != "" && (len(shown) == 1 || len(shown) > few) {
		return strings.TrimSpace(text)
	}
	more := ""
	if len(shown) > few {
		shown, more = shown[:few], ", …"
	}
	return text + "expected one of: " + strings.Join(shown, ", ") + more
}

// distance is the optimal string alignment distance (Damerau–Levenshtein
// without repeated edits of one place), in characters.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
