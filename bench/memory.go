//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/stagehand-dev/stagehand/bench/internal/figures"
	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger"
	"github.com/stagehand-dev/stagehand/plan"
	"github.com/stagehand-dev/stagehand/runner"
	"github.com/stagehand-dev/stagehand/stages"
)

// memoryCommand has this program do a run on the memory engine, in a process of
// its own whose memory can be read: memory-run|memory-replay STEPS LEDGER.
const memoryCommand = "on-memory"

// memorySizes are numbers of steps.
var memorySizes = []int{10, 100, 1000, 10000}

func steps(n int) string { return fmt.Sprintf("%d steps", n) }

// memoryWork measures stagehand by itself: how it grows with the number of steps.
func (b *bench) memoryWork() work {
	const title = "plan and replay on the memory engine"
	least, most := steps(memorySizes[len(memorySizes)-2]), steps(memorySizes[len(memorySizes)-1])
	w := work{
		name: "memory", title: title, repetitions: 3,
		units: map[string]string{
			"plan": second, "replay": second, "plan and replay: a step": micro, "plan and replay: allocations a step": number, "plan and replay: peak": mebi,
			"run": second, "run: allocations a step": number, "run: peak": mebi,
		},
		claims: []figures.Claim{
			{Title: "plan and replay of 10,000 steps on the memory engine: peak memory", Metric: "plan and replay: peak", Ours: most, Statistic: figures.Maximum, AtMost: 150},
			{Title: "the same: time a step, against 1,000 steps (linear is 1)", Metric: "plan and replay: a step", Ours: most, Theirs: least, AtMost: 1.25},
			{Title: "the same: allocations a step, against 1,000 steps", Metric: "plan and replay: allocations a step", Ours: most, Theirs: least, AtMost: 1.25},
			{Title: "a first run of 10,000 steps on it: allocations a step, against 1,000 steps", Metric: "run: allocations a step", Ours: most, Theirs: least, AtMost: 1.25},
		},
	}
	for _, n := range memorySizes {
		w.parties = append(w.parties, party{steps(n), func(ctx context.Context) (measurement, error) { return b.onMemory(ctx, n) }})
	}
	return w
}

// onMemory does a first run in one process and the replay of it in another.
func (b *bench) onMemory(ctx context.Context, n int) (measurement, error) {
	address := b.newLedger()
	m := measurement{}
	for _, phase := range []string{phaseRun, phaseReplay} {
		var took taken
		r, err := itself(ctx, &took, memoryCommand, phase, strconv.Itoa(n), address)
		if err != nil {
			return nil, err
		}
		each := func(x float64) []float64 { return []float64{x / float64(n)} }
		if phase == phaseRun {
			m["run"], m["run: allocations a step"] = []float64{took.Up}, each(float64(took.Allocations))
			m.peak("run: peak", r)
			continue
		}
		m["plan"], m["replay"] = []float64{took.Plan}, []float64{took.Up}
		m["plan and replay: a step"], m["plan and replay: allocations a step"] = each(1e6*(took.Plan+took.Up)), each(float64(took.Allocations))
		m.peak("plan and replay: peak", r)
	}
	return m, nil
}

// newLedger is where a ledger may be that nobody has written to.
func (b *bench) newLedger() string {
	b.projects++
	return filepath.Join(b.dir, fmt.Sprintf("memory%d.db", b.projects))
}

// itself has this program do something in a process of its own, and reads its answer.
func itself(ctx context.Context, answer any, args ...string) (reading, error) {
	self, err := os.Executable()
	if err != nil {
		return reading{}, err
	}
	r, err := timed(ctx, self, args...)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(r.stdout, answer); err != nil {
		return r, fmt.Errorf("%v: %w", args, err)
	}
	return r, nil
}

// answered writes what such a process has to tell, and returns its exit code.
func answered(answer any, err error, stdout, stderr io.Writer) int {
	if err == nil {
		err = json.NewEncoder(stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return 0
}

const (
	phaseRun    = "run"    // from nothing
	phaseReplay = "replay" // everything is recorded
)

// taken is what a phase took: seconds, and the number of allocations of both.
type taken struct {
	Plan, Up    float64
	Allocations uint64
}

func memoryMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	took, err := onMemoryEngine(ctx, args)
	return answered(took, err, stdout, stderr)
}

func onMemoryEngine(ctx context.Context, args []string) (took taken, err error) {
	if len(args) != 3 {
		return taken{}, fmt.Errorf("%s: want PHASE STEPS LEDGER", memoryCommand)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return taken{}, err
	}
	stack := manySteps(n)
	engine := memory.New(memory.Options{Images: map[string]memory.Program{
		image: func(context.Context, *memory.Process) int { return 0 },
	}})
	defer engine.Halt()
	book, err := ledger.Open(ctx, args[2])
	if err != nil {
		return taken{}, err
	}
	defer func() { err = errors.Join(err, book.Close()) }()

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	p := plan.Make(stack, plan.Facts{}, began)
	took.Plan = time.Since(began).Seconds()
	if len(p.Steps) != n {
		return taken{}, fmt.Errorf("the plan has %d steps, and it should be %d", len(p.Steps), n)
	}
	began = time.Now()
	result, err := runner.Up(ctx, stack, runner.Options{Engine: engine, Sink: &ledger.News{To: book}, Ledger: book, Run: args[0]})
	took.Up = time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	took.Allocations = after.Mallocs - before.Mallocs
	switch {
	case err != nil:
		return taken{}, err
	case result.Verdict != events.VerdictDone:
		return taken{}, fmt.Errorf("the run ended %s: %v", result.Verdict, result.Failures)
	case args[0] == phaseReplay && result.Plan.Counts()[string(plan.Skip)] != n:
		return taken{}, fmt.Errorf("not everything was recorded: %v", result.Plan.Counts())
	}
	return took, nil
}

// manySteps is a stack of helpers, ten a stage.
func manySteps(n int) *stages.Stack {
	const each = 10
	labels := map[string]string{containers.LabelStack: "many"}
	s := &stages.Stack{
		Name: "many", OnFailure: stages.KeepUp, Services: map[string]stages.Service{},
		Networks: []containers.Network{{Name: "many_default", Labels: labels}}, DefaultNetwork: "many_default",
	}
	for i := range n {
		name := fmt.Sprintf("helper%05d", i)
		s.Services[name] = stages.Service{Name: name, Template: name, Spec: containers.Spec{
			Name: containers.Name(s.Name, name, "1"), Image: image, Command: []string{"print", strconv.Itoa(i)},
			Env:      []string{"MODE=production", "NUMBER=" + strconv.Itoa(i)},
			Networks: []containers.Attachment{{Network: s.DefaultNetwork, Aliases: []string{name}}},
			Labels:   map[string]string{containers.LabelService: name, containers.LabelProject: s.Name},
		}}
		if i%each == 0 {
			stage := stages.Stage{Name: fmt.Sprintf("stage%04d", i/each), Verb: stages.Run, OnFailure: stages.StopRun}
			if len(s.Stages) > 0 {
				stage.Needs = []string{s.Stages[len(s.Stages)-1].Name}
			}
			s.Stages = append(s.Stages, stage)
		}
		stage := &s.Stages[len(s.Stages)-1]
		stage.Units = append(stage.Units, stages.Unit{Service: name})
	}
	return s
}
