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
# The race detector needs a C compiler; without one the tests still run. These work on what is theirs alone and start
# nothing beside themselves: who calls them is watched, their own steps are not, which is half of what the tests
# would cost. SQLite is C that was translated; the others pack, parse, match and compute.
UNWATCHED := modernc.org/sqlite/lib compress/... github.com/klauspost/compress/... go/... regexp/... text/template/... \
	$(addprefix github.com/clarity-loop/clarity/services/,actigraphy/... health/... metric/... timeline model/pat/kernel)
RACE    := $(if $(shell command -v gcc || command -v clang),-race $(UNWATCHED:%=-gcflags=%=-race=false),)
TOOL    := hack/tools/tool
# Says what a step does that takes minutes, while it does it.
WATCH   := hack/watch.sh
# The second in which the race detector looks on behind the last test, once for each of 130 packages, is most of a minute.
export GORACE ?= atexit_sleep_ms=50
# How many packages are tested at a time: one more than there are cores, since some wait for servers.
ATONCE  := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
GOFILES  = git ls-files --cached --others --exclude-standard '*.go'

# What can be said on the command line; `make help` prints the lines with two hashes.
# What takes longest is begun first, so that no core is without work at the end.
LONGEST := ./controllers/modelversion ./cmd/clarity ./cmd/worker ./services/worker/analyse ./charts ./internal/sim ./cmd/internal/cost ./controllers/analysisjob ./services/erasure
PKGS ?= $(LONGEST) ./...## packages that `make test` tests, the longest first
export CLARITY_CONTROLPLANE ?= 1## empty: skip the tests on a real control plane, and build none
FUZZTIME ?= 30s## how long `make fuzz` runs each target
SEEDS ?= 1000## how many seeds `make sim` runs
FROM ?= 1## the first of them
KILLS ?= 100## how often `make crash` kills the platform
SOAK ?= 10m## how long `make soak` keeps up its load
CUTS ?= 200## at how many moments `make powercut` cuts the power
CLUSTER ?= $(CURDIR)/.cache/cluster## where `make cluster` keeps its state
COUNT ?= 1## how often `make bench` measures

##@ Run
.PHONY: demo
demo: clarity ## Start the platform, upload four weeks, print the week's results and the insight
	@$(BIN)/clarity demo

.PHONY: clarity
clarity: ## Build the laptop binary alone into bin/
	@mkdir -p $(BIN)
	@$(WATCH) "building $(BIN)/clarity" $(GO) build -ldflags "$(LDFLAGS)" -o $(BIN)/ ./cmd/clarity

