//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/bench/internal/api"
	"github.com/stagehand-dev/stagehand/bench/internal/figures"
	"github.com/stagehand-dev/stagehand/bench/internal/report"
	"github.com/stagehand-dev/stagehand/containers/enginetest/actor"
)

const (
	exitFailed = 1 // a work failed, or the benchmark itself
	exitUsage  = 2
)

// cleanLimit bounds the removal of what a repetition made.
const cleanLimit = 2 * time.Minute

type options struct {
	run                 *regexp.Regexp
	repetitions         int
	from, out, doc, svg string
	stagehand           string
	compose, compose5   string
	list                bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var run string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&run, "run", "", "only works whose names match this `REGEX`; writes no document")
	flags.IntVar(&o.repetitions, "n", 5, "repetitions of each work")
	flags.StringVar(&o.out, "o", "", "write the figures to this `FILE`, as JSON")
	flags.StringVar(&o.from, "from", "", "measure nothing: take the figures from this `FILE`, which -o wrote")
	flags.StringVar(&o.doc, "doc", "", "put the figures into this Markdown `FILE`, between its markers")
	flags.StringVar(&o.svg, "svg", "", "draw them into this `FILE`")
	flags.StringVar(&o.stagehand, "stagehand", "", "the `PROGRAM` (default: built from this module)")
	flags.StringVar(&o.compose, "compose", "bench/bin/docker-compose", "the `PROGRAM` that is compared with")
	flags.StringVar(&o.compose5, "compose5", "", "a Docker Compose v5 `PROGRAM`, where there is one, to be measured too")
	flags.BoolVar(&o.list, "list", false, "list the works and end")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.repetitions < 1 {
		return o, fmt.Errorf("bench: no arguments are expected, and -n of at least 1")
	}
	var err error
	if o.run, err = regexp.Compile(run); err != nil {
		return o, fmt.Errorf("bench: -run: %w", err)
	}
	if run != "" && (o.doc != "" || o.svg != "") {
		return o, errors.New("bench: -run measures a part, and the document shows the whole: leave -doc and -svg out")
	}
	return o, nil
}

// Main is the program: 0 when everything was measured, 1 when something
// failed, 2 for a command line that is not understood.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == memoryCommand {
		return memoryMain(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == tenantsCommand {
		return tenantsMain(ctx, args[1:], stdout, stderr)
	}
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	good, err := run(ctx, o, strings.Join(args, " "), stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailed
	}
	if !good {
		return exitFailed
	}
	return 0
}

func run(ctx context.Context, o options, command string, stdout, stderr io.Writer) (good bool, err error) {
	if o.from != "" {
		text, err := os.ReadFile(o.from)
		if err != nil {
			return false, err
		}
		var r figures.Report
		if err := json.Unmarshal(text, &r); err != nil {
			return false, fmt.Errorf("%s: %w", o.from, err)
		}
		return true, write(o, r, stdout)
	}
	b := &bench{options: o, stderr: stderr, prefix: fmt.Sprintf("bench%d", os.Getpid())}
	if o.list {
		for _, w := range b.works() {
			fmt.Fprintf(stdout, "%-12s %s\n", w.name, w.title)
		}
		return true, nil
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	if err := b.open(ctx); err != nil {
		return false, err
	}
	r := figures.Report{Began: time.Now().UTC().Truncate(time.Second), Command: strings.TrimSpace("bench " + command)}
	if r.Machine, err = b.facts(ctx); err != nil {
		return false, err
	}
	var tallies []*tally
	for _, w := range b.works() {
		if o.run.MatchString(w.name) {
			tallies = append(tallies, newTally(w))
		}
	}
	// Round by round, so that what disturbs the machine for a while disturbs all
	// works, and so that whoever cannot wait has whole rounds.
	for round := range o.repetitions {
		for _, t := range tallies {
			if round == 0 || t.repetitions == 0 || round < t.repetitions {
				b.take(ctx, t, round)
			}
		}
		if ctx.Err() != nil {
			return false, errors.New("interrupted: -o has the rounds that were whole by then, the document is as it was")
		}
		r.Works, good = nil, true
		for _, t := range tallies {
			r.Works = append(r.Works, t.result())
			good = good && len(t.errors) == 0
		}
		r.Repetitions, r.Elapsed, r.Machine.LoadAfter = round+1, time.Since(r.Began).Round(time.Second), load()
		if err := save(o.out, r); err != nil {
			return false, err
		}
	}
	return good, write(o, r, stdout)
}

// save writes the report as JSON, if a file is named.
func save(file string, r figures.Report) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// write writes the report wherever the options say, and for people to stdout.
func write(o options, r figures.Report, stdout io.Writer) error {
	fmt.Fprint(stdout, report.Markdown(r))
	if err := save(o.out, r); err != nil {
		return err
	}
	if o.svg != "" {
		if err := os.WriteFile(o.svg, []byte(report.SVG(r)), 0o644); err != nil {
			return err
		}
	}
	if o.doc == "" {
		return nil
	}
	text, err := os.ReadFile(o.doc)
	if err != nil {
		return err
	}
	changed, err := report.Insert(string(text), report.Markdown(r))
	if err != nil {
		return fmt.Errorf("%s: %w", o.doc, err)
	}
	return os.WriteFile(o.doc, []byte(changed), 0o644)
}

// bench is one run of the benchmark.
type bench struct {
	options
	stderr io.Writer
	// prefix begins the names of all projects of this run.
	prefix string
	// projects counts them, so that each has a name that nothing has had.
	projects int
	// dir is for what is written while measuring; ledger is in it, one for the
	// whole run, as a user has one.
	dir, ledger string
	engine      *api.Client
}

// image is the test actor's.
const image = "stagehand-actor:bench"

func (b *bench) open(ctx context.Context) (err error) {
	if b.engine, err = api.New(os.Getenv("DOCKER_HOST")); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "stagehand-bench-"); err != nil {
		return err
	}
	b.ledger = filepath.Join(b.dir, "ledger.db")
	for _, program := range []*string{&b.stagehand, &b.compose, &b.compose5} {
		if *program == "" {
			continue
		}
		if *program, err = filepath.Abs(*program); err != nil {
			return err
		}
		if _, err := os.Stat(*program); err != nil {
			return fmt.Errorf("%w (make bench builds it)", err)
		}
	}
	if b.stagehand == "" {
		b.stagehand = filepath.Join(b.dir, "stagehand")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.stagehand, "./cmd/stagehand")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building stagehand: %w\n%s", err, out)
		}
	}
	archive, err := actor.Tar(ctx, image)
	if err != nil {
		return err
	}
	if err := b.engine.Load(ctx, archive); err != nil {
		return fmt.Errorf("loading the test image: %w", err)
	}
	return b.warmUp(ctx)
}

