# Builds stagehand and shows it. Everything may be repeated: what is there is used.

.PHONY: build engine images demo

build: ## bin/stagehand
	CGO_ENABLED=0 go build -trimpath -o bin/stagehand ./cmd/stagehand

engine: ## a container engine that answers
	@scripts/engine.sh

images: engine ## the examples' images
	@scripts/images.sh

demo: ## the HAF stack from nothing to serving
	@scripts/demo.sh
