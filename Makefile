# Clarity Loop. `make help` lists what can be done here.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GO      ?= go
BIN     := bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# One way to build for binaries, tests, lint and fuzzing, so that a package is compiled once.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(filter-out -trimpath,$(shell $(GO) env GOFLAGS)) -trimpath)
# The race detector needs a C compiler; without one the tests still run.
RACE    := $(if $(shell command -v gcc || command -v clang),-race,)
PKGS    ?= ./...
# The operator's rooms are tested on a real control plane, built once; empty leaves them out.
export CLARITY_CONTROLPLANE ?= 1
TOOL    := hack/tools/tool
# Seconds a fuzz target runs in `make fuzz`.
FUZZTIME ?= 30s
# Where `make cluster` keeps its state.
CLUSTER ?= $(CURDIR)/.cache/cluster
# Times the crash test kills the platform.
KILLS   ?= 50

##@ Use
.PHONY: demo
demo: build ## Start the platform, upload four weeks, print the week's results and the insight
	@$(BIN)/clarity demo

.PHONY: build
build: ## Build every binary of cmd/ into bin/
	@mkdir -p $(BIN)
	$(GO) build -ldflags "$(LDFLAGS)" -o $(BIN)/ $(patsubst %/main.go,./%,$(wildcard cmd/*/main.go))

.PHONY: emulators
emulators: ## Build what stands in for cloud services in tests (once, some minutes cold)
	@hack/emulators/emulator fake-gcs-server

.PHONY: kubectl-clarity
kubectl-clarity: ## Build the kubectl plugin into bin/
	@mkdir -p $(BIN)
	$(GO) build -ldflags "$(LDFLAGS)" -o $(BIN)/kubectl-clarity ./cmd/kubectl-clarity

.PHONY: cluster
cluster: ## Start a cluster with simulated GPU nodes, the operator and the samples; leaves a kubeconfig
	@mkdir -p $(BIN)
	$(GO) build -ldflags "$(LDFLAGS)" -o $(BIN)/ ./cmd/manager ./cmd/kubectl-clarity ./hack/cluster
	@$(BIN)/cluster up --folder=$(CLUSTER)
	@ln -sf "$$($(BIN)/cluster build)/kubectl" "$$($(TOOL) helm)" $(BIN)/

.PHONY: cluster-down
cluster-down: ## End what `make cluster` started
	@$(GO) run ./hack/cluster down --folder=$(CLUSTER)

##@ Check
.PHONY: test
test: controlplane ## Run every test with the race detector; prints the counts (CLARITY_CONTROLPLANE= leaves the operator's out)
	@[ -n "$(RACE)" ] || echo "no C compiler: running without the race detector"
	@CGO_ENABLED=$(if $(RACE),1,0) "$$($(TOOL) gotestsum)" --format pkgname --format-hide-empty-pkg -- $(RACE) -timeout 40m $(PKGS)

.PHONY: test-operator
test-operator: controlplane ## Test the operator's rooms alone
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) -timeout 20m ./api/... ./controllers/... ./charts/... ./cmd/manager/... ./cmd/kubectl-clarity/...

.PHONY: e2e
e2e: ## Run the operator's own binary on a real control plane with simulated GPU nodes, end to end
	CLARITY_CONTROLPLANE=1 $(GO) test ./controllers/e2e -e2e -e2e.logs .cache/e2e -parallel 8 -timeout 20m -count=1
	CLARITY_CONTROLPLANE=1 $(GO) test ./hack/cluster -e2e -run '^TestReadme' -timeout 15m -count=1 -v

.PHONY: controlplane
controlplane: ## Build etcd, the API server, its controllers, the scheduler and KWOK (once, ten minutes cold)
	@[ -z "$$CLARITY_CONTROLPLANE" ] || $(GO) run ./hack/cluster build

.PHONY: test-triton
test-triton: ## Test the client and the model repository on the real Triton server (installed once; needs Python 3.11)
	CLARITY_TRITON=1 $(GO) test ./services/model/triton -run RealTriton -count=1 -v -timeout 10m

.PHONY: crash
crash: build ## Kill the platform with SIGKILL 50 times under load; nothing acked may be lost (KILLS=n)
	$(GO) test ./cmd/clarity -run '^TestCrash$$' -count=1 -v -timeout 20m -crash.kills=$(KILLS)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s) each
	@hack/fuzz.sh $(FUZZTIME)

.PHONY: mutate
mutate: ## Change the code of PKG in small ways and tell which changes no test notices, and the score
	@$(GO) run ./hack/mutate $(if $(FILES),-files '$(FILES)') $(if $(LEAST),-least $(LEAST)) $(or $(PKG),$(error say which room: make mutate PKG=./services/timeline))

.PHONY: check-api
check-api: build ## Lint openapi.json and run schemathesis against `clarity up`
	@hack/api/check.sh

.PHONY: lint
lint: ## go vet, gofmt, golangci-lint and the lint of the API
	@test -z "$$(gofmt -l api charts cmd controllers services hack 2>/dev/null | tee /dev/stderr)" || { echo "gofmt these files"; exit 1; }
	$(GO) vet ./...
	"$$($(TOOL) golangci-lint-kube-api-linter)" run ./...
	"$$($(TOOL) golangci-lint-kube-api-linter)" run -c .golangci-kal.yml ./api/v1alpha1

.PHONY: verify
verify: ## Regenerate what is generated and fail where it differs
	@hack/verify.sh

.PHONY: bench
bench: build ## Measure the ingest path: ack latency, CPU and allocations an upload, memory (benchstat format)
	$(GO) test ./cmd/clarity -run '^$$' -bench '^BenchmarkIngest' -benchtime 20s -count $(or $(COUNT),1) -timeout 30m
	$(GO) test ./services/health/upload ./services/timeline ./services/ingress ./services/worker/analyse -run '^$$' -bench . -benchmem -count $(or $(COUNT),1)

.PHONY: bench-operator
bench-operator: ## Measure the operator with 10,000 AnalysisJobs and 50 models × 5 versions: writes, jobs/s, memory, CPU (half an hour)
	CLARITY_CONTROLPLANE=1 $(GO) test ./controllers/e2e -run '^TestScale$$' -e2e.scale -v -count=1 -timeout 60m

.PHONY: bench-pat
bench-pat: ## Measure PAT beside ONNX Runtime: ms, ratios, GFLOP/s (needs a C compiler and npm)
	@cd hack/peers && CGO_ENABLED=1 $(GO) run ./benchpat -library "$$(./onnxruntime.sh)"

.PHONY: vuln
vuln: ## govulncheck; DB=file:///path uses an offline copy of the database
	"$$($(TOOL) govulncheck)" $(if $(DB),-db $(DB)) ./...

##@ Keep house
.PHONY: generate
generate: ## Rewrite what is generated from the code (CRDs, roles, API pages, openapi.json, vector kernels)
	$(GO) generate ./services/model/pat/kernel ./services/model/triton/oip
	@hack/codegen.sh
	$(GO) test ./charts -run '^TestTheTableOfValuesIsTheSchema$$' -update
	$(GO) test ./services/ingress ./services/health/catalog -run 'TestGeneratedOpenAPIIsCommitted|TestTypesPageIsTheCatalog' -update
	$(GO) test ./controllers/internal/opmetrics -run TestMetricsPageIsTheCode -update

.PHONY: clean
clean: ## Remove build output (the tool cache outside the clone stays)
	rm -rf $(BIN)

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*##"; print "\nUsage: make \033[36m<target>\033[0m"} \
	  /^[a-z0-9-]+:.*##/ {printf "  \033[36m%-12s\033[0m %s\n", $$1, $$2} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)}' $(MAKEFILE_LIST)
