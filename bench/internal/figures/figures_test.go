package figures

import (
	"math"
	"testing"
)

func TestSummarise(t *testing.T) {
	hundred := make([]float64, 200)
	for i := range hundred {
		hundred[i] = float64(200 - i) // 200 down to 1
	}
	for _, test := range []struct {
		name    string
		samples []float64
		want    Summary
	}{
		{"none", nil, Summary{}},
		{"one", []float64{3}, Summary{1, 3, 3, 3, 3}},
		{"odd", []float64{9, 1, 5}, Summary{3, 5, 9, 1, 9}},
		{"even", []float64{4, 1, 2, 3}, Summary{4, 2.5, 4, 1, 4}},
		{"p99 is a sample", hundred, Summary{200, 100.5, 198, 1, 200}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Summarise(test.samples); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestSummariseLeavesItsArgumentAlone(t *testing.T) {
	samples := []float64{3, 1, 2}
	Summarise(samples)
	if samples[0] != 3 {
		t.Errorf("sorted in place: %v", samples)
	}
}

func TestValue(t *testing.T) {
	w := Work{Series: []Series{
		{Party: "a", Metric: "time", Unit: "s", Samples: []float64{1, 2, 3}},
		{Party: "b", Metric: "time", Unit: "s", Samples: []float64{4, 4, 4}},
		{Party: "failed", Metric: "time", Unit: "s"},
	}}
	for _, test := range []struct {
		name              string
		claim             Claim
		ok, met           bool
		claimed, low, top float64
	}{
		{"a ratio of medians, its range that of the repetitions", Claim{Metric: "time", Ours: "a", Theirs: "b", AtMost: 0.5}, true, true, 0.5, 0.25, 0.75},
		{"missed", Claim{Metric: "time", Ours: "a", Theirs: "b", AtMost: 0.49}, true, false, 0.5, 0.25, 0.75},
		{"alone", Claim{Metric: "time", Ours: "a", AtMost: 2}, true, true, 2, 1, 3},
		{"the maximum", Claim{Metric: "time", Ours: "a", Statistic: Maximum, AtMost: 2}, true, false, 3, 1, 3},
		{"a party that failed", Claim{Metric: "time", Ours: "a", Theirs: "failed", AtMost: 2}, false, false, 0, 0, 0},
		{"no such metric", Claim{Metric: "memory", Ours: "a", AtMost: 2}, false, false, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, ok := w.Value(test.claim)
			if ok != test.ok || v.Claimed != test.claimed || v.Low != test.low || v.High != test.top || ok && v.Met(test.claim) != test.met {
				t.Errorf("got %+v, %v", v, ok)
			}
			if math.IsNaN(v.Claimed) {
				t.Error("not a number")
			}
		})
	}
}
