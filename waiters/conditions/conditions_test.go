package conditions_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/memory"
	"github.com/stagehand-dev/stagehand/waiters"
	"github.com/stagehand-dev/stagehand/waiters/conditions"
	"github.com/stagehand-dev/stagehand/waiters/internal/waitertest"
)

func TestExit(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Expect("later")
		s.Late(conditions.Exit{Service: "later"}, "not created yet")
		s.Launch("helper", waitertest.After(time.Second, 0))
		s.Holds(conditions.Exit{Service: "helper"})
		s.Launch("seven", waitertest.After(time.Second, 7, "first", "last words"))
		dead := s.Dead(conditions.Exit{Service: "seven"}, "seven has died: exit 7")
		if dead.Status.ExitCode != 7 || !slices.Equal(dead.Logs, []string{"first", "last words"}) {
			t.Errorf("got %+v", dead)
		}
		s.Holds(conditions.Exit{Service: "seven", Code: 7})
		s.Dead(conditions.Exit{Service: "helper", Code: 1}, "helper has ended: exit 0 instead of exit 1")
	})
}

func TestExitVanished(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Launch("helper", waitertest.After(waitertest.Forever, 0))
		// At an instant at which nobody looks: one who does may see it killed before it is gone.
		gone := time.AfterFunc(time.Second+123457, func() { _ = s.Destroy(context.Background(), "test-helper-1") })
		defer gone.Stop()
		s.Dead(conditions.Exit{Service: "helper"}, "helper has vanished: how it ended is unknown")
	})
}

func TestTCP(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Launch("api", waitertest.Serve(2*time.Second, nil))
		seen, err := s.Await(conditions.TCP{Address: "api:80"}, time.Minute)
		if err != nil || !slices.Equal(seen, []string{"refused", "connected"}) {
			t.Errorf("seen %q, %v", seen, err)
		}
		s.Late(conditions.TCP{Address: "api:81"}, "refused")
		s.Launch("gone", waitertest.After(time.Second, 3, "oh no"))
		if dead := s.Dead(conditions.TCP{Address: "gone:80"}, "gone has died: exit 3"); dead.Name != "gone" || !slices.Equal(dead.Logs, []string{"oh no"}) {
			t.Errorf("got %+v", dead)
		}
	})
}

func TestHTTP(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		ready := time.Now().Add(5 * time.Second)
		s.Launch("api", waitertest.Serve(time.Second, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case time.Now().Before(ready):
				http.Error(w, "warming up", http.StatusServiceUnavailable)
			case r.URL.Path == "/moved":
				http.Redirect(w, r, "/", http.StatusFound)
			case r.URL.Path == "/hangs":
				<-r.Context().Done()
			default:
				user, password, _ := r.BasicAuth()
				fmt.Fprintf(w, `{"method":%q,"host":%q,"x":%q,"user":%q,"a":[{"b":12}],"live":true,"off":false}`,
					r.Method, r.Host, r.Header.Get("X-One"), user+":"+password)
			}
		}))
		seen, err := s.Await(conditions.HTTP{URL: "http://api/"}, time.Minute)
		if want := []string{"refused", "status 503: warming up", "status 200"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		s.Holds(conditions.HTTP{URL: "http://api/moved", Status: []conditions.StatusRange{{First: 302, Last: 302}}})
		s.Late(conditions.HTTP{URL: "http://api/moved"}, "status 302 to / (redirects are not followed)")
		s.Late(conditions.HTTP{URL: "http://api/", Match: regexp.MustCompile("never")}, "status 200, but the body does not match")
		s.Holds(conditions.HTTP{URL: "http://api/", Match: regexp.MustCompile(`"live":\s*true`)})
		s.Holds(conditions.HTTP{URL: "http://ann:secret@api/", Match: regexp.MustCompile(`"ann:secret"`)})
		s.Holds(conditions.HTTP{
			URL: "http://api/", Method: "PUT", Body: "x", Header: http.Header{"Host": {"other"}, "X-One": {"1"}},
			Match: regexp.MustCompile(`"PUT","host":"other","x":"1"`),
		})
		for path, value := range map[string]any{".a[0].b": "12", "$.a[0].b": 12, "live": true, `["off"]`: false, ".a": []any{map[string]any{"b": "12.0"}}} {
			s.Holds(conditions.HTTP{URL: "http://api/", JSON: &conditions.JSON{Path: path, Value: value}})
		}
		for path, detail := range map[string]string{
			".a[1].b": ".a[1].b is missing", ".a.b": ".a.b is missing", ".live": ".live is true", ".a[0]": `.a[0] is {"b":12}`, ".none": ".none is missing",
		} {
			s.Late(conditions.HTTP{URL: "http://api/", JSON: &conditions.JSON{Path: path, Value: "else"}}, "status 200, but "+detail)
		}
		s.Holds(conditions.HTTP{URL: "http://api/", JSON: &conditions.JSON{Path: ".live", Present: true}})
		s.Late(conditions.HTTP{URL: "http://api/", JSON: &conditions.JSON{Path: ".off", Present: true}}, "status 200, but .off is false")
		begin := time.Now()
		seen, err = s.Await(conditions.HTTP{URL: "http://api/hangs"}, 15*time.Second)
		if late := (*waiters.TimedOut)(nil); !errors.As(err, &late) || late.Last.Detail != "no answer within 10s" || time.Since(begin) != 15*time.Second {
			t.Errorf("a server that hangs: %q, %v after %s", seen, err, time.Since(begin))
		}
	})
}

