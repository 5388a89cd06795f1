package waiters

import (
	"math"
	"strconv"
	"strings"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/waiters/internal/texts"
)

const (
	progressDirective = "::progress "
	setDirective      = "::set "
	directiveEnd      = "::"
)

// ParseLine reads a line that a helper or detector printed:
//
//	::progress DONE[/TOTAL][ UNIT]::TEXT
//	::set KEY=VALUE::
//
// DONE and TOTAL are decimal numbers, not negative. KEY is letters, digits,
// "_" and "-", beginning with a letter or "_". Of the first kind p is set, of the second key
// and value. ok is false for every other line: a line that only looks similar is output.
func ParseLine(line string) (p *events.Progress, key, value string, ok bool) {
	line = strings.TrimRight(line, "\r\n")
	if rest, found := strings.CutPrefix(line, progressDirective); found {
		p = parseProgress(rest)
		return p, "", "", p != nil
	}
	if rest, found := strings.CutPrefix(line, setDirective); found {
		key, value, ok = parseSet(rest)
		return nil, key, value, ok
	}
	return nil, "", "", false
}

func parseProgress(rest string) *events.Progress {
	numbers, text, found := strings.Cut(rest, directiveEnd)
	if !found {
		return nil
	}
	numbers, unit, _ := strings.Cut(strings.TrimSpace(numbers), " ")
	done, total, bounded := strings.Cut(numbers, "/")
	p := &events.Progress{Unit: texts.Clean(unit), Text: texts.Clean(text)}
	if p.Done, found = parseAmount(done); !found {
		return nil
	}
	if bounded {
		if p.Total, found = parseAmount(total); !found {
			return nil
		}
	}
	return p
}

// parseAmount reads a plain decimal number; NaN, infinities, hexadecimal and "_" are none.
func parseAmount(text string) (float64, bool) {
	if text == "" || strings.Trim(text, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && !math.IsInf(n, 0)
}

func parseSet(rest string) (key, value string, ok bool) {
	rest, found := strings.CutSuffix(strings.TrimRight(rest, " \t"), directiveEnd)
	if !found {
		return "", "", false
	}
	key, value, found = strings.Cut(rest, "=")
	if !found || !isKey(key) {
		return "", "", false
	}
	return key, value, true
}

func isKey(key string) bool {
	for i, r := range key {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || (r < '0' || r > '9') && r != '-') {
			return false
		}
	}
	return key != ""
}
