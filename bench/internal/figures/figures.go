// Package figures is what a benchmark measured: pure data, with the few
// statistics that are told of it.
package figures

import (
	"math"
	"slices"
	"time"
)

// Report is one run of the benchmark.
type Report struct {
	Began time.Time `json:"began"`
	// Elapsed is how long it took, in nanoseconds.
	Elapsed time.Duration `json:"elapsed"`
	// Command is what was typed.
	Command string `json:"command"`
	// Repetitions of each work that does not have its own number of them.
	Repetitions int     `json:"repetitions"`
	Machine     Machine `json:"machine"`
	Works       []Work  `json:"works"`
}

// Machine is what was measured on. Versions are as the programs tell them; ""
// where there was none.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	// Memory in bytes.
	Memory    int64  `json:"memory"`
	Kernel    string `json:"kernel"`
	Engine    string `json:"engine"`
	Storage   string `json:"storage"`
	Compose   string `json:"compose"`
	Compose5  string `json:"compose5,omitempty"`
	Stagehand string `json:"stagehand"`
	Go        string `json:"go"`
	// LoadBefore and LoadAfter are the load averages of the last minute at the
	// beginning and at the end; the benchmark itself is in the latter.
	LoadBefore float64 `json:"load_before"`
	LoadAfter  float64 `json:"load_after"`
}

// Work is one thing that was done by several parties in turn.
type Work struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	Series []Series `json:"series,omitempty"`
	Claims []Claim  `json:"claims,omitempty"`
	// Errors are what parties failed with; they have no samples from then on.
	Errors []string `json:"errors,omitempty"`
}

// Series is what one party did, repetition by repetition.
type Series struct {
	Party   string    `json:"party"`
	Metric  string    `json:"metric"`
	Unit    string    `json:"unit"`
	Samples []float64 `json:"samples"`
}

// Statistic is what is told of a series.
type Statistic string

// The statistics.
const (
	Median  Statistic = "median"
	Maximum Statistic = "maximum"
	P99     Statistic = "p99"
)

// Claim is a bound that a work is held to: of Ours alone where Theirs is "",
// in the series' unit, else of Ours divided by Theirs.
type Claim struct {
	Title  string `json:"title"`
	Metric string `json:"metric"`
	Ours   string `json:"ours"`
	Theirs string `json:"theirs,omitempty"`
	// Also is a further party to be told of, not bound.
	Also string `json:"also,omitempty"`
	// Statistic of the series; "" is Median.
	Statistic Statistic `json:"statistic,omitempty"`
	// AtMost is the bound; 0 where none was promised, and the figure is just told.
	AtMost float64 `json:"at_most,omitempty"`
	// Reach is what to reach for; 0 where nothing is said.
	Reach float64 `json:"reach,omitempty"`
}

// Value is what was measured for a claim.
type Value struct {
	Ours, Theirs Summary // Theirs is zero where the claim has none
	Unit         string
	// Claimed is what the bound is on: a ratio of two medians, or a statistic.
	Claimed float64
	// Low and High of Claimed: of the ratios of each repetition, since its
	// parties worked one after another, or of the samples.
	Low, High float64
}

// Met tells whether the claim holds.
func (v Value) Met(c Claim) bool { return v.Claimed <= c.AtMost }

// Of finds the series of a party; nil where it has none.
func (w Work) Of(party, metric string) *Series {
	for i, s := range w.Series {
		if s.Party == party && s.Metric == metric && len(s.Samples) > 0 {
			return &w.Series[i]
		}
	}
	return nil
}

// Value is what was measured for a claim; ok is false where something that it
// needs was not.
func (w Work) Value(c Claim) (v Value, ok bool) {
	ours := w.Of(c.Ours, c.Metric)
	if ours == nil {
		return Value{}, false
	}
	v = Value{Ours: Summarise(ours.Samples), Unit: ours.Unit}
	if c.Theirs == "" {
		v.Claimed, v.Low, v.High = v.Ours.of(c.Statistic), v.Ours.Low, v.Ours.High
		return v, true
	}
	theirs := w.Of(c.Theirs, c.Metric)
	if theirs == nil {
		return Value{}, false
	}
	v.Theirs = Summarise(theirs.Samples)
	v.Claimed = v.Ours.of(c.Statistic) / v.Theirs.of(c.Statistic)
	v.Low, v.High = math.Inf(1), math.Inf(-1)
	for i := range min(len(ours.Samples), len(theirs.Samples)) {
		ratio := ours.Samples[i] / theirs.Samples[i]
		v.Low, v.High = min(v.Low, ratio), max(v.High, ratio)
	}
	return v, true
}

// Summary of samples, in their unit.
type Summary struct {
	N                      int
	Median, P99, Low, High float64
}

func (s Summary) of(statistic Statistic) float64 {
	switch statistic {
	case P99:
		return s.P99
	case Maximum:
		return s.High
	}
	return s.Median
}

// Summarise sums samples up; none give the zero Summary.
func Summarise(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(slices.Values(samples))
	return Summary{
		N: len(sorted), Median: quantile(sorted, 0.5), P99: rank(sorted, 0.99), Low: sorted[0], High: sorted[len(sorted)-1],
	}
}

// quantile interpolates between the two nearest samples.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(math.Floor(at))
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// rank is the smallest sample that at least the share q of all does not
// exceed: a percentile that was really measured.
func rank(sorted []float64, q float64) float64 {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