func TestLog(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Launch("node", func(ctx context.Context, p *memory.Process) int {
			for i := range 5 {
				fmt.Fprintf(p.Stderr, "block %d\n", i)
				waitertest.After(2*time.Second, 0)(ctx, p)
			}
			fmt.Fprint(p.Stdout, "no newline at the end")
			return 0
		})
		time.Sleep(10 * time.Millisecond)
		block := regexp.MustCompile(`^block \d$`)
		begin := time.Now()
		seen, err := s.Await(conditions.Log{Service: "node", Match: block, Count: 3}, time.Minute)
		if want := []string{"1 of 3 lines", "2 of 3 lines", "3 of 3 lines"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		if took := time.Since(begin); took < 3900*time.Millisecond || took > 4500*time.Millisecond {
			t.Errorf("took %s, want about 4 s", took)
		}
		s.Holds(conditions.Log{Service: "node", Match: regexp.MustCompile("block 1$")})
		s.Late(conditions.Log{Service: "node", Match: regexp.MustCompile("block 1$"), Since: conditions.Since{Ago: time.Second}}, "no line matches")
		// The last line comes with the end: not dead, but true.
		s.Holds(conditions.Log{Service: "node", Match: regexp.MustCompile("the end$")})
		dead := s.Dead(conditions.Log{Service: "node", Match: regexp.MustCompile("LIVE")}, "node has died: exit 0")
		if len(dead.Logs) != 6 || dead.Logs[5] != "no newline at the end" {
			t.Errorf("last lines: %q", dead.Logs)
		}
	})
}

// What an earlier start printed says nothing about this one.
func TestLogOfThisStartOnly(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		runs := 0
		s.Launch("db", func(ctx context.Context, p *memory.Process) int {
			if runs++; runs == 1 {
				return waitertest.After(time.Minute, 1, "ready")(ctx, p)
			}
			return waitertest.After(waitertest.Forever, 0)(ctx, p)
		}, func(spec *containers.Spec) { spec.Restart.Policy = "always" })
		ready := regexp.MustCompile("^ready$")
		s.Holds(conditions.Log{Service: "db", Match: ready})
		time.Sleep(2 * time.Minute)
		s.Late(conditions.Log{Service: "db", Match: ready}, "no line matches")
		s.Holds(conditions.Log{Service: "db", Match: ready, Since: conditions.Since{All: true}})
	})
}

