package report

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/bench/internal/figures"
)

var update = flag.Bool("update", false, "write the golden files")

// example has a claim that is met, one that is missed, one that is far off, one
// without a party beside it, and one that failed.
var example = figures.Report{
	Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Elapsed: 90 * time.Second, Command: "bench -n 3", Repetitions: 3,
	Machine: figures.Machine{Processor: "Example <1>", Cores: 2, Memory: 8 << 30, Kernel: "6.1", Engine: "20.10.24", Storage: "overlay2", Compose: "2.40.3", Stagehand: "abc1234", Go: "go1.26", LoadBefore: 0.5, LoadAfter: 2},
	Works: []figures.Work{
		{
			Name: "fast", Title: "a fast `up`",
			Series: []figures.Series{
				{Party: "stagehand", Metric: "memory", Unit: "MiB", Samples: []float64{60, 61, 62}},
				{Party: "stagehand", Metric: "time", Unit: "s", Samples: []float64{2, 2.5, 3}},
				{Party: "docker compose", Metric: "time", Unit: "s", Samples: []float64{5, 5, 5}},
				{Party: "docker compose v5", Metric: "time", Unit: "s", Samples: []float64{4, 4, 4}},
			},
			Claims: []figures.Claim{
				{Title: "a fast `up`", Metric: "time", Ours: "stagehand", Theirs: "docker compose", Also: "docker compose v5", AtMost: 0.55, Reach: 0.45},
				{Title: "a fast `up`: against another", Metric: "time", Ours: "stagehand", Theirs: "docker compose v5"},
			},
		},
		{
			Name: "slow", Title: "helpers & more",
			Series: []figures.Series{
				{Party: "stagehand", Metric: "time", Unit: "s", Samples: []float64{30, 31, 32}},
				{Party: "bare API", Metric: "time", Unit: "s", Samples: []float64{10, 10, 10}},
			},
			Claims: []figures.Claim{{Title: "helpers & more", Metric: "time", Ours: "stagehand", Theirs: "bare API", AtMost: 1.05, Reach: 1}},
		},
		{
			Name: "lag", Title: "lag",
			Series: []figures.Series{{Party: "http", Metric: "lag", Unit: "ms", Samples: []float64{1, 12, 28.25}}},
			Claims: []figures.Claim{{Title: "lag, 99th percentile", Metric: "lag", Ours: "http", Statistic: figures.P99, AtMost: 30, Reach: 15}},
		},
		{
			Name: "broken", Title: "broken", Errors: []string{"docker compose: exit status 1\nno such image\n"},
			Claims: []figures.Claim{{Title: "broken", Metric: "time", Ours: "stagehand", Theirs: "docker compose", AtMost: 0.5}},
		},
	},
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not %s (-update writes it):\n%s", file, got)
	}
}

func TestMarkdown(t *testing.T) { golden(t, "testdata/example.md", Markdown(example)) }

func TestSVG(t *testing.T) {
	got := SVG(example)
	golden(t, "testdata/example.svg", got)
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
}

// TestNothingMeasured: neither view needs anything to be there.
func TestNothingMeasured(t *testing.T) {
	if text := Markdown(figures.Report{}) + SVG(figures.Report{}); strings.Contains(text, "NaN") {
		t.Error(text)
	}
}

func TestInsert(t *testing.T) {
	document := "before\n" + Begin + "\nold\n" + End + "\nafter\n"
	want := "before\n" + Begin + "\n\nnew\n\n" + End + "\nafter\n"
	got, err := Insert(document, "new\n")
	if err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if again, err := Insert(got, "new"); err != nil || again != want {
		t.Errorf("a second time: %q, %v", again, err)
	}
	for _, broken := range []string{"", Begin + "\n", End + "\n" + Begin + "\n", Begin + "\n" + End + "\n" + Begin + "\n"} {
		if _, err := Insert(broken, "new"); !errors.Is(err, ErrMarkers) {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

func TestAmount(t *testing.T) {
	for _, test := range []struct {
		x    float64
		unit string
		want string
	}{
		{0, "s", "0 s"}, {0.0301, "s", "0.0301 s"}, {0.000012, "s", "0.0000 s"}, {0.5, "s", "0.500 s"}, {2.6149, "s", "2.61 s"}, {17.52, "s", "17.5 s"}, {84.4, "MiB", "84.4 MiB"},
		{212.4, "ms", "212 ms"}, {12345, "", "12345"}, {1, "", "1.00"},
	} {
		if got := Amount(test.x, test.unit); got != test.want {
			t.Errorf("%v %s: %q, want %q", test.x, test.unit, got, test.want)
		}
	}
}
