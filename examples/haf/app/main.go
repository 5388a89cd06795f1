// Command hafapp is the program of the example's three HAF apps. HAF_APP says
// which of them it is; each app has an image of its own that sets it.
//
//	hafapp install DIR               copy the app's scripts to DIR/scripts, for the helpers to use
//	hafapp sync [--postgres-url=U]   take blocks from HAF into the app's own schema, until stopped
//	hafapp serve [--postgres-url=U]  answer the app's HTTP API on :8080, until stopped
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	defaultURL = "postgres://haf_admin@haf:5432/haf_block_log"
	// scriptsDir is where the image keeps the app's scripts.
	scriptsDir = "/haf_app_root/scripts"
	usage      = "usage: hafapp install DIR | sync [--postgres-url=URL] | serve [--postgres-url=URL] [--listen=:8080]"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := Main(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Main runs one command until it is done or ctx ends, and returns the exit code.
func Main(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	err := command(ctx, args, getenv, logger{stdout}, stderr)
	var bad usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "hafapp: %v\n%s\n", err, usage)
		return 2
	}
	fmt.Fprintf(stderr, "hafapp: %v\n", err)
	return 1
}

type usageError struct{ error }

func command(ctx context.Context, args []string, getenv func(string) string, log logger, stderr io.Writer) error {
	if len(args) == 0 {
		return usageError{errors.New("no command")}
	}
	name, args := args[0], args[1:]
	if name == "install" {
		if len(args) != 1 {
			return usageError{errors.New("install needs the folder to copy to")}
		}
		return install(scriptsDir, args[0], log)
	}
	app, err := appNamed(getenv("HAF_APP"))
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	url := flags.String("postgres-url", defaultURL, "the HAF instance's database")
	switch name {
	case "sync":
		size := flags.Int("range", 1000, "the most blocks to take in one transaction")
		if err := flags.Parse(args); err != nil {
			return usageError{err}
		}
		return syncer{app: app, url: *url, size: *size, log: log}.run(ctx)
	case "serve":
		listen := flags.String("listen", ":8080", "the address to serve on")
		if err := flags.Parse(args); err != nil {
			return usageError{err}
		}
		return serve(ctx, app, *url, *listen, log)
	}
	return usageError{fmt.Errorf("no command %q", name)}
}

// App is what the three apps differ in, besides their SQL.
type App struct {
	// Name is the app's name in hive.contexts, Schema its own schema, which
	// holds the function process_blocks(first, last).
	Name, Schema string
	// Endpoints of its API by path; each query returns one JSON value.
	Endpoints []Endpoint
}

// Endpoint answers GET of Path with the JSON value that Query returns. The
// query's parameters $1, $2 are the path's wildcards, in their order.
type Endpoint struct {
	Path, About, Query string
}

// Params returns the names of the path's wildcards.
func (e Endpoint) Params() []string {
	var names []string
	for part := range strings.SplitSeq(e.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

func appNamed(name string) (App, error) {
	i := slices.IndexFunc(apps, func(a App) bool { return a.Name == name })
	if i < 0 {
		return App{}, fmt.Errorf("HAF_APP=%q names none of the apps", name)
	}
	return apps[i], nil
}

// logger writes one line per message with the time in UTC.
type logger struct{ w io.Writer }

// Printf writes one line.
func (l logger) Printf(format string, args ...any) {
	fmt.Fprintf(l.w, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}
