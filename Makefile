# Gengfu's everyday commands. `make help` lists them.
SHELL := /bin/bash
GO ?= go
BIN := bin
export CGO_ENABLED ?= 1

.PHONY: help setup build run test e2e bench soak lint screenshots clean

help: ## lists these commands
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## installs what is missing: Chromium, Chinese fonts
	@scripts/setup

build: ## builds agent, coordinator and the demo into bin/
	@CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/ ./agent ./coordinator ./deploy/demo/cmd/...

run: setup build ## starts the demo fleet; Ctrl-C stops all of it
	@exec $(BIN)/fleet

test: setup ## runs every test with the race detector, the end-to-end test last
	@$(GO) vet ./...
	@$(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v /deploy/e2e)
	@$(MAKE) --no-print-directory e2e

e2e: build ## starts the real programs against the demo bureau and asserts on what they say
	@$(GO) test -count=1 -timeout 15m ./deploy/e2e/...

bench: setup ## compares the cost of a probe with others', measures the schedule, runs the benchmarks
	@scripts/setup prometheus-blackbox-exporter taskset
	@$(GO) build -trimpath -o $(BIN)/ ./deploy/bench
	@$(BIN)/bench cost
	@$(BIN)/bench schedule
	@$(GO) test -run '^$$' -bench . -benchmem ./...

soak: ## runs very many probes against every kind of fault and fails when anything grows; N=1000000 says how many
	@$(GO) build -trimpath -o $(BIN)/ ./deploy/bench
	@$(BIN)/bench soak -runs $(or $(N),1000000)

lint: ## vet, formatting and staticcheck; golangci-lint where it is installed
	@scripts/lint

screenshots: setup build ## takes the pictures in docs/images from a demo with faults
	@scripts/setup curl
	@scripts/screenshots

clean: ## removes what was built
	@rm -rf $(BIN) dist