.PHONY: build
build: ## Build every binary of cmd/ into bin/
	@mkdir -p $(BIN)
	@$(WATCH) "building every binary into $(BIN)/" $(GO) build -ldflags "$(LDFLAGS)" -o $(BIN)/ $(patsubst %/main.go,./%,$(wildcard cmd/*/main.go))

.PHONY: images
images: ## Build the images as OCI layouts into bin/images, without Docker (TWICE=1 builds them again from nothing, and compares)
	@$(WATCH) "building the images into $(BIN)/images" $(GO) run ./hack/images --out $(BIN)/images --version "$(VERSION)" $(if $(TWICE),--twice)

.PHONY: cluster
cluster: ## Start a cluster with simulated GPU nodes, install the operator and the samples, leave a kubeconfig
	@mkdir -p $(BIN)
	@$(WATCH) "building the operator, the plugin and the cluster's program" $(GO) build -ldflags "$(LDFLAGS)" -o $(BIN)/ ./cmd/manager ./cmd/kubectl-clarity ./hack/cluster
	@$(WATCH) "finding the control plane, or building it (once)" $(BIN)/cluster build >/dev/null
	@$(BIN)/cluster up --folder=$(CLUSTER)
	@ln -sf "$$($(BIN)/cluster build)/kubectl" "$$($(TOOL) helm)" $(BIN)/

.PHONY: cluster-down
cluster-down: ## Stop what `make cluster` started
	@$(GO) run ./hack/cluster down --folder=$(CLUSTER)

.PHONY: cloud
cloud: clarity peers ## Start Google Cloud as stand-ins, the three binaries over it and a phone, print the week's results (STAY=1 stays up; needs cargo)
	@$(WATCH) "building the three binaries" $(GO) build -ldflags "$(LDFLAGS)" -o $(BIN)/ ./cmd/ingress ./cmd/worker ./cmd/insights ./hack/cloud
	@$(BIN)/cloud $(if $(STAY),--stay)

##@ Check
.PHONY: quick
quick: ## Format, vet, lint and test what changed since main and what depends on it, in about a minute
	@hack/quick.sh

# What go test would vet is vetted by `make lint`, without instrumenting and reading all that it depends on once more.
.PHONY: test
test: ## Run every test with the race detector and print the counts (PKGS=./services/store runs those of one room)
	@[ -n "$(RACE)" ] || echo "no C compiler: running without the race detector"
	@[ -z "$$CLARITY_CONTROLPLANE" ] || [ -z "$$($(WATCH) "finding out whether a control plane is needed" hack/packages.sh cluster $(PKGS))" ] || $(MAKE) --no-print-directory controlplane
	@! $(GO) list $(PKGS) | grep -q /charts$$ || $(TOOL) helm >/dev/null
	@CGO_ENABLED=$(if $(RACE),1,0) $(WATCH) "compiling and running tests" "$$($(TOOL) gotestsum)" --format pkgname --format-hide-empty-pkg -- $(RACE) -vet=off -p $(ATONCE) -timeout 40m $(PKGS)

.PHONY: test-unit
test-unit: ## Run the tests that need no control plane
	@$(MAKE) --no-print-directory test CLARITY_CONTROLPLANE= PKGS="$$(hack/packages.sh standalone | tr '\n' ' ')"

.PHONY: test-operator
test-operator: ## Run the tests of the operator's rooms
	@$(MAKE) --no-print-directory test PKGS="./api/... ./controllers/... ./charts/... ./cmd/manager/... ./cmd/kubectl-clarity/..."

.PHONY: e2e
e2e: ## Run the operator's own binary on a real control plane with simulated GPU nodes, end to end
	@command -v prometheus >/dev/null || { echo "make e2e needs prometheus in PATH: install Debian's package prometheus"; exit 1; }
	@$(MAKE) --no-print-directory controlplane
	CLARITY_CONTROLPLANE=1 $(WATCH) "running the operator end to end" $(GO) test ./controllers/e2e -e2e -e2e.logs .cache/e2e -parallel 8 -timeout 20m -count=1
	CLARITY_CONTROLPLANE=1 $(GO) test ./hack/cluster -e2e -run '^TestReadme' -timeout 15m -count=1 -v

.PHONY: crash
crash: clarity ## Kill the platform with SIGKILL 100 times under load; nothing acknowledged may be lost
	$(WATCH) "killing the platform $(KILLS) times" $(GO) test ./cmd/clarity -run '^TestCrash$$' -count=1 -v -timeout 20m -crash.kills=$(KILLS)

.PHONY: powercut
powercut: ## Cut the power under load: start on what a disk may hold then, 200 times (needs strace; BITES=. shows that each sync is needed)
	$(WATCH) "cutting the power $(CUTS) times" $(GO) test ./cmd/clarity -run '^TestPowerCut$(if $(BITES),Bites)$$' -count=1 -v -timeout 120m -power.cuts=$(CUTS) -power.plants='$(BITES)'

.PHONY: sim
sim: ## Run the whole platform in a simulator, SEEDS seeds from FROM on, or the one seed SEED with its trace
	@hack/sim.sh $(or $(SEED),$(SEEDS)) $(if $(SEED),seed,$(FROM))

.PHONY: sim-bites
sim-bites: ## Show that the simulator finds faults: each of those planted, within 1,000 seeds
	@BITES='$(or $(BITES),all)' $(WATCH) "planting faults" $(GO) test ./internal/sim -run '^TestBites$$' -count=1 -v -timeout 60m

.PHONY: fuzz
fuzz: ## Run every fuzz target
	@hack/fuzz.sh $(FUZZTIME)

.PHONY: mutate
mutate: ## Change the code of PKG in small ways; print which changes no test notices, and the score
	@$(GO) run ./hack/mutate $(if $(FILES),-files '$(FILES)') $(if $(SKIP),-skip '$(SKIP)') $(if $(LEAST),-least $(LEAST)) $(or $(PKG),$(error say which room: make mutate PKG=./services/timeline))

.PHONY: check-api
check-api: clarity ## Lint openapi.json and run schemathesis against `clarity up`
	@hack/api/check.sh

.PHONY: check-clients
check-clients: ## Generate a TypeScript and a Kotlin client from openapi.json and compile them with an app's calls (needs npm and Maven)
	@hack/clients/check.sh

.PHONY: test-triton
test-triton: ## Test the client and the model repository on the real Triton server (installs it once; needs Python 3.11)
	CLARITY_TRITON=1 $(GO) test ./services/model/triton -run RealTriton -count=1 -v -timeout 10m

.PHONY: test-cloud
test-cloud: ## Test the cloud drivers on what stands in for the cloud, which it builds once (needs cargo and npm)
	@$(MAKE) --no-print-directory emulators
	cd hack/emulators/pubsubd && $(GO) test -count=1 ./...
	CLARITY_CLOUD=1 $(GO) test $$(FILES=hack/emulators/emulator hack/packages.sh readers ./...) -count=1 -timeout 20m

.PHONY: check-signals
check-signals: ## Hold every query of alerts, dashboards and autoscalers against the metrics that are told
	@$(TOOL) helm >/dev/null
	cd hack/signals/promql && $(GO) test -count=1 ./...

.PHONY: kill-cloud
kill-cloud: KILLS = 30
kill-cloud: emulators ## Kill, stop and cut off the three binaries and all they speak to, under load: KILLS=30 of each, ten minutes of each peer away
	CLARITY_CLOUD=1 $(WATCH) "killing the three binaries $(KILLS) times each, and cutting off whom they speak to" $(GO) test ./cmd -run '^TestTroubles$$' -count=1 -v -timeout 60m \
	  -parallel $(or $(WORLDS),5) -trouble.kills=$(KILLS) -trouble.stop=30s -trouble.cut=10s -trouble.down=$(or $(DOWN),10m) -trouble.every -trouble.pace=1s

.PHONY: lint
lint: ## Run gofmt, go vet, golangci-lint and the lint of the API
	@test -z "$$($(GOFILES) | xargs gofmt -l | tee /dev/stderr)" || { echo "make fmt formats these files"; exit 1; }
	@$(WATCH) "go vet" $(GO) vet ./...
	@$(WATCH) "golangci-lint" "$$($(TOOL) golangci-lint-kube-api-linter)" run --allow-parallel-runners ./...
	@$(WATCH) "golangci-lint of the API" "$$($(TOOL) golangci-lint-kube-api-linter)" run --allow-parallel-runners -c .golangci-kal.yml ./api/v1alpha1

.PHONY: verify
verify: ## Regenerate what is generated and fail where it differs; check the format and every go.mod, too
	@hack/verify.sh

.PHONY: vuln
vuln: ## Run govulncheck (DB=file:///path uses an offline copy of the database)
	"$$($(TOOL) govulncheck)" $(if $(DB),-db $(DB)) ./...

##@ Measure
.PHONY: soak
soak: ## Keep up 100 uploads and an erasure a second for ten minutes: nothing may grow, nobody wait longer (SOAK=1m for a try)
	@$(WATCH) "soaking for $(SOAK)" $(GO) test ./cmd/clarity -run '^TestSoak$$' -count=1 -v -timeout 60m -soak.for=$(SOAK)

SMALL := ./services/health/upload ./services/timeline ./services/ingress ./services/worker/analyse

.PHONY: bench
bench: clarity ## Measure the ingest path: acknowledgement latency, CPU and allocations per upload, memory (benchstat format)
	$(GO) test ./cmd/clarity -run '^$$' -bench '^BenchmarkIngest' -benchtime 20s -count $(COUNT) -timeout 30m
	$(GO) test $(SMALL) -run '^$$' -bench . -benchmem -count $(COUNT)

.PHONY: bench-cloud
bench-cloud: emulators ## Measure what an upload costs an ingress with the cloud's drivers, over stand-ins, and with those of a directory
	CLARITY_CLOUD=1 $(GO) test ./cmd/clarity -run '^$$' -bench '^BenchmarkIngest(Cloud)?500$$' -benchtime 2000x -count $(COUNT) -timeout 30m

.PHONY: bench-once
bench-once: ## See that the small benchmarks of `make bench` still run
	$(GO) test $(SMALL) -run '^$$' -bench . -benchtime 1x

.PHONY: bench-import
bench-import: ## Measure an import of five years: time, memory, disk; and what a fifth person waits while four import
	$(GO) test ./cmd/clarity -run '^$$' -bench '^BenchmarkImport$$' -benchtime 1x -count $(COUNT) -timeout 60m

.PHONY: bench-operator
bench-operator: controlplane ## Measure the operator with 10,000 AnalysisJobs and 50 models × 5 versions: writes, jobs/s, memory, CPU (half an hour)
	CLARITY_CONTROLPLANE=1 $(GO) test ./controllers/e2e -run '^TestScale$$' -e2e.scale -v -count=1 -timeout 60m

.PHONY: bench-pat
bench-pat: ## Measure PAT beside ONNX Runtime: ms, ratios, GFLOP/s (needs a C compiler and npm)
	@cd hack/peers && CGO_ENABLED=1 $(GO) run ./benchpat -library "$$(./onnxruntime.sh)"

.PHONY: shape
shape: ## Print how long functions and files are and what packages export
	@$(GO) test ./internal/house -run '^TestShape$$' -count=1 -v -shape | grep -v '^\(PASS\|ok\|=== \|--- \)'

##@ Keep house
.PHONY: fmt
fmt: ## Format every Go file
	@$(GOFILES) | xargs gofmt -l -w

.PHONY: tidy
tidy: ## Tidy every go.mod
	@hack/tidy.sh

.PHONY: generate
generate: ## Rewrite what is generated from the code (CRDs, roles, API pages, openapi.json, alerts, dashboards, vector kernels)
	$(GO) generate ./services/model/pat/kernel ./services/model/triton/oip
	@hack/codegen.sh
	$(GO) test ./charts -run '^TestTheTableOfValuesIsTheSchema$$' -update
	$(GO) test ./services/queue/pubsub -run TestWhatIsMadeIsWhatTheDriverWants -update
	$(GO) test ./services/ingress ./services/health/catalog -run 'TestGeneratedOpenAPIIsCommitted|TestTypesPageIsTheCatalog' -update
	$(GO) test ./controllers/internal/opmetrics -run TestMetricsPageIsTheCode -update

.PHONY: clean
clean: ## Remove build output (the caches outside the clone stay)
	rm -rf $(BIN)

##@ Built once, by whatever needs it
.PHONY: controlplane
controlplane: ## Build etcd, the API server, its controllers, the scheduler and KWOK (minutes, cold)
	@$(WATCH) "finding the control plane, or building it (once)" $(GO) run ./hack/cluster build

.PHONY: peers
peers: ## Build what stands in for cloud services (minutes, cold; one needs cargo)
	@for name in fake-gcs-server toxiproxy pubsubd authd kmsd geminid otlpd hidane; do hack/emulators/emulator $$name || exit; done

.PHONY: emulators
emulators: peers ## Build them, and install Firebase's own SDK for phones, for tests (needs npm)
	@hack/emulators/phone/phone

##@ Help
.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*##"; print "\nUsage: make \033[36m<target>\033[0m [NAME=value]"} \
	  /^[a-z0-9-]+:.*##/ {printf "  \033[36m%-16s\033[0m%s\n", $$1, $$2} \
	  /^(export )?[A-Z_]+ .?=.*##/ {sub(/^export /, ""); name = $$0; sub(/ .*/, "", name); said = $$0; sub(/.*## /, "", said); names = names sprintf("  \033[36m%-22s\033[0m%s\n", name, said)} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  END {printf "\n\033[1mValues\033[0m\n%s", names}' $(MAKEFILE_LIST)
