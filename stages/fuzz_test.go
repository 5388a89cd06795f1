package stages_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/problems"
	"github.com/stagehand-dev/stagehand/stages"
)

// FuzzLoad reads any text as a stack file: it ends soon, without a panic,
// with a consistent stack or with problems in their places.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../examples/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			t.Skip("longer than what the seeds grow to in useful ways")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		stack, err := stages.Load(ctx, compose.Options{Files: []string{"-"}, Stdin: text, Dir: dir, Environ: []string{"HOME=/nowhere"}})
		var problem *problems.Error
		switch {
		case ctx.Err() != nil:
			t.Fatal("takes for ever")
		case err == nil:
			consistent(t, "text", stack)
		case !errors.As(err, &problem):
			t.Fatalf("not a problem of the file: %v", err)
		}
	})
}

// TestAnyFile puts pieces together that each mean something, rightly or
// wrongly: what comes out is as for FuzzLoad.
func TestAnyFile(t *testing.T) {
	names := []string{"a", "b", "a-b", "c", "one-a", "haf", "none"}
	name := rapid.SampledFrom(names)
	condition := rapid.SampledFrom([]string{
		"{healthy: %s}", "{exit: %s}", "{tcp: \"%s:80\"}", "{http: \"http://${APP}-%s:${APP_PORT}/\"}", "{log: {service: %s, match: x}}",
		"{all: [{healthy: %s}, {exec: {service: a, command: \"${B_KEY}\"}}]}", "{any: []}", "healthy", "%s",
	})
	values := map[string]*rapid.Generator[string]{
		"each": rapid.SampledFrom([]string{"apps", "apps", "app", "[]"}), "where": rapid.SampledFrom([]string{"flag", "\"!flag\"", "port", "!flag", "x y"}),
		"order": rapid.SampledFrom([]string{"sequential", "parallel", "x"}), "max_parallel": rapid.SampledFrom([]string{"1", "3", "0", "${N}"}),
		"needs": rapid.SampledFrom([]string{"[]", "a", "b", "[a, b, haf]", "none", "{}"}), "per_app": rapid.SampledFrom([]string{"true", "false", "1", "x"}),
		"exclusive": rapid.SampledFrom([]string{"data", "root", "none", "[]"}), "timeout": rapid.SampledFrom([]string{"5s", "${T:-1m}", "${APP_PORT}", "5", "{}"}),
		"retries": rapid.SampledFrom([]string{"3", "{count: 2, backoff: 5m}", "{}", "-1", "[]"}), "on_failure": rapid.SampledFrom([]string{"stop", "skip_app", "continue", "x"}),
		"keep": rapid.SampledFrom([]string{"never", "always", "1h", "x"}), "finally": rapid.SampledFrom([]string{"true", "false"}),
	}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
		if rapid.IntRange(0, 4).Draw(t, "apps") > 0 {
			line("apps: {one: {port: 1, flag: true}, two: {port: %s}, a: {flag: no}}", rapid.SampledFrom([]string{"2", "${P}", "", "[]"}).Draw(t, "port"))
		}
		line("services:")
		for _, service := range names[:rapid.IntRange(1, 6).Draw(t, "services")] {
			line("  %s: {image: i, command: [%q]", service, rapid.SampledFrom([]string{"x", "${APP}", "${APP_PORT}", "${A_KEY}", "${APP_NONE:-}", "$$"}).Draw(t, "word"))
			for _, extra := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
				"volumes: [\"data:/data\"]", "depends_on: [a]", "depends_on: {b: {condition: service_healthy}}", "depends_on: {c: {condition: service_completed_successfully, required: false}}",
				"healthcheck: {test: [CMD, \"true\"]}", "healthcheck: {disable: true}", "profiles: [p]", "network_mode: \"service:a\"", "container_name: x", "extends: a", "restart: always",
			}), 0, 2, func(s string) string { return s[:4] }).Draw(t, "extras") {
				line("    , %s", extra)
			}
			line("    }")
		}
		line("volumes: {data: {}, root: {name: \"r-${APP}\"}}")
		if n := rapid.IntRange(0, 6).Draw(t, "stages"); n > 0 {
			line("stages:")
			for range n {
				line("  - {name: %s", name.Draw(t, "name"))
				switch verb := rapid.SampledFrom([]string{"run", "start", "await", "await", "call", "none"}).Draw(t, "verb"); verb {
				case "call":
					line("    , call: {http: {url: \"http://%s/${APP}\", body: \"${A_KEY}\"}}", name.Draw(t, "host"))
				default:
					value := rapid.OneOf(name, rapid.Map(name, func(s string) string { return "[a, " + s + "]" }), condition).Draw(t, "value")
					line("    , %s: %s", verb, strings.ReplaceAll(value, "%s", name.Draw(t, "service")))
				}
				for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(values))), 0, 4, rapid.ID).Draw(t, "keys") {
					line("    , %s: %s", key, values[key].Draw(t, key))
				}
				for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ready", "until", "proof"}), 0, 1, rapid.ID).Draw(t, "conditions") {
					line("    , %s: %s", key, strings.ReplaceAll(condition.Draw(t, key), "%s", name.Draw(t, "of")))
				}
				line("    }")
			}
		}
		stack, err := loadText([]byte(b.String()))
		var problem *problems.Error
		switch {
		case err == nil:
			consistent(t, "text", stack)
		case !errors.As(err, &problem):
			t.Fatalf("%v\n%s", err, b.String())
		default:
			for _, p := range problem.All() {
				if p.Line == 0 || p.Message == "" || strings.Contains(p.Message, "%!") || strings.Contains(p.Expected, "%!") {
					t.Fatalf("%+v\n%s", p, b.String())
				}
			}
		}
		if again, second := loadText([]byte(b.String())); fmt.Sprint(second) != fmt.Sprint(err) || err == nil && dump(again) != dump(stack) {
			t.Fatalf("two readings differ:\n%v\n%v\n%s", err, second, b.String())
		}
	})
}
