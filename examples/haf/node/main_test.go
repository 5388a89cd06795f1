package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestConfigure(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want Config
		err  string // part of the error; empty for none
	}{
		{name: "nothing said", want: Config{Data: "/data", Blocks: 2000, Rate: 1000, Interval: time.Second}},
		{name: "a builder", args: []string{"--maintenance-script=/app/x.sh"},
			want: Config{Script: "/app/x.sh", Data: "/data", Blocks: 2000, Rate: 1000, Interval: time.Second}},
		{name: "all said", env: map[string]string{"HAF_DATA": "/d", "HAF_BLOCKS": "5", "HAF_REPLAY_RATE": "0", "HAF_BLOCK_INTERVAL": "250ms", "HAF_STOP_DELAY": "5s"},
			want: Config{Data: "/d", Blocks: 5, Interval: 250 * time.Millisecond, StopDelay: 5 * time.Second}},
		{name: "no path", args: []string{"--maintenance-script="}, err: "unexpected argument"},
		{name: "another argument", args: []string{"--help"}, err: "--maintenance-script=PATH"},
		{name: "half a number", env: map[string]string{"HAF_BLOCKS": "5k"}, err: "HAF_BLOCKS"},
		{name: "less than nothing", env: map[string]string{"HAF_BLOCKS": "-1"}, err: "HAF_BLOCKS"},
		{name: "no unit", env: map[string]string{"HAF_BLOCK_INTERVAL": "1"}, err: "HAF_BLOCK_INTERVAL"},
		{name: "too fast", env: map[string]string{"HAF_BLOCK_INTERVAL": "1us"}, err: "HAF_BLOCK_INTERVAL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := configure(c.args, func(key string) string { return c.env[key] })
			switch {
			case c.err == "" && (err != nil || got != c.want):
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("got %v; want an error with %q", err, c.err)
			}
		})
	}
}

func TestOnlyShutDownIsClean(t *testing.T) {
	const before, after = "pg_control version number:            1300\n", "\nLatest checkpoint location:           0/1\n"
	for state, clean := range map[string]bool{
		"Database cluster state:               shut down":             true,
		"Database cluster state:               shut down in recovery": false,
		"Database cluster state:               in production":         false,
		"": false,
	} {
		if err := cleanState(before + state + after); (err == nil) != clean {
			t.Errorf("%q: %v", state, err)
		}
	}
}

func TestOneContainerHoldsTheData(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockData(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockData(dir); err == nil {
		t.Error("a second holder got the lock")
	}
	unlock()
	again, err := lockData(dir)
	if err != nil {
		t.Fatalf("free again: %v", err)
	}
	again()
}

func TestAStopIsSuccessOnlyForAnInstance(t *testing.T) {
	if code, err := interrupted(t.Context(), Config{}, errors.New("x")); code != exitError || err == nil {
		t.Errorf("a failure: %d, %v", code, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if code, err := interrupted(stopped, Config{}, stopped.Err()); code != exitOK || err != nil {
		t.Errorf("an instance that was stopped: %d, %v", code, err)
	}
	if code, err := interrupted(stopped, Config{Script: "x"}, stopped.Err()); code != exitStopped || err == nil {
		t.Errorf("a script that was stopped: %d, %v", code, err)
	}
}
