// Package evidence writes what there is to know of a run into a folder, for
// whoever looks at it when its containers are gone.
package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/views"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Collect writes into dir, which it makes: of each container CONTAINER.log, all that it
// has printed with the time before each line; of attempts and helpers whose
// containers are gone the last lines that the run's events have, in
// CONTAINER.attempt-N.log, and of those that failed what the engine said of them, in
// CONTAINER.attempt-N.json; containers.json, what the engine knows of the containers; and
// events.jsonl, the events. What cannot be had does not keep it from the rest.
// logs is the number of logs that it has written.
func Collect(ctx context.Context, engine containers.Engine, list []containers.Status, run []events.Event, dir string) (logs int, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	var errs []error
	there := map[string]bool{}
	for _, s := range list {
		switch err := save(ctx, engine, s.Name, dir); {
		case err != nil:
			errs = append(errs, fmt.Errorf("the log of %s: %w", s.Name, err))
		default:
			there[s.Name] = true
			logs++
		}
	}
	var all bytes.Buffer
	for _, e := range run {
		errs = append(errs, views.WriteJSON(&all, e))
		ended := e.Kind == events.StepRetrying || e.Kind == events.StepEnded && !there[e.Container]
		if !ended || e.Container == "" {
			continue
		}
		if e.Inspect != nil {
			text, err := json.MarshalIndent(e.Inspect, "", "  ")
			errs = append(errs, err, write(dir, attemptFile(e, "json"), append(text, '\n')))
		}
		if len(e.Logs) == 0 {
			continue
		}
		head := fmt.Sprintf("# %s: %s; the container is gone, this is the end of what it printed, as recorded\n", e.Step, text.How(e))
		if err := write(dir, attemptFile(e, "log"), []byte(head+strings.Join(e.Logs, "\n")+"\n")); err != nil {
			errs = append(errs, err)
			continue
		}
		logs++
	}
	if list != nil {
		statuses, err := json.MarshalIndent(list, "", "  ")
		errs = append(errs, err, write(dir, "containers.json", append(statuses, '\n')))
	}
	errs = append(errs, write(dir, "events.jsonl", all.Bytes()))
	return logs, errors.Join(errs...)
}

func attemptFile(e events.Event, kind string) string {
	return fmt.Sprintf("%s.attempt-%d.%s", e.Container, max(e.Attempt, 1), kind)
}

func write(dir, file string, content []byte) error {
	return os.WriteFile(filepath.Join(dir, file), content, 0o644)
}

// save writes the container's log, as far as it can be read.
func save(ctx context.Context, engine containers.Engine, name, dir string) error {
	reader, err := engine.Logs(ctx, name, containers.LogOptions{Timestamps: true})
	if err != nil {
		return err
	}
	defer reader.Close()
	file, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return err
	}
	_, err = io.Copy(file, reader)
	return errors.Join(err, file.Close())
}
