# connrace: `make demo` shows it, `make test` proves it. Everything else is here
# for those who change it.

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)

# Tools are pinned in modules of their own and built from source on first use:
# buf and the linter take a few minutes once.
TOOL := $(GO) tool -modfile=tools/go.mod
LINT := $(GO) tool -modfile=tools/lint/go.mod golangci-lint
GRPCURL := $(GO) tool -modfile=tools/grpcurl/go.mod grpcurl

# The race detector needs a C compiler.
HAVE_CC := $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && echo yes)
RACE := $(if $(HAVE_CC),-race)

# Without the race detector tests wait more than they compute: two cores do three
# packages at a time.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
AT_ONCE := $(if $(filter 1 2,$(CORES)),3,$(CORES))

# A release is never broken; until there is one, the last commit is not either.
RELEASED := $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null)
AGAINST := .git\#$(if $(RELEASED),tag=$(RELEASED),ref=HEAD)

# A count: at the end of a time Go sometimes reports its own deadline as a failure.
FUZZTIME ?= 100000x

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/connrace
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/connrace ./cmd/connrace

.PHONY: demo
demo: build ## Race real connections on loopback (ARGS=--hold keeps the daemon up)
	bin/connrace demo $(ARGS)

.PHONY: test
test: proto-check lint ## Everything: contract, lint, all tests with the race detector
	@$(if $(HAVE_CC),:,echo 'WARNING: no C compiler ($(shell $(GO) env CC)): the tests run WITHOUT the race detector')
	@mkdir -p bin
	$(TOOL) gotestsum --format pkgname --jsonfile bin/test.json -- $(RACE) -timeout 20m ./...

.PHONY: check
check: ## The quick loop: build, vet, all tests without the race detector
	$(GO) build ./...
	$(GO) vet ./...
	$(GO) test -p $(AT_ONCE) ./...

.PHONY: generate
generate: ## Write the generated Go code and the embedded descriptors anew
	$(TOOL) buf format -w proto
	$(TOOL) buf generate
	$(TOOL) buf build proto --as-file-descriptor-set --exclude-imports -o server/descriptors.binpb

.PHONY: proto-check
proto-check: ## Lint the contract, hold it against the last release, see that generated code fits
	$(TOOL) buf lint
	$(TOOL) buf format proto --diff --exit-code
	$(TOOL) buf breaking --against '$(AGAINST)'
	@rm -rf bin/.generated
	$(TOOL) buf generate -o bin/.generated
	$(TOOL) buf build proto --as-file-descriptor-set --exclude-imports -o bin/.generated/descriptors.binpb
	@diff -r --exclude='*.proto' proto bin/.generated/proto && \
		cmp server/descriptors.binpb bin/.generated/descriptors.binpb || \
		{ echo 'generated code does not fit the contract: run make generate'; exit 1; }

.PHONY: lint
lint: ## Lint the Go code
	$(LINT) run
	$(GO) mod verify

.PHONY: fuzz
fuzz: ## Fuzz every fuzz target FUZZTIME times (or for a time: 30s)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: bench
bench: ## Run every benchmark, and compare engines in CPU time (ARGS=-short: a minute and a half instead of eight)
	$(GO) test -run '^$$' -bench . -benchmem ./...
	@mkdir -p bin
	$(GO) run ./bench -json bin/bench.json $(ARGS)

.PHONY: grpcurl
grpcurl: ## Run grpcurl: make -s grpcurl ARGS='-plaintext 127.0.0.1:8305 list'
	@$(GRPCURL) $(ARGS)
