package waiters_test

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
)

func TestExit(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.expect("later")
		s.late(waiters.Exit{Service: "later"}, "not created yet")
		s.start("helper", after(time.Second, 0))
		s.holds(waiters.Exit{Service: "helper"})
		s.start("seven", after(time.Second, 7, "first", "last words"))
		dead := s.dead(waiters.Exit{Service: "seven"}, "seven has died: exit 7")
		if dead.Status.ExitCode != 7 || !slices.Equal(dead.Logs, []string{"first", "last words"}) {
			t.Errorf("got %+v", dead)
		}
		s.holds(waiters.Exit{Service: "seven", Code: 7})
		s.dead(waiters.Exit{Service: "helper", Code: 1}, "helper has ended: exit 0 instead of exit 1")
	})
}

func TestExitVanished(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.start("helper", after(forever, 0))
		gone := time.AfterFunc(time.Second, func() { _ = s.Destroy(context.Background(), "test-helper-1") })
		defer gone.Stop()
		s.dead(waiters.Exit{Service: "helper"}, "helper has vanished: how it ended is unknown")
	})
}

func TestTCP(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.start("api", serve(2*time.Second, nil))
		seen, err := s.wait(waiters.TCP{Address: "api:80"}, time.Minute)
		if err != nil || !slices.Equal(seen, []string{"refused", "connected"}) {
			t.Errorf("seen %q, %v", seen, err)
		}
		s.late(waiters.TCP{Address: "api:81"}, "refused")
		s.start("gone", after(time.Second, 3, "oh no"))
		if dead := s.dead(waiters.TCP{Address: "gone:80"}, "gone has died: exit 3"); dead.Name != "gone" || !slices.Equal(dead.Logs, []string{"oh no"}) {
			t.Errorf("got %+v", dead)
		}
	})
}

// A container that its restart policy brings back is not dead.
func TestRestartIsNotDeath(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		runs := 0
		s.start("flaky", func(ctx context.Context, p *memory.Process) int {
			if runs++; runs < 4 {
				return after(time.Second, 1)(ctx, p)
			}
			return serve(0, nil)(ctx, p)
		}, func(spec *containers.Spec) { spec.Restart.Policy = "on-failure" })
		s.holds(waiters.TCP{Address: "flaky:80"})
		if runs != 4 {
			t.Errorf("%d runs, want 4", runs)
		}
	})
}

func TestHTTP(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		ready := time.Now().Add(5 * time.Second)
		s.start("api", serve(time.Second, func(w http.ResponseWriter, r *http.Request) {
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
		seen, err := s.wait(waiters.HTTP{URL: "http://api/"}, time.Minute)
		if want := []string{"refused", "status 503: warming up", "status 200"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		s.holds(waiters.HTTP{URL: "http://api/moved", Status: []waiters.StatusRange{{First: 302, Last: 302}}})
		s.late(waiters.HTTP{URL: "http://api/moved"}, "status 302 to / (redirects are not followed)")
		s.late(waiters.HTTP{URL: "http://api/", Match: regexp.MustCompile("never")}, "status 200, but the body does not match")
		s.holds(waiters.HTTP{URL: "http://api/", Match: regexp.MustCompile(`"live":\s*true`)})
		s.holds(waiters.HTTP{URL: "http://ann:secret@api/", Match: regexp.MustCompile(`"ann:secret"`)})
		s.holds(waiters.HTTP{
			URL: "http://api/", Method: "PUT", Body: "x", Header: http.Header{"Host": {"other"}, "X-One": {"1"}},
			Match: regexp.MustCompile(`"PUT","host":"other","x":"1"`),
		})
		for path, value := range map[string]any{".a[0].b": "12", "$.a[0].b": 12, "live": true, `["off"]`: false, ".a": []any{map[string]any{"b": "12.0"}}} {
			s.holds(waiters.HTTP{URL: "http://api/", JSON: &waiters.JSON{Path: path, Value: value}})
		}
		for path, detail := range map[string]string{
			".a[1].b": ".a[1].b is missing", ".a.b": ".a.b is missing", ".live": ".live is true", ".a[0]": `.a[0] is {"b":12}`, ".none": ".none is missing",
		} {
			s.late(waiters.HTTP{URL: "http://api/", JSON: &waiters.JSON{Path: path, Value: "else"}}, "status 200, but "+detail)
		}
		s.holds(waiters.HTTP{URL: "http://api/", JSON: &waiters.JSON{Path: ".live", Present: true}})
		s.late(waiters.HTTP{URL: "http://api/", JSON: &waiters.JSON{Path: ".off", Present: true}}, "status 200, but .off is false")
		begin := time.Now()
		seen, err = s.wait(waiters.HTTP{URL: "http://api/hangs"}, 15*time.Second)
		if late := (*waiters.TimedOut)(nil); !errors.As(err, &late) || late.Last.Detail != "no answer within 10s" || time.Since(begin) != 15*time.Second {
			t.Errorf("a server that hangs: %q, %v after %s", seen, err, time.Since(begin))
		}
	})
}

func TestLog(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.start("node", func(ctx context.Context, p *memory.Process) int {
			for i := range 5 {
				fmt.Fprintf(p.Stderr, "block %d\n", i)
				after(2*time.Second, 0)(ctx, p)
			}
			fmt.Fprint(p.Stdout, "no newline at the end")
			return 0
		})
		time.Sleep(10 * time.Millisecond)
		block := regexp.MustCompile(`^block \d$`)
		begin := time.Now()
		seen, err := s.wait(waiters.Log{Service: "node", Match: block, Count: 3}, time.Minute)
		if want := []string{"1 of 3 lines", "2 of 3 lines", "3 of 3 lines"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		if took := time.Since(begin); took < 3900*time.Millisecond || took > 4500*time.Millisecond {
			t.Errorf("took %s, want about 4 s", took)
		}
		s.holds(waiters.Log{Service: "node", Match: regexp.MustCompile("block 1$")})
		s.late(waiters.Log{Service: "node", Match: regexp.MustCompile("block 1$"), Since: waiters.Since{Ago: time.Second}}, "no line matches")
		// The last line comes with the end: not dead, but true.
		s.holds(waiters.Log{Service: "node", Match: regexp.MustCompile("the end$")})
		dead := s.dead(waiters.Log{Service: "node", Match: regexp.MustCompile("LIVE")}, "node has died: exit 0")
		if len(dead.Logs) != 6 || dead.Logs[5] != "no newline at the end" {
			t.Errorf("last lines: %q", dead.Logs)
		}
	})
}

// What an earlier start printed says nothing about this one.
func TestLogOfThisStartOnly(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		runs := 0
		s.start("db", func(ctx context.Context, p *memory.Process) int {
			if runs++; runs == 1 {
				return after(time.Minute, 1, "ready")(ctx, p)
			}
			return after(forever, 0)(ctx, p)
		}, func(spec *containers.Spec) { spec.Restart.Policy = "always" })
		ready := regexp.MustCompile("^ready$")
		s.holds(waiters.Log{Service: "db", Match: ready})
		time.Sleep(2 * time.Minute)
		s.late(waiters.Log{Service: "db", Match: ready}, "no line matches")
		s.holds(waiters.Log{Service: "db", Match: ready, Since: waiters.Since{All: true}})
	})
}

