package secrets_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stagehand-dev/stagehand/secrets"
)

func TestNamed(t *testing.T) {
	for name, want := range map[string]bool{
		"PASSWORD": true, "DB_PASSWORD": true, "PGPASSWORD": true, "POSTGRES_PASSWORD": true, "MYSQL_PWD": true, "dbPassword": true, "db-pass": true,
		"SECRET": true, "AWS_SECRET_ACCESS_KEY": true, "API_KEY": true, "apiKey": true, "KEY": true, "TOKEN": true, "GITHUB_TOKEN": true, "NPM_TOKEN": true,
		"--auth-token": true, "REDIS_AUTH": true, "Authorization": true, "CREDENTIALS": true, "SSH_PRIVATE_KEY": true, "secret_key_base": true,
		"PWD": false, "PATH": false, "DB_PASSWORD_FILE": false, "TOKEN_URL": false, "SECRET_NAME": false, "POSTGRES_HOST_AUTH_METHOD": false, "COMPASS": false,
		"MAX_TOKENS": false, "KEYCLOAK_HOST": false, "key": false, "KEYS": false, "MONKEY": false, "USER": false, "": false, "AUTHOR": false, "BYPASS": false, "PASSWORD_LENGTH": false,
	} {
		if secrets.Named(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestText(t *testing.T) {
	var m secrets.Masker
	m.Add("hunter2-long", "a\"b<c", "first line of it\nsecond line of it\n", "abc", "12345", "password", "123456", "demo")
	m.Spare("demo/haf")
	m.Pair("Authorization", "Bearer bearer-value")
	m.Pair("URL", "postgres://me:p%40ss-in-url@db/x")
	m.Learn("--password", "flag-value")
	m.Learn("sh", "-c", "PGPASSWORD='assigned-value' psql")
	for text, want := range map[string]string{
		"":                           "",
		"nothing":                    "nothing",
		"is hunter2-long, see":       "is ***, see",
		"hunter2-longhunter2-long":   "******",
		`go "a\"b<c"`:                `go "***"`,
		`json a\"b\u003cc`:           `json ***`,
		"query a%22b%3Cc":            "query ***",
		"the second line of it here": "the *** here",
		"abc 12345 password demo":    "abc 12345 password demo", // nothing that can be looked for
		"number 123456":              "number ***",
		"bearer-value":               "***",
		"p@ss-in-url p%40ss-in-url":  "*** ***",
		"flag-value assigned-value":  "*** ***",
		"http://u:never-told@h/ and https://v:either@h": "http://u:***@h/ and https://v:***@h",
		"http://h:80/a@b":              "http://h:80/a@b",
		"::set token=never told::":     "::set token=***::",
		"::set port=80::":              "::set port=80::",
		"cut in the middle: hunter2-…": "cut in the middle: …",
		"…2-long and hunter2-l…, more": "… and …, more",
		"the end hunter…":              "the end …",
		"not cut hunter":               "not cut hunter",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	var none *secrets.Masker
	if got := none.Text("x://u:p@h hunter2-long"); got != "x://u:***@h hunter2-long" {
		t.Error(got)
	}
	if got := m.Each("x hunter2-long", func(s string) string { return fmt.Sprint(len(s)) }); got != "x 12" {
		t.Error(got)
	}
}

func TestSource(t *testing.T) {
	for line, want := range map[string]string{
		`      POSTGRES_PASSWORD: hunter2 # why`:        `      POSTGRES_PASSWORD: ******* # why`,
		`      POSTGRES_PASSWORD: ${PASSWORD}`:          `      POSTGRES_PASSWORD: ${PASSWORD}`,
		`  - "TOKEN=abcdef"`:                            `  - "TOKEN=******"`,
		`  db: {image: x, environment: {API_KEY: abc}}`: `  db: {image: x, environment: {API_KEY: ***}}`,
		`  url: postgres://me:secret@db/x`:              `  url: postgres://me:******@db/x`,
		`    secrets: [db_password]`:                    `    secrets: [db_password]`,
		`  image: x`:                                    `  image: x`,
	} {
		if got := secrets.Source(line); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// TestReader: lines that come in parts are looked at as a whole, and nothing else of them changes.
func TestReader(t *testing.T) {
	var m secrets.Masker
	m.Add("hunter2-long")
	text := strings.Repeat("a line with hunter2-long in it\r\n", 3) + "no end hunter2-long"
	r, w := io.Pipe()
	var group sync.WaitGroup
	group.Go(func() {
		for _, b := range []byte(text) {
			if _, err := w.Write([]byte{b}); err != nil {
				t.Error(err)
			}
		}
		w.Close()
	})
	got, err := io.ReadAll(m.Reader(r))
	group.Wait()
	if want := strings.ReplaceAll(text, "hunter2-long", "***"); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "ledger.db.key")
	var group sync.WaitGroup
	sealed := make([]string, 8)
	for i := range sealed { // that make the file together
		group.Go(func() {
			var err error
			if sealed[i], err = secrets.KeyAt(path).Seal("hunter2"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, text := range sealed {
		if plain, err := secrets.KeyAt(path).Open(text); plain != "hunter2" || err != nil || !secrets.Sealed(text) || strings.Contains(text, "hunter2") {
			t.Errorf("%q: %q, %v", text, plain, err)
		}
	}
	if sealed[0] == sealed[1] {
		t.Error("one text is sealed in one way")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	var none *secrets.Key
	gone, err := none.Seal("hunter2")
	if err != nil || !secrets.Sealed(gone) || strings.Contains(gone, "hunter2") {
		t.Errorf("%q, %v", gone, err)
	}
	for name, open := range map[string]func() (string, error){
		"another key":  func() (string, error) { return secrets.NewKey().Open(sealed[0]) },
		"no key":       func() (string, error) { return none.Open(sealed[0]) },
		"no file":      func() (string, error) { return secrets.KeyAt(path + ".no").Open(sealed[0]) },
		"never sealed": func() (string, error) { return secrets.KeyAt(path).Open(gone) },
		"damaged": func() (string, error) {
			return secrets.KeyAt(path).Open(sealed[0][:20] + "A" + sealed[0][21:] + "AAAA")
		},
	} {
		if plain, err := open(); plain != "" || !errors.Is(err, secrets.ErrSealed) {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	if plain, err := none.Open("as it is"); plain != "as it is" || err != nil {
		t.Errorf("%q, %v", plain, err)
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.KeyAt(path).Open(sealed[0]); err == nil || errors.Is(err, secrets.ErrSealed) {
		t.Error(err)
	}
}
