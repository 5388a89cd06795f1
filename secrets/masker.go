package secrets

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Masker hides the secrets that it knows, wherever they stand in a text, and those
// that are known by their place: passwords in URLs, and what is handed on by ::set under a
// name that says so. The zero value, and nil, know no others. It is safe for concurrent use.
//
// Some values would take half of every text with them, and are only hidden by name and place: those of less
// than 4 characters, numbers of less than 6 digits, words such as true or password, and the names that the stack itself uses.
type Masker struct {
	mu     sync.RWMutex
	values map[string]bool // as they were given
	spared map[string]bool
	// hides is made of values when it is needed; known are all forms of them, the longest first.
	hides *strings.Replacer
	known []string
}

// common are no secrets, whatever they are called.
var common = []string{"true", "false", "none", "null", "password", "passwd", "secret", "token", "test", "trust", "changeme", "root", "admin", "user"}

// Add makes values secret from now on. Of a text of several lines, each line is one too.
func (m *Masker) Add(values ...string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, value := range values {
		if m.values[value] || value == "" {
			continue
		}
		if m.values == nil {
			m.values = map[string]bool{}
		}
		m.values[value] = true
		m.hides = nil
	}
}

// Spare names what is not hidden although it is a secret's value, too: names that stand everywhere. So are the words of a name.
func (m *Masker) Spare(names ...string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spared == nil {
		m.spared = map[string]bool{}
	}
	for _, name := range names {
		m.spared[name] = true
		for _, word := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("/:@-_.", r) }) {
			m.spared[word] = true
		}
	}
	m.hides = nil
}

// Pair adds the value of a variable whose name says that it is secret, and what is secret in any other.
func (m *Masker) Pair(name, value string) {
	if Named(name) {
		_, bare, both := strings.Cut(value, " ")
		if scheme := strings.ToLower(value); both && (strings.HasPrefix(scheme, "bearer ") || strings.HasPrefix(scheme, "basic ")) {
			value = bare
		}
		m.Add(value)
	}
	m.Learn(value)
}

// Learn adds what is secret by its place in the words of a command line, or in a text as the only word.
func (m *Masker) Learn(all ...string) {
	Words(all, func(secret string) string {
		m.Add(strings.Trim(secret, `"',{}`))
		if plain, err := url.PathUnescape(secret); err == nil && plain != secret {
			m.Add(plain)
		}
		return secret
	})
}

// Values are all that was added, sorted.
func (m *Masker) Values() []string {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]string, 0, len(m.values))
	for value := range m.values {
		all = append(all, value)
	}
	slices.Sort(all)
	return all
}

// Text hides what is secret in a text. Where it was cut, which a "…" tells, what is left of a secret goes too.
func (m *Masker) Text(text string) string {
	if text == "" {
		return text
	}
	if strings.Contains(text, "://") {
		text = userinfo.ReplaceAllString(text, "${1}"+Hidden+"${3}")
	}
	if strings.Contains(text, "::set ") {
		text = handed.ReplaceAllStringFunc(text, func(found string) string {
			p := handed.FindStringSubmatch(found)
			if !Named(p[2]) {
				return found
			}
			return p[1] + p[2] + p[3] + Hidden + p[5]
		})
	}
	if m == nil {
		return text
	}
	hides, known := m.ready()
	return cutOff(hides.Replace(text), known)
}

// Each replaces each known secret in a text with what hide makes of it.
func (m *Masker) Each(text string, hide func(secret string) string) string {
	if m == nil {
		return text
	}
	_, known := m.ready()
	for _, secret := range known {
		if strings.Contains(text, secret) {
			text = strings.ReplaceAll(text, secret, hide(secret))
		}
	}
	return text
}

// Texts is Text of each.
func (m *Masker) Texts(all []string) []string {
	if all == nil {
		return nil
	}
	out := make([]string, len(all))
	for i, text := range all {
		out[i] = m.Text(text)
	}
	return out
}

// cut stands where a text was cut; leastShown is how much of a secret, in bytes, is hidden beside it.
const (
	cut        = "…"
	leastShown = 4
)