func TestExec(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		begin := time.Now()
		s.commands["check"] = func(_ context.Context, p *memory.Process) int {
			fmt.Fprintf(p.Stdout, "lag %s\n", strings.Join(p.Args, " "))
			if time.Since(begin) < 2*time.Second {
				return 4
			}
			return 0
		}
		s.start("db", after(forever, 0))
		seen, err := s.wait(waiters.Exec{Service: "db", Command: []string{"check", "a"}}, time.Minute)
		if want := []string{"exit 4: lag a", "exit 0"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		s.holds(waiters.Exec{Service: "db", Command: []string{"check", "a"}, Output: regexp.MustCompile("^lag a$")})
		s.late(waiters.Exec{Service: "db", Command: []string{"check", "b"}, Output: regexp.MustCompile("^lag a$")}, "exit 0, but the output does not match: lag b")
		s.start("gone", after(0, 9, "why"))
		time.Sleep(time.Second)
		s.dead(waiters.Exec{Service: "gone", Command: []string{"check"}}, "gone has died: exit 9")
		w := worldOf(stub{Engine: s.Engine, status: s.Status}, s.instances)
		err = waiters.Wait(t.Context(), w, waiters.Exec{Service: "db", Command: []string{"check"}}, nil)
		if dead := (*waiters.Dead)(nil); !errors.As(err, &dead) || dead.Error() != "exec db: check: this engine cannot run commands in containers" {
			t.Errorf("an engine without exec: %v", err)
		}
	})
}

func TestHealthy(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		begin := time.Now()
		check := func(_ context.Context, p *memory.Process) int {
			fmt.Fprintln(p.Stderr, "starting up")
			if time.Since(begin) < 2*time.Second {
				return 1
			}
			return 0
		}
		s.commands["check"] = check
		s.commands["/bin/sh"] = func(ctx context.Context, p *memory.Process) int {
			if !slices.Equal(p.Args, []string{"-c", "check it"}) {
				return 3
			}
			return check(ctx, p)
		}
		s.commands["hang"] = after(forever, 0)
		s.start("db", after(forever, 0))
		health := func(test ...string) {
			i := s.instances["db"]
			i.Health = &containers.Healthcheck{Test: test, Timeout: 500 * time.Millisecond}
			s.instances["db"] = i
		}
		health("CMD-SHELL", "check it")
		seen, err := s.wait(waiters.Healthy{Service: "db"}, time.Minute)
		if want := []string{"unhealthy: exit 1: starting up", "healthy"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		health("CMD", "check")
		s.holds(waiters.Healthy{Service: "db"})
		health("CMD", "hang")
		s.late(waiters.Healthy{Service: "db"}, "the healthcheck's test took longer than 500ms")
		health("NONE")
		s.dead(waiters.Healthy{Service: "db"}, "db can never be healthy: its healthcheck is disabled")
		s.expect("none")
		s.late(waiters.Healthy{Service: "none"}, "not created yet")
		s.start("none", after(time.Minute, 5))
		s.dead(waiters.Healthy{Service: "none"}, "none can never be healthy: it has no healthcheck")
		s.start("gone", after(0, 5))
		time.Sleep(time.Second)
		s.dead(waiters.Healthy{Service: "gone"}, "gone has died: exit 5")
	})
}

