// Package secrets knows what must not be shown: by its name (a variable
// PGPASSWORD), by its place (the password in a URL), or, once it is known, by its
// value wherever that stands. What is kept for later all the same it seals.
package secrets

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Hidden stands where a secret stood.
const Hidden = "***"

// Named tells whether a variable, flag, key or header of that name holds a secret: DB_PASSWORD,
// apiKey, --auth-token, Authorization. One that says where the secret is, or what it is like
// (DB_PASSWORD_FILE, TOKEN_URL, AUTH_METHOD), holds none.
func Named(name string) bool {
	all := words(name)
	if len(all) == 0 || slices.Contains(about, all[len(all)-1]) {
		return false
	}
	for i, word := range all {
		switch {
		case slices.Contains(whole, word), word == "pwd" && len(all) > 1: // PWD is a folder
			return true
		case i == len(all)-1 && (word == "key" || word == "keys" || word == "auth"):
			return len(all) > 1 || name == "KEY"
		}
		for _, end := range ends {
			if strings.HasSuffix(word, end) {
				return true
			}
		}
	}
	return false
}

var (
	whole = []string{"pass", "secrets", "passwords", "authorization", "credentials", "apikey", "privatekey"}
	ends  = []string{"password", "passwd", "passphrase", "secret", "token", "credential"}
	// about are the last words of names that tell something about a secret.
	about = []string{"file", "files", "path", "dir", "folder", "url", "uri", "host", "port", "name", "id", "user", "username", "method", "type", "mode", "ttl", "expiry", "timeout", "length", "size", "algorithm", "issuer", "count", "version", "enabled", "required"}
)

// words of a name, in small letters: DB_PASSWORD, db-password and dbPassword have two.
func words(name string) []string {
	var all []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			all = append(all, strings.ToLower(string(word)))
		}
		word = nil
	}
	small := false
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end()
			small = false
			continue
		}
		if unicode.IsUpper(r) && small {
			end()
		}
		small = unicode.IsLower(r)
		word = append(word, r)
	}
	end()
	return all
}

var (
	// userinfo is the password in a URL. It may hold anything that does not end the URL's authority.
	userinfo = regexp.MustCompile(`(://[^/\s:@"'?#]*:)([^/\s"'?#]+)(@)`)
	// assignment is a value behind a name that says what it is: password=x, "token": "x", Authorization: Bearer x.
	assignment = regexp.MustCompile(`(?i)((?:pass|passwd|password|passphrase|pwd|secret|token|credentials?|(?:api|access|private|secret)[-_]?key|auth|authorization|bearer)[a-z0-9]*["']?\s*[=: ]\s*(?:bearer\s+|basic\s+)?)([^\s&;]+)()`)
	secretFlag = regexp.MustCompile(`(?i)^-.*(pass|pwd|secret|token|credential|key|auth)[a-z0-9-]*$`)
	// handed is what a helper prints to hand a value on: see waiters.ParseLine.
	handed = regexp.MustCompile(`(::set )([A-Za-z_][A-Za-z0-9_.-]*)(=)(.*)(::)`)
	// written is a secret where it is written down in YAML or in an .env file.
	written = regexp.MustCompile(`(["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?\s*[=:]\s*["']?)([^\s"',{}\[\]][^\s"',}\]]*)`)
)

// Words replaces what looks like a secret in the words of a command line, by place, with what hide makes of it.
func Words(all []string, hide func(secret string) string) []string {
	out := make([]string, len(all))
	for i, word := range all {
		if i > 0 && secretFlag.MatchString(all[i-1]) && !strings.HasPrefix(word, "-") {
			out[i] = hide(word)
			continue
		}
		out[i] = word
		for _, place := range []*regexp.Regexp{userinfo, assignment} {
			out[i] = place.ReplaceAllStringFunc(out[i], func(found string) string {
				m := place.FindStringSubmatch(found)
				return m[1] + hide(m[2]) + m[3]
			})
		}
	}
	return out
}

// Source hides secrets in one line of a user's file, and keeps its width: what points at a column still does.
func Source(line string) string {
	stars := func(secret string) string { return strings.Repeat("*", len([]rune(secret))) }
	line = written.ReplaceAllStringFunc(line, func(found string) string {
		m := written.FindStringSubmatch(found)
		if !Named(m[2]) || strings.HasPrefix(m[3], "$") || strings.ContainsAny(m[3][:1], "&*|>") {
			return found
		}
		return m[1] + stars(m[3])
	})
	return userinfo.ReplaceAllStringFunc(line, func(found string) string {
		m := userinfo.FindStringSubmatch(found)
		if strings.HasPrefix(m[2], "$") {
			return found
		}
		return m[1] + stars(m[2]) + m[3]
	})
}
