package docker

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api"

	"github.com/stagehand-dev/stagehand/containers"
)

// claims is an engine of which nothing is known but the API version that it
// claims; empty for none. It has no containers.
func claims(t *testing.T, version string) (address string, asked func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var paths []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/_ping" {
			if version != "" {
				w.Header().Set("Api-Version", version)
			}
			return
		}
		paths = append(paths, r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"message":"No such container: x"}`))
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return "unix://" + path, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(paths)
	}
}

func TestRequestsCarryTheNegotiatedVersion(t *testing.T) {
	for claimed, want := range map[string]string{
		"1.41": "1.41", "1.44": "1.44", api.DefaultVersion: api.DefaultVersion, "1.999": api.DefaultVersion,
	} {
		t.Run(claimed, func(t *testing.T) {
			address, asked := claims(t, claimed)
			engine, err := Open(t.Context(), Options{Endpoint: address})
			if err != nil {
				t.Fatal(err)
			}
			defer engine.Close()
			if _, err := engine.Status(t.Context(), "x"); !errors.Is(err, containers.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
			if got, want := asked(), []string{"/v" + want + "/containers/x/json"}; !slices.Equal(got, want) {
				t.Errorf("asked for %q, want %q", got, want)
			}
		})
	}
}

func TestEnginesThatAreTooOldAreRefused(t *testing.T) {
	for _, test := range []struct{ claimed, variable, want string }{
		{"1.40", "", "it speaks API 1.40, and stagehand needs 1.41 (Docker 20.10, Podman 4) or newer"},
		{"1.24", "", "it speaks API 1.24, and"},
		{"", "", "it does not say which API it speaks"},
		{"1.44", "1.40", "DOCKER_API_VERSION asks for API 1.40, and stagehand needs 1.41"},
	} {
		t.Run(test.claimed, func(t *testing.T) {
			t.Setenv("DOCKER_API_VERSION", test.variable)
			address, asked := claims(t, test.claimed)
			_, err := Open(t.Context(), Options{Endpoint: address})
			if !errors.Is(err, containers.ErrUnavailable) || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrUnavailable that names %s and says %q", err, address, test.want)
			}
			if got := asked(); len(got) > 0 {
				t.Errorf("it was asked for %q all the same", got)
			}
		})
	}
}
