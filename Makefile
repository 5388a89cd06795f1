# Builds, shows and tests stagehand. Everything may be repeated: what is there
# is used, what is missing is brought.

.PHONY: help demo test chaos bench build man engine images test-tools lint fuzz clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

demo: ## the HAF stack from nothing to serving, on a real engine
	@scripts/demo.sh

test: engine images test-tools lint ## all set-up, all tests
	go build -race ./...
	go test -race -p 1 -timeout 40m -parallel 4 ./... # one package at a time: they share the engine and the two cores

chaos: engine ## kills the runner everywhere, on the memory engine and on Docker, for long
	CHAOS=long STAGEHAND_CHAOS_RESTART=1 go test -race -count=1 -timeout 4h -v ./chaos

BENCH_N ?= 5
bench: engine bench/bin/docker-compose ## side by side with Docker Compose and the bare engine: docs/performance.md; BENCH_N times each (5)
	@$(MAKE) --no-print-directory bench/bin/docker-compose5 || echo "bench: Docker Compose v5 does not build here, and is left out"
	go build -o bench/bin/bench ./bench
	bench/bin/bench -n $(BENCH_N) $$(test -x bench/bin/docker-compose5 && echo -compose5 bench/bin/docker-compose5) \
		-o bench/results.json -doc docs/performance.md -svg docs/performance.svg

# Docker Compose tells the version that it was given when it was linked.
bench/bin/docker-compose: bench/compose/go.mod bench/compose/go.sum
	cd bench/compose && go build -ldflags "-X github.com/docker/compose/v2/internal.Version=$$(go list -m -f '{{.Version}}' github.com/docker/compose/v2)" \
		-o ../bin/docker-compose github.com/docker/compose/v2/cmd

bench/bin/docker-compose5: bench/compose5/go.mod bench/compose5/go.sum
	cd bench/compose5 && go build -ldflags "-X github.com/docker/compose/v5/internal.Version=$$(go list -m -f '{{.Version}}' github.com/docker/compose/v5)" \
		-o ../bin/docker-compose5 github.com/docker/compose/v5/cmd

build: ## bin/stagehand
	CGO_ENABLED=0 go build -trimpath -o bin/stagehand ./cmd/stagehand

man: build ## the manual pages, in bin/man
	bin/stagehand man bin/man

engine: ## a container engine that answers
	@scripts/engine.sh

images: engine ## the examples' images
	@scripts/images.sh

test-tools: ## what the tests use besides Go and an engine
	@scripts/test-tools.sh

lint: bin/golangci-lint test-tools ## the linters, depguard's floors among them
	bin/golangci-lint run ./...
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run scripts/*.sh; else echo "lint: no shellcheck, the scripts are not checked"; fi

bin/golangci-lint: tools/go.mod tools/go.sum
	cd tools && go build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

FUZZ_TIME ?= 10m
fuzz: ## the parser against broken stack files, FUZZ_TIME long (10m)
	go test ./stages -run '^$$' -fuzz FuzzLoad -fuzztime $(FUZZ_TIME) -fuzzminimizetime 20x

clean: ## what was built here; images and engine stay
	rm -rf bin bench/bin .cache
