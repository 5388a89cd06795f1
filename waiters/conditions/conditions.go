// Package conditions holds what a stack can wait for, one file each: exit,
// healthy, tcp, http, log, exec, sql and file. A condition looks once and knows no
// time; those of others (all, any) and the loop that waits are package waiters'.
// Call, a request that is made once, stands here for what it shares with HTTP.
package conditions

import "github.com/stagehand-dev/stagehand/containers"

// where says where a container stands that does not run, for an Observation.
func where(s containers.Status, there bool) string {
	if !there {
		return "not created yet"
	}
	return s.Verdict()
}
