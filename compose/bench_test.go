package compose

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/problems"
)

// hundred is a stack of 100 services, five of which are templates of apps.
func hundred(tb testing.TB) *Source {
	tb.Helper()
	var text strings.Builder
	text.WriteString("name: big\nstages: []\nservices:\n")
	for i := range 95 {
		fmt.Fprintf(&text, `  s%d:
    image: demo/image:${TAG:-1}
    command: [serve, --port, "%d"]
    environment: {A: "1", B: "${TAG:-2}", C: c}
    volumes: ["data:/data", "./config:/etc/config:ro"]
    ports: ["%d:80"]
    healthcheck: {test: [CMD, "true"], interval: 5s, retries: 3}
    depends_on: {s%d: {condition: service_started}}
    networks: [front]
    deploy: {resources: {limits: {cpus: "0.5", memory: 64m}}}
`, i, i, 10000+i, i+1)
	}
	for i := range 5 {
		fmt.Fprintf(&text, "  t%d: {image: \"${APP_IMAGE}\", command: [sync, \"${APP}\"], ports: [\"${APP_PORT}:80\"], depends_on: [s%d]}\n", i, i)
	}
	text.WriteString("volumes: {data: }\nnetworks: {front: }\n")
	body := strings.ReplaceAll(text.String(), "depends_on: {s95: {condition: service_started}}", "")
	path := filepath.Join(tb.TempDir(), "stagehand.yaml")
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		tb.Fatal(err)
	}
	var list problems.List
	s := Open(Options{Files: []string{path}, Environ: []string{"HOME=/"}}, &list)
	if s == nil || list.Err() != nil {
		tb.Fatal(list.Render())
	}
	return s
}

func app(i int) func(string) (string, bool) {
	values := map[string]string{"APP": fmt.Sprintf("app%d", i), "APP_IMAGE": "demo/app", "APP_PORT": fmt.Sprint(9000 + i)}
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

// BenchmarkLoad is one app of a hundred-service file, all of it and only the
// app's templates. On a busy machine of 2 cores: 145 ms and 4 ms, nearly all
// of it compose-go's own.
func BenchmarkLoad(b *testing.B) {
	for name, only := range map[string]func(string) bool{
		"all": nil, "templates": func(s string) bool { return strings.HasPrefix(s, "t") },
	} {
		b.Run(name, func(b *testing.B) {
			s := hundred(b)
			for i := range b.N {
				var list problems.List
				if s.Load(b.Context(), app(i), only, &list) == nil {
					b.Fatal(list.Render())
				}
			}
		})
	}
}
