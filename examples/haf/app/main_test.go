package main

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestUsage(t *testing.T) {
	env := func(app string) func(string) string { return func(string) string { return app } }
	for _, c := range []struct {
		args []string
		app  string
		code int
		says string
	}{
		{nil, "hivemind", 2, "no command"},
		{[]string{"dance"}, "hivemind", 2, `no command "dance"`},
		{[]string{"sync", "--wrong"}, "hivemind", 2, "-wrong"},
		{[]string{"install"}, "hivemind", 2, "folder"},
		{[]string{"sync"}, "hivemnd", 1, `"hivemnd"`},
	} {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), c.args, env(c.app), &out, &errs); code != c.code || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%q: %d, %q; want %d and %q", c.args, code, errs.String(), c.code, c.says)
		}
	}
}

// Each app has what its image is made of.
func TestAppsHaveTheirFiles(t *testing.T) {
	for _, app := range apps {
		conf, err := os.ReadFile(filepath.Join("../apps", app.Name, "app.conf"))
		if err != nil || string(conf) != "APP="+app.Name+"\n" {
			t.Errorf("%s: app.conf is %q, %v", app.Name, conf, err)
		}
		schema, err := os.ReadFile(filepath.Join("../apps", app.Name, "schema.sql"))
		if err != nil || !strings.Contains(string(schema), "FUNCTION "+app.Schema+".process_blocks(") {
			t.Errorf("%s: schema.sql has no %s.process_blocks: %v", app.Name, app.Schema, err)
		}
		for _, e := range app.Endpoints {
			if n := len(e.Params()); strings.Contains(e.Query, "$1") != (n > 0) || strings.Contains(e.Query, "$2") != (n > 1) {
				t.Errorf("%s: %s has %d wildcards, its query others", app.Name, e.Path, n)
			}
		}
	}
}

func TestInstallReplacesWhatWasThere(t *testing.T) {
	from, into := filepath.Join(t.TempDir(), "scripts"), t.TempDir()
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(from, "setup_db.sh"), "new", 0o755)
	write(filepath.Join(into, "scripts", "gone.sh"), "old", 0o755)
	write(filepath.Join(into, "scripts.new", "half.sh"), "left by a kill", 0o755)
	for range 2 {
		if err := install(from, into, logger{&bytes.Buffer{}}); err != nil {
			t.Fatal(err)
		}
		var names []string
		err := filepath.WalkDir(into, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, path)
			}
			return err
		})
		if err != nil || !slices.Equal(names, []string{filepath.Join(into, "scripts", "setup_db.sh")}) {
			t.Fatalf("installed %q, %v", names, err)
		}
		if info, err := os.Stat(names[0]); err != nil || info.Mode().Perm() != 0o755 {
			t.Fatalf("mode %v, %v", info.Mode(), err)
		}
	}
}

func TestWhichErrorsPass(t *testing.T) {
	for code, want := range map[string]bool{"40P01": true, "57P01": true, "53300": true, "42883": false, "P0001": false, "23505": false} {
		if got := passing(&pgconn.PgError{Code: code}); got != want {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
	}
	if !passing(errors.New("connection refused")) {
		t.Error("a lost connection does not pass")
	}
}

func TestAPIWithoutDatabase(t *testing.T) {
	app := apps[0]
	api := handler(app, "postgres://nobody@127.0.0.1:1/none", logger{&bytes.Buffer{}})
	for path, want := range map[string]int{"/": 200, "/health": 503, "/status": 503, "/posts": 503, "/nothing": 404} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}
