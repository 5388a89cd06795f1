package containers

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxLabel is the longest DNS label. Source: RFC 1035, section 2.3.4.
const maxLabel = 63

// Name joins the parts with "-" into a DNS label: lower case letters, digits
// and "-", beginning and ending with a letter or digit, of at most 63
// characters. Parts that had to be changed or shortened to fit end in eight
// digits of a hash of the original, so that different parts stay different. The underscore is
// the exception: Compose's names carry it, engines take it, and it is kept
// where it stands inside.
func Name(parts ...string) string {
	joined := strings.Join(parts, "-")
	var b strings.Builder
	for _, r := range joined {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			b.WriteRune(r)
		case r >= 'A' && r <= 'Z':
			b.WriteRune(r + 'a' - 'A')
		default:
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-_")
	if name == joined && len(name) <= maxLabel {
		return name
	}
	sum := sha256.Sum256([]byte(joined))
	tail := hex.EncodeToString(sum[:4])
	if name == "" {
		return "x-" + tail
	}
	if limit := maxLabel - 1 - len(tail); len(name) > limit {
		name = strings.TrimRight(name[:limit], "-_")
	}
	return name + "-" + tail
}
