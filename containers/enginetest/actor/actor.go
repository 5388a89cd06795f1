// Package actor is the program that runs inside the containers of the contract
// suite: the same Go function on every engine, as a static binary in an image
// FROM scratch or as a function of the memory engine.
//
// Its arguments are commands joined by the word "then":
//
//	exit CODE               end with CODE
//	print TEXT...           a line on standard output; "warn" on standard error
//	long BYTES              a line of so many bytes of "x"
//	count N TEXT            N lines "TEXT 1" to "TEXT N"
//	tick DURATION TEXT      such a line every DURATION, for ever
//	sleep DURATION
//	forever                 do nothing until killed
//	trap SIGNAL D COMMAND   print "ready", wait for SIGNAL, ignore it for D, run COMMAND
//	listen ADDRESS [REPLY]  print "ready"; answer each connection with the line REPLY, or echo
//	http ADDRESS            print "ready"; GET /status/N answers N, all else its path
//	dial ADDRESS            connect, print all that comes
//	cat PATH                "write PATH TEXT", "append PATH TEXT", "remove PATH", "ls PATH"
//	stat PATH               print MODE UID GID SIZE
//	await-file PATH         until it is there
//	attempt PATH N CODE     end with CODE unless this is the Nth run over the same PATH
//	hold-memory SIZE        64m; goes on holding it
//	expand COMMAND          run COMMAND with each %NAME% in it replaced by that variable
//	env NAME                print its value; "args" prints all arguments, "hostname", "pwd" theirs
//
// A command that fails says why on standard error and ends the program with
// 1; one that is not understood with 64 (EX_USAGE). The end of the last
// command is exit 0.
package actor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/stagehand-dev/stagehand/containers/program"
	"github.com/stagehand-dev/stagehand/sleep"
)

// Path is where the image keeps the program; it is the image's entrypoint too.
const Path = "/actor"

// Command is the image's: what the program does where a container names nothing.
var Command = []string{"print", "the image's own command"}

const (
	exitFailed = 1
	exitUsage  = 64 // sysexits.h: EX_USAGE
)

// goOn is what a command returns when the next one shall run.
const goOn = -1

// Main runs the commands in p.Args and returns the exit code.
func Main(ctx context.Context, p *program.Process) int {
	for _, command := range split(p.Args) {
		if code := run(ctx, p, command); code != goOn {
			return code
		}
	}
	return 0
}

// split cuts the arguments at each "then".
func split(args []string) [][]string {
	var commands [][]string
	begin := 0
	for i, arg := range args {
		if arg == "then" {
			commands = append(commands, args[begin:i])
			begin = i + 1
		}
	}
	return append(commands, args[begin:])
}

// usage is an error in the arguments.
type usage string

func (u usage) Error() string { return string(u) }

func run(ctx context.Context, p *program.Process, command []string) int {
	if len(command) == 0 {
		return goOn
	}
	entry, known := verbs()[command[0]]
	if !known || len(command)-1 < entry.arguments {
		fmt.Fprintf(p.Stderr, "actor: what is %q?\n", command)
		return exitUsage
	}
	code, err := entry.run(ctx, p, command[1:])
	var wrong usage
	switch {
	case errors.As(err, &wrong):
		fmt.Fprintf(p.Stderr, "actor: %s: %v\n", command[0], err)
		return exitUsage
	case err != nil:
		fmt.Fprintf(p.Stderr, "actor: %s: %v\n", command[0], err)
		return exitFailed
	}
	return code
}

type verb struct {
	arguments int // at least
	run       func(ctx context.Context, p *program.Process, args []string) (int, error)
}

// verbs is a function because a trap runs verbs in its turn.
func verbs() map[string]verb {
	return map[string]verb{
		"exit": {1, func(_ context.Context, _ *program.Process, args []string) (int, error) {
			code, err := number(args[0])
			return code, err
		}},
		"print":       {0, simple(func(p *program.Process, args []string) error { return line(p.Stdout, args) })},
		"warn":        {0, simple(func(p *program.Process, args []string) error { return line(p.Stderr, args) })},
		"long":        {1, simple(long)},
		"count":       {2, simple(count)},
		"tick":        {2, tick},
		"sleep":       {1, rest},
		"forever":     {0, forever},
		"trap":        {3, trap},
		"listen":      {1, listen},
		"http":        {1, serveHTTP},
		"dial":        {1, dial},
		"cat":         {1, simple(cat)},
		"write":       {2, simple(write)},
		"append":      {2, simple(appendTo)},
		"remove":      {1, simple(func(p *program.Process, args []string) error { return p.Remove(args[0]) })},
		"ls":          {1, simple(list)},
		"stat":        {1, simple(stat)},
		"await-file":  {1, awaitFile},
		"attempt":     {3, attempt},
		"hold-memory": {1, simple(hold)},
		"expand":      {1, expand},
		"env":         {1, simple(func(p *program.Process, args []string) error { return line(p.Stdout, []string{p.Getenv(args[0])}) })},
		"args":        {0, simple(func(p *program.Process, _ []string) error { return line(p.Stdout, p.Args) })},
		"hostname":    {0, simple(func(p *program.Process, _ []string) error { return line(p.Stdout, []string{p.Hostname}) })},
		"pwd":         {0, simple(func(p *program.Process, _ []string) error { return line(p.Stdout, []string{p.Dir}) })},
	}
}

