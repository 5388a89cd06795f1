package diagnosis

import (
	"regexp"
	"slices"
	"strings"
)

var (
	decoding = regexp.MustCompile(`^'[^']*' `)
	wherever = regexp.MustCompile(`^(?:services|networks|volumes|configs|secrets|jobs)[.\[][^ ]*: `)
)

// words are compose-go's, for people.
func words(err error) string {
	text := strings.TrimPrefix(core(err), "time: ")
	text = parsing.ReplaceAllString(text, `$1 is not a number`)
	if file, _, found := strings.Cut(text, " not found: stat "); found {
		text = file + " not found"
	}
	return text
}

// core is compose-go's message without what the place says already.
func core(err error) string {
	lines := slices.DeleteFunc(strings.Split(err.Error(), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	if len(lines) == 0 {
		return "invalid"
	}
	text := strings.Join(lines, " ")
	text = strings.TrimPrefix(text, "decoding failed due to the following error(s): ")
	text = decoding.ReplaceAllString(text, "")
	text = wherever.ReplaceAllString(text, "")
	return strings.TrimSuffix(text, ": invalid compose project")
}

var parsing = regexp.MustCompile(`^(?:strconv\.[A-Za-z]+: parsing )?("[^"]*"): (?:invalid syntax|value out of range)$`)

// hint says what would be right, where compose-go's words do not.
func hint(text string) string {
	switch {
	case strings.Contains(text, "invalid duration"):
		return "expected a time such as 30s or 1m30s"
	case strings.HasPrefix(text, "invalid size"), strings.HasPrefix(text, "invalid suffix"):
		return "expected a size such as 64m or 1gb"
	case strings.HasPrefix(text, "invalid containerPort"), strings.HasPrefix(text, "invalid hostPort"), strings.HasPrefix(text, "invalid port"):
		return "expected [[IP:]HOST:]CONTAINER[/PROTOCOL], ports from 1 to 65535 or ranges of them"
	case strings.HasPrefix(text, "invalid spec"):
		return "expected [SOURCE:]TARGET[:OPTIONS]"
	case strings.HasPrefix(text, "invalid additional host"):
		return "expected HOST=ADDRESS"
	}
	return ""
}
