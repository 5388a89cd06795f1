// Command hello is all the containers of the smallest whole stack: see stagehand.yaml.
//
//	hello storage DIR    create the storages in DIR, if they are not there
//	hello cluster DIR    serve the cluster app on :8080, with its records in DIR
//	hello deploy APP     have the cluster app deploy APP
//	hello serve APP      serve APP's API on :8080
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const (
	clusterURL = "http://cluster:8080"
	listen     = ":8080"
	// drainTime bounds the wait for requests under way when a server stops.
	drainTime = 2 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Main runs one command and returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "usage: hello storage DIR | cluster DIR | deploy APP | serve APP")
		return 2
	}
	var err error
	switch name, arg := args[0], args[1]; name {
	case "storage":
		err = makeStorages(arg, stdout)
	case "cluster":
		err = serve(ctx, newCluster(arg).handler(), stdout)
	case "deploy":
		err = deploy(ctx, arg, stdout)
	case "serve":
		err = serve(ctx, greeter(arg), stdout)
	default:
		err = fmt.Errorf("no command %q", name)
	}
	if err != nil {
		fmt.Fprintf(stderr, "hello: %v\n", err)
		return 1
	}
	return 0
}

// storages that the cluster app and its apps need.
var storages = []string{"sysmeta", "blobber", "router"}

func makeStorages(dir string, stdout io.Writer) error {
	for i, name := range storages {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "::progress %d/%d storages::%s\n", i+1, len(storages), name)
	}
	return nil
}

// deploy asks the cluster app to deploy an app. It may be repeated.
func deploy(ctx context.Context, app string, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, clusterURL+"/apps/"+app, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("deploy %s: %s: %s", app, resp.Status, body)
	}
	_, err = stdout.Write(body)
	return err
}

// greeter is an app's API: it says hello from what the cluster app knows of it.
func greeter(app string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, clusterURL+"/apps/"+app, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			http.Error(w, "the cluster app says "+resp.Status, http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, "hello from ")
		_, _ = io.Copy(w, resp.Body) // an error means that the client has gone
	})
	return mux
}

// serve answers until ctx ends, which is no error.
func serve(ctx context.Context, handler http.Handler, stdout io.Writer) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "serving on %s\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err = server.Shutdown(drain)
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}