// cutOff hides what is left of secrets that were cut: their beginnings before a "…", their ends behind one.
func cutOff(text string, known []string) string {
	if !strings.Contains(text, cut) {
		return text
	}
	parts := strings.Split(text, cut)
	for i := range parts {
		if i < len(parts)-1 {
			parts[i] = strings.TrimSuffix(parts[i], beginning(parts[i], known))
		}
		if i > 0 {
			parts[i] = strings.TrimPrefix(parts[i], end(parts[i], known))
		}
	}
	return strings.Join(parts, cut)
}

// beginning is that of a secret with which the text ends.
func beginning(text string, known []string) string {
	for _, secret := range known {
		for n := min(len(secret)-1, len(text)); n >= leastShown; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				return secret[:n]
			}
		}
	}
	return ""
}

// end is that of a secret with which the text begins.
func end(text string, known []string) string {
	for _, secret := range known {
		for n := min(len(secret)-1, len(text)); n >= leastShown; n-- {
			if strings.HasPrefix(text, secret[len(secret)-n:]) {
				return secret[len(secret)-n:]
			}
		}
	}
	return ""
}

// ready is what hides all that is known now.
func (m *Masker) ready() (*strings.Replacer, []string) {
	m.mu.RLock()
	hides, known := m.hides, m.known
	m.mu.RUnlock()
	if hides != nil {
		return hides, known
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	forms := map[string]bool{}
	for value := range m.values {
		m.forms(value, forms)
	}
	known = make([]string, 0, len(forms))
	for form := range forms {
		known = append(known, form)
	}
	slices.SortFunc(known, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, form := range known {
		pairs = append(pairs, form, Hidden)
	}
	m.hides, m.known = strings.NewReplacer(pairs...), known
	return m.hides, m.known
}

// forms are the ways in which a value may stand in a text: each of its lines, as it is and as JSON, Go and URLs write it.
func (m *Masker) forms(value string, into map[string]bool) {
	lines := append(strings.Split(value, "\n"), value)
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if m.trivial(line) || i < len(lines)-1 && len(lines) > 2 && (utf8.RuneCountInString(line) < 8 || strings.HasPrefix(line, "-----")) {
			continue
		}
		quoted := strconv.Quote(line)
		encoded, err := json.Marshal(line)
		if err != nil {
			panic("secrets: a text does not marshal: " + err.Error())
		}
		var plain strings.Builder
		e := json.NewEncoder(&plain)
		e.SetEscapeHTML(false)
		_ = e.Encode(line) // as above
		unescaped := strings.TrimSpace(plain.String())
		for _, form := range []string{line, strings.Join(strings.Fields(line), " "), quoted[1 : len(quoted)-1], string(encoded[1 : len(encoded)-1]), unescaped[1 : len(unescaped)-1], url.QueryEscape(line), url.PathEscape(line)} {
			into[form] = true
		}
	}
}

// Short tells of a value that it cannot be looked for in texts, as it would be found everywhere.
func Short(value string) bool {
	digits := strings.Trim(value, "0123456789") == ""
	return utf8.RuneCountInString(value) < 4 || digits && len(value) < 6
}

// trivial tells of a value that it is not looked for in texts.
func (m *Masker) trivial(value string) bool {
	return Short(value) || slices.Contains(common, strings.ToLower(value)) || m.spared[value]
}

// Writer is w without secrets, as far as they stand in one call of Write as a whole: for
// messages, each of which is written at once.
func (m *Masker) Writer(w io.Writer) io.Writer { return writer{m, w} }

type writer struct {
	m *Masker
	w io.Writer
}

func (w writer) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.w, w.m.Text(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// maxLine bounds what Reader keeps of one line, in bytes; a longer one is looked at in parts.
const maxLine = 1 << 20

// Reader is r without secrets, line by line. Closing it closes r.
func (m *Masker) Reader(r io.ReadCloser) io.ReadCloser {
	return &reader{Closer: r, m: m, lines: bufio.NewReaderSize(r, maxLine)}
}

type reader struct {
	io.Closer
	m     *Masker
	lines *bufio.Reader
	left  string
	err   error
}

func (r *reader) Read(p []byte) (int, error) {
	for r.left == "" {
		if r.err != nil {
			return 0, r.err
		}
		line, err := r.lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil
		}
		r.left, r.err = r.m.Text(string(line)), err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}