// Where the test stands only in the image, the engine's opinion counts.
func TestHealthyByTheEngine(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.commands["check"] = after(0, 0)
		s.start("db", after(forever, 0), func(spec *containers.Spec) {
			spec.Health = &containers.Healthcheck{Test: []string{"CMD", "check"}, Interval: 7 * time.Second}
		})
		seen, err := s.wait(waiters.Healthy{Service: "db"}, time.Minute)
		if want := []string{"starting (the engine says)", "healthy (the engine says)"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
	})
}

func TestFile(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.start("init", func(ctx context.Context, p *memory.Process) int {
			after(time.Second, 0)(ctx, p)
			if err := p.WriteFile("/state", []byte("phase: live\n")); err != nil {
				fmt.Fprintln(p.Stderr, err)
				return 1
			}
			return 0
		})
		// It appears as the container ends, which is not a death then.
		seen, err := s.wait(waiters.File{Service: "init", Path: "/state"}, time.Minute)
		if want := []string{"no such file", "12 bytes"}; err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q; %v", seen, want, err)
		}
		s.holds(waiters.File{Service: "init", Path: "/state", Match: regexp.MustCompile("live")})
		s.dead(waiters.File{Service: "init", Path: "/other"}, "init has died: exit 0")
	})
}

func TestAllAny(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.start("a", serve(time.Second, nil))
		s.start("b", serve(2*time.Second, nil))
		s.start("gone", after(0, 3))
		time.Sleep(100 * time.Millisecond)
		a, b, gone := waiters.TCP{Address: "a:80"}, waiters.TCP{Address: "b:80"}, waiters.TCP{Address: "gone:80"}
		never := waiters.TCP{Address: "a:9"}
		seen, err := s.wait(waiters.All{a, waiters.Any{gone, b}}, time.Minute)
		want := []string{
			"0 of 2 hold, missing tcp a:80 (refused); any(tcp gone:80, tcp b:80) (none holds: tcp gone:80 (gone has died: exit 3); tcp b:80 (refused))",
			"1 of 2 hold, missing any(tcp gone:80, tcp b:80) (none holds: tcp gone:80 (gone has died: exit 3); tcp b:80 (refused))",
			"all 2 hold",
		}
		if err != nil || !slices.Equal(seen, want) {
			t.Errorf("seen\n%s\nwant\n%s\n%v", strings.Join(seen, "\n"), strings.Join(want, "\n"), err)
		}
		s.late(waiters.All{a, never}, "1 of 2 hold, missing tcp a:9 (refused)")
		s.dead(waiters.All{never, gone}, "gone has died: exit 3")
		s.dead(waiters.Any{gone, waiters.All{gone, a}}, "none holds: tcp gone:80 (gone has died: exit 3); all(tcp gone:80, tcp a:80) (gone has died: exit 3)")
	})
}

// Times of parts count inside all and any.
func TestNestedTimes(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.start("a", serve(0, nil))
		stable := waiters.Timed{Condition: waiters.TCP{Address: "a:80"}, Pace: waiters.Pace{StableFor: 5 * time.Second}}
		short := waiters.Timed{Condition: waiters.TCP{Address: "a:9"}, Pace: waiters.Pace{Timeout: time.Second, Every: 100 * time.Millisecond}}
		begin := time.Now()
		s.holds(waiters.All{stable})
		if took := time.Since(begin); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("stable after %s, want a little more than 5 s", took)
		}
		_, err := s.wait(waiters.All{stable, short}, time.Minute)
		if late := (*waiters.TimedOut)(nil); !errors.As(err, &late) || late.Condition != "tcp a:9" || late.After > 2*time.Second {
			t.Errorf("a part's timeout: %v", err)
		}
		s.holds(waiters.Any{stable, short})
	})
}

func TestReferences(t *testing.T) {
	c := waiters.Timed{Condition: waiters.All{
		waiters.Exit{Service: "e"}, waiters.Any{waiters.TCP{Address: "t:1"}, waiters.HTTP{URL: "http://h:1/"}},
		waiters.SQL{URL: "postgres://u:p@s:5432/d"}, waiters.File{Service: "e"},
	}}
	if got := waiters.References(c); !slices.Equal(got, []string{"e", "h", "s", "t"}) {
		t.Errorf("got %q", got)
	}
}