func TestExec(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		begin := time.Now()
		s.Commands["check"] = func(_ context.Context, p *memory.Process) int {
			fmt.Fprintf(p.Stdout, "lag %s\n", strings.Join(p.Args, " "))
			if time.Since(begin) < 2*time.Second {
				return 4
			}
			return 0
		}
		s.Launch("db", waitertest.After(waitertest.Forever, 0))
		seen, err := s.Await(conditions.Exec{Service: "db", Command: []string{"check", "a"}}, time.Minute)
		if want := []string{"exit 4: lag a", "exit 0"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		s.Holds(conditions.Exec{Service: "db", Command: []string{"check", "a"}, Output: regexp.MustCompile("^lag a$")})
		s.Late(conditions.Exec{Service: "db", Command: []string{"check", "b"}, Output: regexp.MustCompile("^lag a$")}, "exit 0, but the output does not match: lag b")
		s.Launch("gone", waitertest.After(0, 9, "why"))
		time.Sleep(time.Second)
		s.Dead(conditions.Exec{Service: "gone", Command: []string{"check"}}, "gone has died: exit 9")
		w := waitertest.WorldOf(waitertest.Stub{Engine: s.Engine, OnStatus: s.Status}, s.Instances)
		err = waiters.Wait(t.Context(), w, conditions.Exec{Service: "db", Command: []string{"check"}}, nil)
		if dead := (*waiters.Dead)(nil); !errors.As(err, &dead) || dead.Error() != "exec db: check: this engine cannot run commands in containers" {
			t.Errorf("an engine without exec: %v", err)
		}
	})
}

func TestHealthy(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		begin := time.Now()
		check := func(_ context.Context, p *memory.Process) int {
			fmt.Fprintln(p.Stderr, "starting up")
			if time.Since(begin) < 2*time.Second {
				return 1
			}
			return 0
		}
		s.Commands["check"] = check
		s.Commands["/bin/sh"] = func(ctx context.Context, p *memory.Process) int {
			if !slices.Equal(p.Args, []string{"-c", "check it"}) {
				return 3
			}
			return check(ctx, p)
		}
		s.Commands["hang"] = waitertest.After(waitertest.Forever, 0)
		s.Launch("db", waitertest.After(waitertest.Forever, 0))
		health := func(test ...string) {
			i := s.Instances["db"]
			i.Health = &containers.Healthcheck{Test: test, Timeout: 500 * time.Millisecond}
			s.Instances["db"] = i
		}
		health("CMD-SHELL", "check it")
		seen, err := s.Await(conditions.Healthy{Service: "db"}, time.Minute)
		if want := []string{"unhealthy: exit 1: starting up", "healthy"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		health("CMD", "check")
		s.Holds(conditions.Healthy{Service: "db"})
		health("CMD", "hang")
		s.Late(conditions.Healthy{Service: "db"}, "the healthcheck's test took longer than 500ms")
		health("NONE")
		s.Dead(conditions.Healthy{Service: "db"}, "db can never be healthy: its healthcheck is disabled")
		s.Expect("none")
		s.Late(conditions.Healthy{Service: "none"}, "not created yet")
		s.Launch("none", waitertest.After(time.Minute, 5))
		s.Dead(conditions.Healthy{Service: "none"}, "none can never be healthy: it has no healthcheck")
		s.Launch("gone", waitertest.After(0, 5))
		time.Sleep(time.Second)
		s.Dead(conditions.Healthy{Service: "gone"}, "gone has died: exit 5")
	})
}

// Where the test stands only in the image, the engine's opinion counts.
func TestHealthyByTheEngine(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Commands["check"] = waitertest.After(0, 0)
		s.Launch("db", waitertest.After(waitertest.Forever, 0), func(spec *containers.Spec) {
			spec.Health = &containers.Healthcheck{Test: []string{"CMD", "check"}, Interval: 7 * time.Second}
		})
		seen, err := s.Await(conditions.Healthy{Service: "db"}, time.Minute)
		if want := []string{"starting (the engine says)", "healthy (the engine says)"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
	})
}

func TestFile(t *testing.T) {
	waitertest.Bubble(t, func(t *testing.T, s *waitertest.Stage) {
		s.Launch("init", func(ctx context.Context, p *memory.Process) int {
			waitertest.After(time.Second, 0)(ctx, p)
			if err := p.WriteFile("/state", []byte("phase: live\n")); err != nil {
				fmt.Fprintln(p.Stderr, err)
				return 1
			}
			return 0
		})
		// It appears as the container ends, which is not a death then.
		seen, err := s.Await(conditions.File{Service: "init", Path: "/state"}, time.Minute)
		if want := []string{"no such file", "12 bytes"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		s.Holds(conditions.File{Service: "init", Path: "/state", Match: regexp.MustCompile("live")})
		s.Dead(conditions.File{Service: "init", Path: "/other"}, "init has died: exit 0")
	})
}
