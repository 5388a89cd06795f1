package text

import (
	"cmp"
	"strings"
)

// Compare orders names as people do: web/2 before web/10.
func Compare(a, b string) int {
	for a != "" && b != "" {
		aWord, aNumber, aRest := cut(a)
		bWord, bNumber, bRest := cut(b)
		// A number is as large as it is long, its leading zeros apart.
		x, y := strings.TrimLeft(aNumber, "0"), strings.TrimLeft(bNumber, "0")
		if c := cmp.Or(cmp.Compare(aWord, bWord), cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(len(aNumber), len(bNumber))); c != 0 {
			return c
		}
		a, b = aRest, bRest
	}
	return cmp.Compare(len(a), len(b))
}

// cut splits text behind its first number: what is before that, its digits, the rest.
func cut(text string) (word, number, rest string) {
	isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
	begin := strings.IndexFunc(text, isDigit)
	if begin < 0 {
		return text, "", ""
	}
	word, rest = text[:begin], text[begin:]
	number = rest[:len(rest)-len(strings.TrimLeftFunc(rest, isDigit))]
	return word, number, rest[len(number):]
}
