package stages_test

import (
	"strings"
	"testing"

	"github.com/stagehand-dev/stagehand/compose"
	"github.com/stagehand-dev/stagehand/stages"
)

// TestLint: each trap is found in its place, and its mend takes it away.
func TestLint(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing": {`
services:
  db: {image: i, healthcheck: {test: [CMD, ok], interval: 2s}}
  web: {image: i, depends_on: {db: {condition: service_healthy}}}
`, ""},
		"asked late": {`
services:
  db: {image: i, healthcheck: {test: [CMD, ok]}}
  web: {image: i, depends_on: {db: {condition: service_healthy}}}
`, "3:18 others wait until db is healthy, which the engine first asks after 30s"},
		"asked early": {`
services:
  db: {image: i, healthcheck: {test: [CMD, ok], start_period: 60s, start_interval: 1s}}
  web: {image: i, depends_on: {db: {condition: service_healthy}}}
`, ""},
		"asked late, but nobody waits": {`
services:
  db: {image: i, healthcheck: {test: [CMD, ok]}}
`, ""},
		"start_interval without start_period": {`
services:
  db: {image: i, healthcheck: {test: [CMD, ok], interval: 2s, start_interval: 1s}}
`, "3:63 start_interval counts within start_period only"},
		"health ignored": {`
services:
  db: {image: i, healthcheck: {test: [CMD, ok], interval: 2s}}
  web: {image: i, depends_on: [db]}
`, "4:32 db has a healthcheck, but web does not wait for it"},
		"a job's start": {`
services:
  load: {image: i}
  web: {image: i, depends_on: {load: {condition: service_completed_successfully}}}
  other: {image: i, depends_on: [load]}
`, "5:34 load ends by itself, but other depends on no more than its start"},
		"a job that nobody waits for": {`
services:
  db-migrate: {image: i}
`, "3:3 db-migrate looks like a job that ends"},
		"a job with a stage": {`
services:
  db-migrate: {image: i}
stages: [{name: migrate, run: db-migrate}]
`, ""},
		"a service of such a name": {`
services:
  init: {image: i, ports: ["80"]}
`, ""},
		"the stage gives up before the engine asks, but stagehand asks by itself": {`
services:
  db: {image: i, healthcheck: {test: [CMD, ok], start_period: 60s, start_interval: 20s}}
  web: {image: i, depends_on: {db: {condition: service_healthy}}}
stages:
  - {name: db, start: db, timeout: 10s}
  - {name: web, start: web}
`, ""},
		"one test is longer than the stage": {`
services:
  db: {image: i, healthcheck: {test: [CMD, ok], interval: 1s, timeout: 1m}}
stages: [{name: db, start: db, timeout: 10s}]
`, "3:63 one test of db may take 1m0s, but its stage gives up after 10s"},
		"once for all apps": {`
apps: {a: {}, b: {}}
services:
  db: {image: i, healthcheck: {test: [CMD, ok], interval: 1s, timeout: 1m}}
stages: [{name: db, start: db, each: apps, timeout: 10s}]
`, "4:63 one test of db may take 1m0s, but its stage gives up after 10s"},
		"secrets that are long enough, and none": {`
services:
  db: {image: i, environment: {DB_PASSWORD: abcd, API_TOKEN: "123456", A_KEY: "", LABEL: x, PASSWORD_FILE: x}}
`, ""},
		"a secret that is too short": {`
services:
  db: {image: i, environment: {LABEL: x, DB_PASSWORD: abc}}
`, "3:42 the value of DB_PASSWORD is too short to be hidden"},
		"digits that are too few, in a list": {`
services:
  db: {image: i, environment: ["LABEL=x", "DB_PASSWORD=12345"]}
`, "3:43 the value of DB_PASSWORD is too short to be hidden"},
		"a secret's content that is too short": {`
secrets: {pin: {environment: PIN}}
services:
  db: {image: i, secrets: [pin]}
`, "4:18 what /run/secrets/pin holds is too short to be hidden"},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := stages.Lint(t.Context(), compose.Options{Files: []string{"-"}, Stdin: []byte(test.text), Name: "demo", Dir: "/", Environ: []string{"PIN=1234"}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range list.All() {
				_, place, _ := strings.Cut(p.Pos.String(), ":")
				got = append(got, place+" "+p.Message)
				if p.Expected == "" {
					t.Errorf("no mend for %s", p.Message)
				}
			}
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