func expand(ctx context.Context, p *program.Process, args []string) (int, error) {
	pairs := make([]string, 0, 2*len(p.Env))
	for _, pair := range p.Env {
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, "%"+name+"%", value)
	}
	replacer := strings.NewReplacer(pairs...)
	command := make([]string, len(args))
	for i, arg := range args {
		command[i] = replacer.Replace(arg)
	}
	return run(ctx, p, command), nil
}

// simple is a command that cannot block and never ends the program by itself.
func simple(f func(p *program.Process, args []string) error) func(context.Context, *program.Process, []string) (int, error) {
	return func(_ context.Context, p *program.Process, args []string) (int, error) { return goOn, f(p, args) }
}

func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, usage(text + " is not a number")
	}
	return n, nil
}

func line(w io.Writer, words []string) error {
	_, err := io.WriteString(w, strings.Join(words, " ")+"\n")
	return err
}

func long(p *program.Process, args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	return line(p.Stdout, []string{strings.Repeat("x", n)})
}

func count(p *program.Process, args []string) error {
	n, err := number(args[0])
	for i := 1; err == nil && i <= n; i++ {
		err = line(p.Stdout, append(args[1:len(args):len(args)], strconv.Itoa(i)))
	}
	return err
}

func tick(ctx context.Context, p *program.Process, args []string) (int, error) {
	for i := 1; ; i++ {
		if err := line(p.Stdout, append(args[1:len(args):len(args)], strconv.Itoa(i))); err != nil {
			return 0, err
		}
		if code, err := rest(ctx, p, args[:1]); code != goOn || err != nil {
			return code, err
		}
	}
}

func rest(ctx context.Context, _ *program.Process, args []string) (int, error) {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return 0, usage(err.Error())
	}
	return goOn, sleep.For(ctx, d)
}

func forever(ctx context.Context, _ *program.Process, _ []string) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func trap(ctx context.Context, p *program.Process, args []string) (int, error) {
	d, err := time.ParseDuration(args[1])
	if err != nil {
		return 0, usage(err.Error())
	}
	signals := p.Notify(args[0])
	if err := line(p.Stdout, []string{"ready"}); err != nil {
		return 0, err
	}
	select {
	case name := <-signals:
		if err := line(p.Stdout, []string{"got", name}); err != nil {
			return 0, err
		}
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err := sleep.For(ctx, d); err != nil {
		return 0, err
	}
	return run(ctx, p, args[2:]), nil
}

func cat(p *program.Process, args []string) error {
	content, err := p.ReadFile(args[0])
	if err != nil {
		return err
	}
	_, err = p.Stdout.Write(content)
	return err
}

func write(p *program.Process, args []string) error {
	return p.WriteFile(args[0], []byte(strings.Join(args[1:], " ")+"\n"))
}

func appendTo(p *program.Process, args []string) error {
	return p.AppendFile(args[0], []byte(strings.Join(args[1:], " ")+"\n"))
}

func list(p *program.Process, args []string) error {
	names, err := p.ReadDir(args[0])
	if err != nil {
		return err
	}
	return line(p.Stdout, names)
}

func stat(p *program.Process, args []string) error {
	info, err := p.Stat(args[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.Stdout, "%04o %d %d %d\n", info.Mode, info.UID, info.GID, info.Size)
	return err
}

func awaitFile(ctx context.Context, p *program.Process, args []string) (int, error) {
	for {
		_, err := p.Stat(args[0])
		if !errors.Is(err, fs.ErrNotExist) {
			return goOn, err
		}
		if err := sleep.For(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

func attempt(_ context.Context, p *program.Process, args []string) (int, error) {
	n, err := number(args[1])
	if err != nil {
		return 0, err
	}
	code, err := number(args[2])
	if err != nil {
		return 0, err
	}
	if err := p.AppendFile(args[0], []byte("x")); err != nil {
		return 0, err
	}
	info, err := p.Stat(args[0])
	if err != nil {
		return 0, err
	}
	if int(info.Size) < n {
		return code, nil
	}
	return goOn, nil
}

func hold(p *program.Process, args []string) error {
	text, unit := args[0], int64(1)
	if cut, ok := strings.CutSuffix(text, "m"); ok {
		text, unit = cut, 1<<20
	}
	n, err := number(text)
	if err != nil {
		return err
	}
	p.Hold(int64(n) * unit)
	return nil
}
