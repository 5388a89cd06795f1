package specs

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
)

// process sets what runs, as whom, with what environment and how it ends.
func (v *conversion) process() {
	s, spec := v.service, v.spec
	spec.Entrypoint, spec.Command = []string(s.Entrypoint), []string(s.Command)
	spec.Env = environment(s.Environment)
	spec.WorkingDir, spec.User = s.WorkingDir, s.User
	spec.Hostname, spec.Domainname = s.Hostname, s.DomainName
	spec.TTY, spec.OpenStdin = s.Tty, s.StdinOpen
	spec.Init = s.Init
	spec.StopSignal = s.StopSignal
	spec.StopGrace = duration(s.StopGracePeriod)
	spec.Restart = v.restart()
	spec.PostStart, spec.PreStop = hooks(s.PostStart), hooks(s.PreStop)
}

func hooks(list []types.ServiceHook) []containers.Hook {
	var out []containers.Hook
	for _, h := range list {
		out = append(out, containers.Hook{
			Command: []string(h.Command), User: h.User, Privileged: h.Privileged, WorkingDir: h.WorkingDir, Env: environment(h.Environment),
		})
	}
	return out
}

// environment is KEY=VALUE, sorted by key. A key without a value, in the file
// and in the environment that it was read in, stands alone: the engine then takes
// the image's variable away.
func environment(m types.MappingWithEquals) []string {
	var env []string
	for _, key := range sortedKeys(m) {
		if value := m[key]; value != nil {
			key += "=" + *value
		}
		env = append(env, key)
	}
	return env
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

var restartPolicies = []string{"no", "always", "on-failure", "unless-stopped"}

// restart prefers deploy.restart_policy, as Compose does.
func (v *conversion) restart() containers.Restart {
	s := v.service
	if s.Restart != "" && (s.Deploy == nil || s.Deploy.RestartPolicy == nil) {
		policy, count, counted := strings.Cut(s.Restart, ":")
		if !slices.Contains(restartPolicies, policy) {
			v.list.Add(v.at("restart"), "expected one of: "+strings.Join(restartPolicies, ", ")+", on-failure:COUNT", "restart cannot be %q", s.Restart)
			return containers.Restart{}
		}
		retries, err := strconv.Atoi(count)
		if counted && (err != nil || retries < 0 || policy != "on-failure") {
			v.list.Add(v.at("restart"), "expected on-failure:COUNT", "restart cannot be %q", s.Restart)
			return containers.Restart{}
		}
		return containers.Restart{Policy: policy, Retries: retries}
	}
	if s.Deploy == nil || s.Deploy.RestartPolicy == nil {
		return containers.Restart{}
	}
	p := s.Deploy.RestartPolicy
	where := []string{"deploy", "restart_policy"}
	if p.Delay != nil {
		v.list.Warn(v.at(append(where, "delay")...), "", "restart_policy.delay is not carried over: engines choose their own")
	}
	if p.Window != nil {
		v.list.Warn(v.at(append(where, "window")...), "", "restart_policy.window is not carried over")
	}
	switch p.Condition {
	case "none", "no":
		return containers.Restart{Policy: "no"}
	case "on-failure":
		if p.MaxAttempts != nil {
			return containers.Restart{Policy: "on-failure", Retries: int(*p.MaxAttempts)}
		}
		return containers.Restart{Policy: "on-failure"}
	case "unless-stopped":
		return containers.Restart{Policy: "unless-stopped"}
	case "":
		// The Compose specification's default is any; Docker Compose asks for none.
		v.list.Warn(v.at(where...), "say condition: any, or none", "a restart_policy without a condition restarts nothing, as with Docker Compose")
		return containers.Restart{}
	case "any", "always":
		if p.MaxAttempts != nil {
			v.list.Warn(v.at(append(where, "max_attempts")...), "use condition: on-failure", "max_attempts counts only with condition: on-failure")
		}
		return containers.Restart{Policy: "always"}
	}
	v.list.Add(v.at(append(where, "condition")...), "expected one of: any, none, on-failure", "restart_policy.condition cannot be %q", p.Condition)
	return containers.Restart{}
}

// health sets the healthcheck. One without a test keeps the image's test.
func (v *conversion) health() {
	h := v.service.HealthCheck
	if h == nil {
		return
	}
	if h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE" {
		v.spec.Health = &containers.Healthcheck{Test: []string{"NONE"}}
		return
	}
	check := &containers.Healthcheck{
		Test: []string(h.Test), Interval: duration(h.Interval), Timeout: duration(h.Timeout),
		StartPeriod: duration(h.StartPeriod), StartInterval: duration(h.StartInterval),
	}
	if h.Retries != nil {
		check.Retries = int(*h.Retries)
	}
	if check.Interval < 0 || check.Timeout < 0 || check.StartPeriod < 0 || check.StartInterval < 0 {
		v.list.Add(v.at("healthcheck"), "", "a healthcheck's times cannot be negative")
		return
	}
	v.spec.Health = check
}
