package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

const (
	// clusterApp must be bootstrapped before any other app is deployed.
	clusterApp = "cluster"
	// warmUp is how long an app's partitions take to come up.
	warmUp = 200 * time.Millisecond
)

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// cluster is the cluster app: it records the apps that are deployed, one file
// each in the storage sysmeta, and brings their partitions up.
type cluster struct {
	dir string

	mu sync.Mutex
	// up holds, by app, when its partitions are up in this process.
	up map[string]time.Time
}

func newCluster(dir string) *cluster {
	return &cluster{dir: filepath.Join(dir, storages[0]), up: map[string]time.Time{}}
}

func (c *cluster) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("PUT /apps/{app}", c.deploy)
	mux.HandleFunc("GET /apps/{app}", c.show)
	mux.HandleFunc("GET /apps/{app}/live", c.live)
	return mux
}

// deploy records an app, unless it is recorded: then nothing is written.
func (c *cluster) deploy(w http.ResponseWriter, r *http.Request) {
	app := r.PathValue("app")
	if !validName.MatchString(app) {
		http.Error(w, "not a name for an app: "+app, http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if app != clusterApp && !c.recorded(clusterApp) {
		http.Error(w, "the cluster app is not bootstrapped", http.StatusConflict)
		return
	}
	if c.recorded(app) {
		fmt.Fprintf(w, "%s was deployed before\n", app)
		return
	}
	record := fmt.Sprintf("%s, deployed at %s\n", app, time.Now().UTC().Format(time.RFC3339))
	// Under another name first: a record is whole or not there.
	half := c.path("." + app)
	if err := errors.Join(os.WriteFile(half, []byte(record), 0o644), os.Rename(half, c.path(app))); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, record)
}

// show answers with an app's record.
func (c *cluster) show(w http.ResponseWriter, r *http.Request) {
	app := r.PathValue("app")
	if !validName.MatchString(app) || !c.recorded(app) {
		http.Error(w, "no such app: "+app, http.StatusNotFound)
		return
	}
	http.ServeFile(w, r, c.path(app))
}

// live answers 200 once the app's partitions are up. The first question begins
// to bring them up, also after a restart.
func (c *cluster) live(w http.ResponseWriter, r *http.Request) {
	app := r.PathValue("app")
	if !validName.MatchString(app) || !c.recorded(app) {
		http.Error(w, "no such app: "+app, http.StatusNotFound)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.up[app]
	if !ok {
		at = time.Now().Add(warmUp)
		c.up[app] = at
	}
	if time.Now().Before(at) {
		http.Error(w, "partitions are coming up", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "live")
}

func (c *cluster) path(app string) string { return filepath.Join(c.dir, app) }

func (c *cluster) recorded(app string) bool {
	_, err := os.Stat(c.path(app))
	return err == nil
}
