package sources

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// registerRaw makes env_file's format: raw known to compose-go, which leaves
// it to the program that uses it and keeps it for the whole process.
var registerRaw = sync.OnceFunc(func() { dotenv.RegisterFormat("raw", rawEnv) })

// rawEnv reads KEY=VALUE lines, each value as it stands: nothing is quoted, nothing
// interpolated. KEY alone is looked up, and left out where that finds nothing.
// Source: docker/cli pkg/kvfile, as docker/compose uses it.
func rawEnv(r io.Reader, name string, vars map[string]string, lookup func(key string) (string, bool)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text()
		if n == 1 {
			text = strings.TrimPrefix(text, "\uFEFF")
		}
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, value, given := strings.Cut(text, "=")
		var err error
		switch {
		case !utf8.ValidString(text):
			err = errors.New("it is not UTF-8")
		case key == "":
			err = fmt.Errorf("no name before the equals sign in %q", text)
		case strings.ContainsFunc(key, unicode.IsSpace):
			err = fmt.Errorf("a name cannot hold white space: %q", key)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if !given && lookup != nil {
			value, given = lookup(key)
		}
		if given {
			vars[key] = value
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
