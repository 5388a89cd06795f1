//go:build linux

package main

import (
	"fmt"
	"strings"
)

// lines writes indented lines of a file.
type lines struct{ strings.Builder }

func (l *lines) add(format string, args ...any) { fmt.Fprintf(&l.Builder, format+"\n", args...) }

const stagedApps = 8

// staged is a helper, eight that need it, and a service behind each of those, with
// a healthcheck every so many seconds: a Compose file like many.
func staged(seconds int) string {
	var l lines
	l.add("services:")
	l.add("  init: {image: %s, command: [print, first]}", image)
	for i := range stagedApps {
		l.add("  setup%d: {image: %s, command: [print, set up], depends_on: {init: {condition: service_completed_successfully}}}", i, image)
		l.add("  app%d:", i)
		l.add("    image: %s", image)
		l.add("    command: [listen, ':8080', ok]")
		l.add("    depends_on: {setup%d: {condition: service_completed_successfully}}", i)
		l.add("    healthcheck: {test: [CMD, /actor, dial, '127.0.0.1:8080'], interval: %ds, timeout: 5s, retries: 30}", seconds)
	}
	return l.String()
}

// chain is n one-shots, each behind the one before, and a service behind the last.
func chain(n int) string {
	var l lines
	l.add("services:")
	for i := range n {
		l.add("  shot%02d:", i)
		l.add("    image: %s", image)
		l.add("    command: [print, done]")
		if i > 0 {
			l.add("    depends_on: {shot%02d: {condition: service_completed_successfully}}", i-1)
		}
	}
	l.add("  app: {image: %s, command: [listen, ':8080', ok], depends_on: {shot%02d: {condition: service_completed_successfully}}}", image, n-1)
	return l.String()
}

// sharing is the Compose file with all its helpers in one network namespace, which only stagehand heeds.
func sharing(file string) string { return file + "x-stagehand: {helper_network: shared}\n" }

// plain is n services that know nothing of each other.
func plain(n int) string {
	var l lines
	l.add("services:")
	for i := range n {
		l.add("  app%02d: {image: %s, command: [listen, ':8080', ok]}", i, image)
	}
	return l.String()
}

// wide is n services in layers of ten, each behind one of the layer before.
func wide(n int) string {
	var l lines
	l.add("services:")
	for i := range n {
		l.add("  app%04d:", i)
		l.add("    image: %s", image)
		l.add("    command: [listen, ':8080', ok]")
		l.add("    environment: {NUMBER: '%d', MODE: production, LOG_LEVEL: info}", i)
		l.add("    volumes: ['data%d:/data']", i%10)
		if i >= 10 {
			l.add("    depends_on: [app%04d]", i-10)
		}
	}
	l.add("volumes:")
	for i := range 10 {
		l.add("  data%d:", i)
	}
	return l.String()
}

// helpers is one stage of n helpers, so many at a time; network is that of the stage.
func helpers(n, width int, network string) string {
	var l lines
	var names []string
	l.add("services:")
	for i := range n {
		name := fmt.Sprintf("helper%03d", i)
		names = append(names, name)
		l.add("  %s: {image: %s, command: [print, done]}", name, image)
	}
	l.add("stages:")
	l.add("  - {name: work, run: [%s], max_parallel: %d, network: %s}", strings.Join(names, ", "), width, network)
	return l.String()
}

// waits is stages of conditions, each stage behind the one before: each condition waits
// for an URL of its own, which is base and a number.
func waits(base string, stages, each int) string {
	var l lines
	l.add("services:")
	l.add("  app: {image: %s, command: [listen, ':8080', ok]}", image)
	l.add("stages:")
	l.add("  - {name: app, start: app}")
	before := "app"
	for s := range stages {
		var names []string
		for i := range each {
			name := fmt.Sprintf("w%d", s*each+i)
			names = append(names, name)
			l.add("  - {name: %s, await: {http: '%s%d'}, needs: [%s]}", name, base, s*each+i, before)
		}
		before = strings.Join(names, ", ")
	}
	return l.String()
}

// ends is stages of helpers that end by themselves after 200 ms and more.
func ends(stages, each int) string {
	var l lines
	l.add("services:")
	for i := range stages * each {
		l.add("  helper%d: {image: %s, command: [sleep, %dms]}", i, image, 200+20*(i%each))
	}
	l.add("stages:")
	for s := range stages {
		var names []string
		for i := range each {
			names = append(names, fmt.Sprintf("helper%d", s*each+i))
		}
		l.add("  - {name: s%d, run: [%s]}", s, strings.Join(names, ", "))
	}
	return l.String()
}
