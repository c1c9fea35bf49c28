# `make` alone prints what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin
GO ?= go
PROGRAMS := apiserver scheduler controllers agent logger ctl
LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
NAME ?= demo

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build images ## start a cluster, run an example on it and show it answering (root)
	@.ci/install run
	@examples/demo.sh $(NAME)

down: ## remove the demo's cluster without a trace (root)
	@$(BIN)/ctl down --yes --name $(NAME)

# grpcnotrace: without gRPC's trace pages there is no text/template, and the linker can leave out the methods that nobody calls (a fifth of all)
build: ## the programs, into bin/
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 $(GO) build -trimpath -tags grpcnotrace -ldflags "-s -w" -o $(BIN)/ $(addprefix ./cmd/,$(PROGRAMS))

images: ## the examples' container images, into bin/images
	@.ci/install images
	@$(GO) run ./examples/images -o $(BIN)/images

tools: ## the real kubectl, Helm and two client programs, for tests, into bin/
	@CGO_ENABLED=0 $(GO) build -C e2e/tools -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2" -o $(CURDIR)/$(BIN)/ ./... helm.sh/helm/v4/cmd/helm

test: build images tools ## all tests that CI runs (root; under 25 minutes)
	@.ci/install test
	$(GO) test -timeout 25m ./...
	cd e2e/clients && $(GO) test -timeout 10m ./...
	cd e2e/parity && $(GO) test -timeout 10m ./...

test-unit: ## the tests that need no root
	OPTIMIST_NO_ROOT=1 $(GO) test -short ./...

test-long: build images tools ## every test at its full length
	@.ci/install test
	OPTIMIST_LONG=1 $(GO) test -timeout 3h -count=1 ./...
	cd e2e/clients && $(GO) test -timeout 10m -count=1 ./...
	cd e2e/parity && $(GO) test -timeout 10m -count=1 ./...
	cd e2e/parity/kinds && $(GO) test -timeout 20m -count=1 -v .

fuzz: ## every decoder of outside bytes, a minute each (FUZZTIME=10s: less; ONLY=regexp: some)
	@$(GO) run ./e2e/fuzz -time $(or $(FUZZTIME),1m) -only '$(ONLY)'

check: ## formatting, vet, lint, laws, generated files, other systems
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) run $(LINT) run --allow-parallel-runners ./...
	GOOS=darwin $(GO) build -o /dev/null ./cmd/ctl
	GOOS=windows $(GO) build -o /dev/null ./cmd/ctl
	$(GO) test -count=1 ./e2e -run 'Laws'
	$(GO) test -count=1 ./proto ./controllers ./internal/schema -run Generated

generate: ## everything that is generated (needs protoc: apt install protobuf-compiler)
	GOBIN=$(CURDIR)/$(BIN) $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	GOBIN=$(CURDIR)/$(BIN) $(GO) install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
	PATH=$(CURDIR)/$(BIN):$$PATH $(GO) generate ./proto
	cd internal/schema/generate && mkdir -p openapi && $(GO) generate . && rm -r openapi
	$(GO) test ./controllers -run Generated -update

bench: build images ## measure, with the command of each figure
	@$(GO) run ./e2e/bench

# Tests are the files that end in _test.go, the suites (storetest, runtimetest, apitest …) and all of e2e.
TESTS := _test\.go$$|test/|^e2e/
size: ## hand-written lines of each part
	@lines() { git ls-files '*.go' | grep -v '\.pb\.go$$' | grep "^$$1/" | grep $$2 -E '$(TESTS)' | xargs -r cat | wc -l; }; \
	total=0; for part in internal apiserver scheduler controllers agent ctl cmd proto examples e2e; do \
		code=$$(lines $$part -v); total=$$((total + code)); \
		printf '%-12s %6d  + %6d of tests\n' $$part $$code $$(lines $$part -h); done; \
	code=$$(git ls-files '*.go' | grep -v -E '\.pb\.go$$|$(TESTS)' | xargs cat | grep -cv -E '^\s*(//.*)?$$'); \
	echo "without tests: $$total of 40000 ($$code without blank lines and comments)"

vmtest: build images ## a cluster of three virtual machines (systemd, cgroup v2)
	@.ci/install vm || echo "vmtest needs QEMU"
	@$(GO) run ./e2e/vm

.PHONY: help demo down build images tools test test-unit test-long fuzz check generate bench size vmtest
