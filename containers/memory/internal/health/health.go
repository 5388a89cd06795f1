// Package health says when a healthcheck is run and what follows from it.
package health

import (
	"context"
	"time"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/sleep"
)

// The defaults of a healthcheck. Source: the Dockerfile reference, HEALTHCHECK.
const (
	defaultInterval = 30 * time.Second
	defaultTimeout  = 30 * time.Second
	defaultRetries  = 3
)

// Wanted tells whether there is anything to run.
func Wanted(h *containers.Healthcheck) bool {
	return h != nil && len(h.Test) > 1 && (h.Test[0] == "CMD" || h.Test[0] == "CMD-SHELL")
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Run runs the healthcheck until ctx ends. test runs the command once; one that
// takes longer than the timeout has failed. report gets each verdict, with what
// the last test printed that failed.
func Run(ctx context.Context, h *containers.Healthcheck, test func(argv []string, timeout time.Duration) (ok bool, output string), report func(verdict containers.Health, log string)) {
	argv := h.Test[1:]
	if h.Test[0] == "CMD-SHELL" {
		argv = []string{"/bin/sh", "-c", h.Test[1]}
	}
	begin, failures, verdict, log := time.Now(), 0, containers.HealthStarting, ""
	for {
		wait := or(h.Interval, defaultInterval)
		if time.Since(begin) < h.StartPeriod && h.StartInterval > 0 {
			wait = h.StartInterval
		}
		if sleep.For(ctx, wait) != nil {
			return
		}
		ok, output := test(argv, or(h.Timeout, defaultTimeout))
		switch {
		case ctx.Err() != nil:
			return
		case ok:
			failures, verdict = 0, containers.HealthHealthy
		case verdict == containers.HealthStarting && time.Since(begin) < h.StartPeriod:
			log = output
		default:
			log = output
			if failures++; failures >= or(h.Retries, defaultRetries) {
				verdict = containers.HealthUnhealthy
			}
		}
		report(verdict, log)
	}
}