// close removes everything that the run has made, however it ended.
func (b *bench) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	var problems []error
	if b.engine != nil {
		projects, err := b.engine.Projects(ctx, b.prefix)
		problems = append(problems, err)
		for _, p := range projects {
			problems = append(problems, b.remove(ctx, p))
		}
		problems = append(problems, b.engine.RemoveImage(ctx, image))
		b.engine.Close()
	}
	if b.dir != "" {
		problems = append(problems, os.RemoveAll(b.dir))
	}
	return errors.Join(problems...)
}

// measurement is what one repetition of one party came to: metric to value, or to
// values where one repetition gives many.
type measurement map[string][]float64

// party does a work in its way.
type party struct {
	name string
	once func(ctx context.Context) (measurement, error)
}

type work struct {
	name, title string
	// repetitions, if not 0, are the most that are worth it: it is long, or one
	// gives many samples.
	repetitions int
	parties     []party
	// units of its metrics.
	units  map[string]string
	claims []figures.Claim
}

// tally is what a work came to so far.
type tally struct {
	work
	series map[[2]string]*figures.Series // by party and metric
	failed map[string]bool
	errors []string
}

func newTally(w work) *tally {
	return &tally{work: w, series: map[[2]string]*figures.Series{}, failed: map[string]bool{}}
}

// take has the parties of a work do it in turn, once. What fails is done once
// more, since an engine that is tried hard fails at times; who fails again is left
// out from then on. Either way it is reported.
func (b *bench) take(ctx context.Context, t *tally, round int) {
	for _, p := range t.parties {
		if t.failed[p.name] || ctx.Err() != nil {
			continue
		}
		began := time.Now()
		measured, err := p.once(ctx)
		for again := true; err != nil && ctx.Err() == nil; again = false {
			t.errors = append(t.errors, fmt.Sprintf("%s: %v", p.name, err))
			fmt.Fprintf(b.stderr, "%s %d %s: %v\n", t.name, round+1, p.name, err)
			if t.failed[p.name] = !again; !again {
				break
			}
			measured, err = p.once(ctx)
		}
		if err != nil || ctx.Err() != nil {
			continue
		}
		t.add(p.name, measured)
		fmt.Fprintf(b.stderr, "%s %d %s: %s (%s)\n", t.name, round+1, p.name, brief(measured, t.units), time.Since(began).Round(time.Second))
	}
}

func (t *tally) add(party string, m measurement) {
	for metric, samples := range m {
		key := [2]string{party, metric}
		if t.series[key] == nil {
			t.series[key] = &figures.Series{Party: party, Metric: metric, Unit: t.units[metric]}
		}
		t.series[key].Samples = append(t.series[key].Samples, samples...)
	}
}

// result is the tally in the order of parties and metrics.
func (t *tally) result() figures.Work {
	result := figures.Work{Name: t.name, Title: t.title, Claims: t.claims, Errors: t.errors}
	for _, p := range t.parties {
		for _, metric := range sortedKeys(t.units) {
			if s := t.series[[2]string{p.name, metric}]; s != nil {
				result.Series = append(result.Series, *s)
			}
		}
	}
	return result
}

// brief is a measurement in a line.
func brief(m measurement, units map[string]string) string {
	var words []string
	for _, metric := range sortedKeys(m) {
		s := figures.Summarise(m[metric])
		words = append(words, fmt.Sprintf("%s %s", metric, report.Amount(s.Median, units[metric])))
	}
	return strings.Join(words, ", ")
}
