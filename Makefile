# Interlock. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
BIN := $(ROOT)/.local/bin
VERSION ?= v0.1.0-dev
export KUBEBUILDER_ASSETS := $(BIN)/envtest
# One set of flags everywhere: the cluster, the operator and the tests then share one build cache.
export CGO_ENABLED ?= 0
export GOFLAGS := -trimpath -buildvcs=false
# KEEP=1 leaves the demo running.
KEEP ?=
# How many rows the demo's table has, and how many requests a second its load sends.
ROWS ?= 300000
RATE ?= 100

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ The two commands

.PHONY: demo
demo: ## Build everything, then show one Git commit turned into a safe roll-out on a real cluster (KEEP=1 leaves it running)
	@hack/preflight.sh demo
	cd e2e && go run ./demo --rows $(ROWS) --rate $(RATE) $(if $(KEEP),--keep)

.PHONY: test
test: ## Build everything, then run all tests: unit, API server, end to end
	@hack/preflight.sh test
	$(MAKE) test-fast
	$(MAKE) test-e2e

##@ Tests

.PHONY: test-fast
test-fast: verify components rootfs ## Formatting, vet, drift, unit tests and tests on a real API server and PostgreSQL
	go test ./... -timeout 20m
	cd charts/interlock/test && go test ./... -timeout 15m
	cd e2e/cluster && go test ./... -timeout 10m
	cd e2e && go test ./load/... ./demo/... ./internal/... -timeout 5m

.PHONY: test-e2e
test-e2e: ## End-to-end scenarios on a real cluster, which is brought up and taken down
	cd e2e/cluster && go test -tags e2e -run TestClusterCarriesPods -count=1 -timeout 10m .
	cd e2e && go test ./scenarios/... -v -count=1 -timeout 60m

.PHONY: test-race
test-race: components rootfs ## The tests where it counts, under the race detector
	CGO_ENABLED=1 go test -race ./migrations/... ./reconcilers/... -timeout 40m

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME each (default 30s)
	hack/fuzz.sh $(or $(FUZZTIME),30s)

##@ Building

.PHONY: build
build: ## Build the one binary, .local/bin/interlock
	go build -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN)/interlock ./operator

.PHONY: components
components: ## Build Kubernetes and the rest of the local cluster (minutes the first time, then cached)
	cd e2e/cluster && go run ./cmd/cluster build

.PHONY: rootfs
rootfs: ## Make the PostgreSQL root file system that tests and the demo's image use
	hack/rootfs.sh postgres

.PHONY: generate
generate: $(BIN)/controller-gen ## Generate deepcopy functions and CRDs
	$(BIN)/controller-gen object paths=./apis/...
	$(BIN)/controller-gen crd:maxDescLen=512 paths=./apis/... output:crd:dir=charts/interlock/crds

$(BIN)/controller-gen: hack/tools/go.mod
	cd hack/tools && go build -o $@ sigs.k8s.io/controller-tools/cmd/controller-gen

.PHONY: verify
verify: ## Fail on unformatted files, vet's findings, or generated code that drifted
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted; run gofmt -w on them"; exit 1; fi
	go vet ./...
	hack/verify-generated.sh

.PHONY: lint
lint: ## golangci-lint with the API linter (built from source the first time, which takes minutes)
	hack/lint.sh

##@ The local cluster

.PHONY: up
up: ## Start the local cluster alone
	cd e2e/cluster && go run ./cmd/cluster up

.PHONY: down
down: ## End whatever a demo or a test left running
	cd e2e/cluster && go run ./cmd/cluster down
