package services_test

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"
)

const module = "github.com/clarity-loop/clarity/"

// The rooms of the ingress that others of its rooms stand on.
const (
	ingressAccess  = "services/ingress/internal/access"
	ingressEdge    = "services/ingress/internal/edge"
	ingressLimit   = "services/ingress/internal/limit"
	ingressLine    = "services/ingress/internal/line"
	ingressProblem = "services/ingress/internal/problem"
	ingressReply   = "services/ingress/internal/reply"
	ingressRoute   = "services/ingress/internal/route"
)

// rules says which of our rooms a room may import. A room is a folder and
// everything below it; the longest matching row decides. "x" is the whole room
// x, "=x" its contract alone: the package x itself, never a driver below it.
//
// A room may always import what lies in its own folder, with two exceptions
// that need no row: no driver imports another driver, and no stage another stage.
var rules = map[string][]string{
	// The folder of the rooms is no room: no code of it is shipped.
	"services": {},
	// Domain.
	"services/health":     {},
	"services/timeline":   {"services/health"},
	"services/actigraphy": {},
	"services/metric":     {"services/actigraphy", "services/health"},
	"services/analysis":   {"services/actigraphy", "services/health"},
	"services/flow":       {"services/health"},
	// A writer's words, or the template's where they do not keep to the facts.
	"services/grounded": {"services/analysis", "=services/narrative"},
	// A person's sealed objects, as documents have a store: nobody seals a blob by hand.
	"services/vault": {"=services/blob", "=services/keyring"},
	// What becomes of a message whose handling failed: said once for every stage.
	"services/stage": {"services/fault", "=services/queue"},
	// Why a backend could not: the one word for failure that every driver returns.
	"services/fault":  {},
	"services/record": {"services/analysis", "services/flow", "services/health"},
	// Capabilities: contract, suite, drivers.
	"services/blob":      {"services/fault", "internal/dirlock", "services/internal"},
	"services/keyring":   {"services/fault", "services/internal"},
	"services/identity":  {"internal/dirlock", "services/internal"},
	"services/queue":     {"services/fault", "services/internal"},
	"services/store":     {"services/fault", "services/record", "services/internal"},
	"services/audit":     {"services/fault", "internal/dirlock", "services/internal"},
	"services/narrative": {"services/analysis"},
	"services/model":     {"services/actigraphy"},
	// Below the model's contract: what its drivers share.
	"services/model/internal":   {},
	"services/model/preprocess": {"services/actigraphy", "=services/model"},
	"services/model/bundle":     {"services/actigraphy", "=services/model", "services/model/preprocess"},
	"services/model/pat": {"=services/model", "services/model/internal", "services/model/preprocess",
		"services/model/bundle"},
	"services/model/triton":  {"=services/model", "services/model/bundle", "services/model/preprocess"},
	"services/model/preview": {},
	// Where a version's files come from; its drivers know the contract and what a bundle looks like.
	"services/model/artifact":              {"=services/model", "services/model/bundle"},
	"services/model/artifact/artifacttest": {"services/model"},
	// What is done to a version before it serves anybody.
	"services/model/candidate": {"api/worker", "=services/model", "services/model/bundle", "=services/model/artifact"},
	// The router: which of a model's versions a request goes to, as the plan says.
	"services/model/traffic":           {"api/traffic", "=services/model"},
	"services/model/traffic/file":      {"api/traffic"},
	"services/model/traffic/fixed":     {"api/traffic"},
	"services/model/traffic/configmap": {"api/traffic"},
	// Mechanisms that drivers share: they know nothing of ours.
	"services/internal": {},
	// SQLite's result codes, in the word for failure.
	"services/internal/litedb": {"internal/dirlock", "services/fault"},
	// The lock of a data directory, which drivers and the commands share.
	"internal/dirlock": {},
	// Stages.
	"services/ingress": {"api/traffic", "services/vault", "services/health", "=services/blob", "=services/queue", "=services/store",
		"=services/keyring", "=services/identity", "=services/audit", "=services/narrative", "services/grounded"},
	// The ingress in rooms, from the line inwards: none looks back up, none beside itself.
	"services/ingress/internal/problem":    {},
	"services/ingress/internal/limit":      {},
	"services/ingress/internal/strictjson": {},
	"services/ingress/internal/line":       {ingressProblem},
	"services/ingress/internal/represent":  {},
	"services/ingress/internal/memory":     {},
	"services/ingress/internal/edge":       {ingressProblem, ingressLimit, ingressLine, "services/ingress/internal/represent"},
	"services/ingress/internal/route":      {ingressProblem, "=services/audit"},
	"services/ingress/internal/reply": {ingressProblem, "services/analysis", "services/fault", "services/health", "services/record",
		"=services/blob", "=services/identity", "=services/keyring", "=services/store"},
	"services/ingress/internal/access": {ingressEdge, ingressLimit, ingressProblem, ingressReply, ingressRoute,
		"services/analysis", "services/record", "=services/audit", "=services/identity", "=services/keyring", "=services/store"},
	"services/ingress/internal/uploads": {ingressEdge, "services/ingress/internal/memory", ingressProblem, ingressReply, ingressRoute,
		"services/analysis", "services/flow", "services/health", "services/record", "=services/audit", "=services/blob", "=services/keyring", "=services/queue", "=services/store"},
	"services/ingress/internal/synced": {ingressReply, ingressRoute, "services/health", "services/record", "=services/store"},
	"services/ingress/internal/results": {ingressEdge, ingressProblem, ingressReply, ingressRoute,
		"services/analysis", "services/health", "services/record", "=services/audit", "services/grounded", "=services/store"},
	"services/ingress/internal/events": {ingressReply, ingressRoute, "services/record", "=services/identity", "=services/store"},
	"services/ingress/internal/account": {ingressProblem, ingressReply, ingressRoute,
		"services/flow", "services/record", "=services/audit", "=services/blob", "=services/queue", "=services/store"},
	"services/ingress/internal/ingresstest": {"services"},
	"services/worker": {"services/fault", "services/stage", "api/worker", "services/flow", "services/record", "services/health", "services/timeline", "services/actigraphy", "services/metric", "services/analysis",
		"=services/model", "=services/blob", "=services/queue", "=services/store", "=services/keyring", "=services/audit"},
	"services/insights": {"services/stage", "services/flow", "services/record", "services/analysis", "services/actigraphy", "=services/narrative", "services/grounded", "=services/store", "=services/queue", "=services/audit"},
	"services/feed":     {"services/stage", "services/flow", "services/record", "services/analysis", "=services/store", "=services/queue"},
	// What has served its time goes: it knows which records refer to which objects.
	"services/retention": {"services/record", "=services/blob", "=services/keyring", "=services/store"},
	// The words between operator, worker and plugin: the kinds, and, with the
	// standard library alone, the worker's commands, the traffic plan and the labels.
	"api":         {},
	"api/worker":  {},
	"api/traffic": {},
	"api/label":   {},
	// The operator: intents in Kubernetes, never data.
	"controllers": {"api"},
	// A rollout is decided without a client; the client of its gates decides nothing.
	"controllers/modelversion/rollout": {"api", "controllers/internal/pass", "controllers/internal/condition"},
	"controllers/modelversion/gate":    {"api"},
	"controllers/modelversion/serving": {"api", "controllers/internal"},
	// A control plane for tests and for `make cluster`; shipped code never imports it.
	"internal/kubelab": {"api"},
	// The edge.
	"cmd": {"api", "controllers", "internal/dirlock", "services"},
	// What a program was built from: every program may say it.
	"cmd/internal/buildinfo": {},
	// The plugin works from a kubeconfig alone: it knows the words of the API and nothing else of ours.
	"cmd/kubectl-clarity": {"api", "cmd/internal/buildinfo"},
}

// suites end in "test": conformance suites that a room's drivers share. Only tests import them.
func isSuite(pkg string) bool { return strings.HasSuffix(pkg, "test") }

func TestImportsFollowTheRules(t *testing.T) {
	for _, v := range violations(t, os.DirFS("..")) {
		t.Error(v)
	}
}

func TestNothingIsAllowedThatNobodyUses(t *testing.T) {
	for _, row := range idle(t, os.DirFS(".."), rules) {
		t.Errorf("%s: no shipped code imports so; take it out of rules", row)
	}
}

// A permission that a test alone uses, or that a contract's driver would need
// and only the contract is imported, is found.
func TestAPermissionThatNobodyUsesIsFound(t *testing.T) {
	source := func(imports string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("package planted\n\nimport _ \"" + module + imports + "\"\n")}
	}
	table := map[string][]string{"services/feed": {"services/fault", "=services/store", "services/audit"}, "services/feed/inner": {"services/fault"}}
	got := idle(t, fstest.MapFS{
		"services/feed/a.go":         source("services/fault"),
		"services/feed/b.go":         source("services/store/sqlite"),
		"services/feed/c_test.go":    source("services/audit"),
		"services/feed/inner/own.go": source("services/feed/inner/deep"),
	}, table)
	want := []string{"services/feed → =services/store", "services/feed → services/audit", "services/feed/inner → services/fault"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("idle permissions (-want +got):\n%s", diff)
	}
}

func TestEveryRoomHasARule(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if _, ok := rules["services/"+e.Name()]; !ok {
			t.Errorf("services/%s has no row in rules: say what it may import", e.Name())
		}
	}
}

// The rules bite: each planted import is found, each allowed one is not.
func TestPlantedViolationsAreFound(t *testing.T) {
	tests := map[string]struct {
		file, imports string
		want          []string
	}{
		"a domain room imports a store": {
			"services/actigraphy/planted.go", "services/store",
			[]string{"services/actigraphy/planted.go: services/actigraphy must not import services/store"},
		},
		"a stage imports a driver": {
			"services/ingress/planted.go", "services/store/sqlite",
			[]string{"services/ingress/planted.go: services/ingress must not import services/store/sqlite"},
		},
		"a stage imports another stage": {
			"services/worker/intake/planted.go", "services/insights",
			[]string{"services/worker/intake/planted.go: services/worker must not import services/insights"},
		},
		"the ingress's edge imports a store": {
			"services/ingress/internal/edge/planted.go", "services/store",
			[]string{"services/ingress/internal/edge/planted.go: services/ingress/internal/edge must not import services/store"},
		},
		"a room of the ingress imports the one that lists it": {
			"services/ingress/internal/access/planted.go", "services/ingress",
			[]string{"services/ingress/internal/access/planted.go: services/ingress/internal/access must not import services/ingress"},
		},
		"a room of the ingress imports the one beside it": {
			"services/ingress/internal/account/planted.go", "services/ingress/internal/uploads",
			[]string{"services/ingress/internal/account/planted.go: services/ingress/internal/account must not import services/ingress/internal/uploads"},
		},
		"the ingress lists its rooms": {"services/ingress/planted.go", "services/ingress/internal/account", nil},
		"the word for failure knows a room": {
			"services/fault/planted.go", "services/store",
			[]string{"services/fault/planted.go: services/fault must not import services/store"},
		},
		"sealed objects know a driver": {
			"services/vault/planted.go", "services/blob/files",
			[]string{"services/vault/planted.go: services/vault must not import services/blob/files"},
		},
		"what stages share knows a stage": {
			"services/stage/planted.go", "services/feed",
			[]string{"services/stage/planted.go: services/stage must not import services/feed"},
		},
		"a publisher knows a consumer": {
			"services/worker/planted.go", "services/feed",
			[]string{"services/worker/planted.go: services/worker must not import services/feed"},
		},
		"a driver imports its room's word for failure": {"services/store/sqlite/planted.go", "services/fault", nil},
		"a driver imports another driver of its room": {
			"services/store/sqlite/planted.go", "services/store/firestore",
			[]string{"services/store/sqlite/planted.go: driver services/store/sqlite must not import services/store/firestore"},
		},
		"a contract imports its driver": {
			"services/blob/planted.go", "services/blob/files",
			[]string{"services/blob/planted.go: contract services/blob must not import services/blob/files"},
		},
		"shipped code imports a test suite": {
			"services/worker/planted.go", "services/health/upload/uploadtest",
			[]string{"services/worker/planted.go: only tests import services/health/upload/uploadtest"},
		},
		"shipped code imports the lab's control plane": {
			"controllers/operator/planted.go", "internal/kubelab/kube",
			[]string{"controllers/operator/planted.go: only tests and hack import internal/kubelab/kube"},
		},
		"a test imports the lab's control plane": {"controllers/operator/planted_test.go", "internal/kubelab/kube", nil},
		"shipped code imports a development tool": {
			"cmd/clarity/planted.go", "hack/cluster",
			[]string{"cmd/clarity/planted.go: nothing imports hack/cluster"},
		},
		"a test imports a development tool": {
			"charts/planted_test.go", "hack/cluster",
			[]string{"charts/planted_test.go: nothing imports hack/cluster"},
		},
		"a service imports a command": {
			"services/feed/planted.go", "cmd/internal/platform",
			[]string{"services/feed/planted.go: services/feed must not import cmd/internal/platform"},
		},
		"the operator imports a service": {
			"controllers/analysisjob/planted.go", "services/store",
			[]string{"controllers/analysisjob/planted.go: controllers must not import services/store"},
		},
		"a decision imports what acts on it": {
			"controllers/modelversion/rollout/planted.go", "controllers/modelversion/gate",
			[]string{"controllers/modelversion/rollout/planted.go: controllers/modelversion/rollout must not import controllers/modelversion/gate"},
		},
		"what serves a version knows the rollout": {
			"controllers/modelversion/serving/planted.go", "controllers/modelversion/rollout",
			[]string{"controllers/modelversion/serving/planted.go: controllers/modelversion/serving must not import controllers/modelversion/rollout"},
		},
		"a decision talks to Kubernetes": {
			"controllers/modelversion/rollout/planted.go", "sigs.k8s.io/controller-runtime/pkg/client",
			[]string{"controllers/modelversion/rollout/planted.go: controllers/modelversion/rollout must not import sigs.k8s.io/controller-runtime/pkg/client"},
		},
		"a decision talks to anyone": {
			"controllers/modelversion/rollout/planted.go", "net/http",
			[]string{"controllers/modelversion/rollout/planted.go: controllers/modelversion/rollout must not import net/http"},
		},
		"a decision talks to anyone, a folder further down": {
			"controllers/modelversion/rollout/deeper/planted.go", "net/http",
			[]string{"controllers/modelversion/rollout/deeper/planted.go: controllers/modelversion/rollout/deeper must not import net/http"},
		},
		"a decision runs a program": {
			"controllers/modelversion/rollout/planted.go", "os/exec",
			[]string{"controllers/modelversion/rollout/planted.go: controllers/modelversion/rollout must not import os/exec"},
		},
		"a decision asks a library that nobody listed": {
			"controllers/modelversion/rollout/planted.go", "github.com/prometheus/client_golang/api",
			[]string{"controllers/modelversion/rollout/planted.go: controllers/modelversion/rollout must not import github.com/prometheus/client_golang/api"},
		},
		"a service reconciles": {
			"services/worker/planted.go", "sigs.k8s.io/controller-runtime/pkg/client",
			[]string{"services/worker/planted.go: services/worker must not import sigs.k8s.io/controller-runtime/pkg/client"},
		},
		"a stage talks to a cloud": {
			"services/ingress/planted.go", "cloud.google.com/go/firestore",
			[]string{"services/ingress/planted.go: services/ingress must not import cloud.google.com/go/firestore"},
		},
		"a contract talks to a cloud": {
			"services/blob/planted.go", "google.golang.org/api/option",
			[]string{"services/blob/planted.go: services/blob must not import google.golang.org/api/option"},
		},
		"a domain room talks to another cloud": {
			"services/metric/sleep/planted.go", "github.com/aws/aws-sdk-go-v2/service/s3",
			[]string{"services/metric/sleep/planted.go: services/metric/sleep must not import github.com/aws/aws-sdk-go-v2/service/s3"},
		},
		"a driver talks to its cloud": {"services/model/artifact/gcs/planted.go", "cloud.google.com/go/storage", nil},
		"the services' own folder imports a driver": {
			"services/planted.go", "services/store/sqlite",
			[]string{"services/planted.go: services must not import services/store/sqlite"},
		},
		"a decision knows the kinds": {"controllers/modelversion/rollout/planted.go", "k8s.io/apimachinery/pkg/types", nil},
		"the operator imports the router": {
			"controllers/modelversion/planted.go", "services/model/traffic",
			[]string{"controllers/modelversion/planted.go: controllers must not import services/model/traffic"},
		},
		"the operator imports the plan":      {"controllers/modelversion/planted.go", "api/traffic", nil},
		"a stage reads the worker's words":   {"services/worker/planted.go", "api/worker/termination", nil},
		"the plugin says what it is made of": {"cmd/kubectl-clarity/planted.go", "cmd/internal/buildinfo", nil},
		"the plugin imports the wiring": {
			"cmd/kubectl-clarity/planted.go", "cmd/internal/platform",
			[]string{"cmd/kubectl-clarity/planted.go: cmd/kubectl-clarity must not import cmd/internal/platform"},
		},
		"a stage imports the kinds": {
			"services/worker/planted.go", "api/v1alpha1",
			[]string{"services/worker/planted.go: services/worker must not import api/v1alpha1"},
		},
		"the worker's words import the kinds": {
			"api/worker/planted.go", "api/v1alpha1",
			[]string{"api/worker/planted.go: api/worker must not import api/v1alpha1"},
		},
		"the worker's words import Kubernetes": {
			"api/worker/termination/planted.go", "k8s.io/api/core/v1",
			[]string{"api/worker/termination/planted.go: api/worker/termination must not import k8s.io/api/core/v1"},
		},
		"the labels import Kubernetes": {
			"api/label/planted.go", "k8s.io/apimachinery/pkg/types",
			[]string{"api/label/planted.go: api/label must not import k8s.io/apimachinery/pkg/types"},
		},
		"the labels import the kinds": {
			"api/label/planted.go", "api/v1alpha1",
			[]string{"api/label/planted.go: api/label must not import api/v1alpha1"},
		},
		"the plan imports a library": {
			"api/traffic/planted.go", "github.com/prometheus/client_golang/prometheus",
			[]string{"api/traffic/planted.go: api/traffic must not import github.com/prometheus/client_golang/prometheus"},
		},
		"the kinds import a framework": {
			"api/v1alpha1/planted.go", "sigs.k8s.io/controller-runtime/pkg/scheme",
			[]string{"api/v1alpha1/planted.go: api/v1alpha1 must not import sigs.k8s.io/controller-runtime/pkg/scheme"},
		},
		"the kinds import Kubernetes' types":    {"api/v1alpha1/planted.go", "k8s.io/apimachinery/pkg/types", nil},
		"the plan imports the standard library": {"api/traffic/planted.go", "crypto/sha256", nil},
		"a service talks to Kubernetes": {
			"services/worker/planted.go", "k8s.io/client-go/rest",
			[]string{"services/worker/planted.go: services/worker must not import k8s.io/client-go/rest"},
		},
		"the plan's driver talks to Kubernetes": {"services/model/traffic/configmap/planted.go", "k8s.io/client-go/rest", nil},
		"the plan imports its driver": {
			"services/model/traffic/planted.go", "services/model/traffic/file",
			[]string{"services/model/traffic/planted.go: contract services/model/traffic must not import services/model/traffic/file"},
		},
		"a driver imports its contract": {"services/store/sqlite/planted.go", "services/store", nil},
		"a stage imports a contract":    {"services/ingress/planted.go", "services/store", nil},
		"the platform imports a driver": {
			"cmd/internal/platform/planted.go", "services/store/sqlite",
			[]string{"cmd/internal/platform/planted.go: drivers are named in cmd/*/drivers.go and cmd/internal/embedded: services/store/sqlite"},
		},
		"a stage's builder imports a driver": {
			"cmd/internal/platform/stages/planted.go", "services/narrative/template",
			[]string{"cmd/internal/platform/stages/planted.go: drivers are named in cmd/*/drivers.go and cmd/internal/embedded: services/narrative/template"},
		},
		"a command imports a driver beside its list": {
			"cmd/clarity/up.go", "services/model/traffic/file",
			[]string{"cmd/clarity/up.go: drivers are named in cmd/*/drivers.go and cmd/internal/embedded: services/model/traffic/file"},
		},
		"a command imports a model": {
			"cmd/clarity/model.go", "services/model/pat",
			[]string{"cmd/clarity/model.go: drivers are named in cmd/*/drivers.go and cmd/internal/embedded: services/model/pat"},
		},
		"a list called like a command's, elsewhere": {
			"cmd/internal/platform/drivers.go", "services/store/sqlite",
			[]string{"cmd/internal/platform/drivers.go: drivers are named in cmd/*/drivers.go and cmd/internal/embedded: services/store/sqlite"},
		},
		"the data directory's tools import a driver": {
			"cmd/internal/datadir/planted.go", "services/queue/sqlite",
			[]string{"cmd/internal/datadir/planted.go: drivers are named in cmd/*/drivers.go and cmd/internal/embedded: services/queue/sqlite"},
		},
		"a command's list of drivers":          {"cmd/worker/drivers.go", "services/model/artifact/gcs", nil},
		"the data directory's drivers":         {"cmd/internal/embedded/issuer/planted.go", "services/identity/local", nil},
		"the kinds of models":                  {"cmd/internal/models/planted.go", "services/model/pat", nil},
		"what the kinds of models share":       {"cmd/clarity/planted.go", "services/model/bundle", nil},
		"a driver imports a shared mechanism":  {"services/queue/sqlite/planted.go", "services/internal/batch", nil},
		"a metric family imports its contract": {"services/metric/sleep/planted.go", "services/metric", nil},
		"a test imports any embedded driver":   {"services/ingress/planted_test.go", "services/store/sqlite", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			imports := tt.imports
			if _, ours := slices.BinarySearch([]string{"api", "cmd", "controllers", "hack", "internal", "services"}, strings.Split(imports, "/")[0]); ours {
				imports = module + imports
			}
			source := "package planted\n\nimport _ \"" + imports + "\"\n"
			got := violations(t, fstest.MapFS{tt.file: {Data: []byte(source)}})
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// lab is the control plane that tests and `make cluster` start.
const lab = "internal/kubelab"

// An edge is what one file imports of ours or of others.
type edge struct {
	file, imported string
	ours           bool
}

// edges parses the imports of every Go file below root. No child process runs,
// so the test cache sees every file that was read.
func edges(t *testing.T, root fs.FS) []edge {
	t.Helper()
	var found []edge
	for _, top := range []string{"api", "charts", "cmd", "controllers", "internal", "services"} {
		err := fs.WalkDir(root, top, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") {
				return skipMissing(file, top, err)
			}
			source, err := fs.ReadFile(root, file)
			if err != nil {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range parsed.Imports {
				imported, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
				found = append(found, edge{file, imported, ours})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// violations returns what below root breaks the rules, sorted. Tests may import
// any room of ours but hack, whose folders are programs.
func violations(t *testing.T, root fs.FS) []string {
	t.Helper()
	var found []string
	for _, e := range edges(t, root) {
		if why := e.fault(); why != "" {
			found = append(found, e.file+": "+why)
		}
	}
	slices.Sort(found)
	return found
}

// fault says why the file must not import what it does, or "".
func (e edge) fault() string {
	switch pkg := path.Dir(e.file); {
	case e.ours && within(e.imported, "hack"):
		return "nothing imports " + e.imported
	case e.inTest():
		return ""
	case !e.ours && foreign(pkg, e.imported):
		return pkg + " must not import " + e.imported
	case !e.ours:
		return ""
	case isDriver(e.imported) && within(e.file, "cmd") && !mayNameDrivers(e.file, e.imported):
		return "drivers are named in cmd/*/drivers.go and cmd/internal/embedded: " + e.imported
	default:
		return forbidden(pkg, e.imported)
	}
}

func (e edge) inTest() bool { return strings.HasSuffix(e.file, "_test.go") }

// idle returns the permissions of table that no file below root but a test uses,
// sorted: what nobody needs is not allowed.
func idle(t *testing.T, root fs.FS, table map[string][]string) []string {
	t.Helper()
	used := map[string]bool{}
	for _, e := range edges(t, root) {
		room, allowed := ruleOf(table, path.Dir(e.file))
		if !e.ours || e.inTest() || within(e.imported, room) {
			continue
		}
		for _, a := range allowed {
			if permits(a, e.imported) {
				used[room+" → "+a] = true
			}
		}
	}
	var found []string
	for room, allowed := range table {
		for _, a := range allowed {
			if !used[room+" → "+a] {
				found = append(found, room+" → "+a)
			}
		}
	}
	slices.Sort(found)
	return found
}

func skipMissing(file, top string, err error) error {
	if err != nil && file == top && os.IsNotExist(err) {
		return fs.SkipDir
	}
	return err
}

// pure are the rooms that decide and act on nothing, with all that they, and what
// lies below them, import beside what is ours.
var pure = map[string][]string{
	"controllers/modelversion/rollout": {"crypto/sha256", "encoding/hex", "encoding/json", "fmt", "reflect", "slices", "strings", "time",
		"k8s.io/apimachinery/pkg/apis/meta/v1", "k8s.io/apimachinery/pkg/types"},
}

// clouds are the SDKs of those whose machines we may run on: a driver's affair.
var clouds = []string{"cloud.google.com", "google.golang.org/api", "firebase.google.com", "github.com/aws", "github.com/Azure"}

// narrow are the rooms that others read from outside, with what they may import
// that is neither ours nor the standard library's: it goes with them.
var narrow = map[string][]string{
	"api":         {"k8s.io/apimachinery", "k8s.io/client-go/applyconfigurations", "sigs.k8s.io/structured-merge-diff"},
	"api/worker":  {},
	"api/traffic": {},
	"api/label":   {},
}

// foreign says whether the package must not import what is not ours.
func foreign(pkg, imported string) bool {
	acts := func(p string) bool { return within(imported, p) }
	room, _ := ruleOf(rules, pkg)
	if known, is := narrow[room]; is && strings.Contains(strings.Split(imported, "/")[0], ".") {
		return !slices.ContainsFunc(known, acts)
	}
	for room, known := range pure {
		if within(pkg, room) {
			return !slices.Contains(known, imported)
		}
	}
	kubernetes := within(imported, "k8s.io") || within(imported, "sigs.k8s.io")
	cloud := within(pkg, "services") && !isDriver(pkg) && slices.ContainsFunc(clouds, acts)
	return kubernetes && !mayKnowKubernetes(pkg) || cloud
}

// mayKnowKubernetes says whether the package may talk to a cluster. Of the
// services one driver may: the traffic plan lies in a ConfigMap.
func mayKnowKubernetes(pkg string) bool {
	return !within(pkg, "services") || pkg == "services/model/traffic/configmap"
}

// isDriver says whether the package stands behind a capability's contract: it is
// a folder in the contract's, or one of the kinds of models.
func isDriver(pkg string) bool {
	if slices.Contains([]string{"services/model/pat", "services/model/preview", "services/model/triton"}, pkg) {
		return true
	}
	contract := path.Dir(pkg)
	return contract != "services/model" && slices.Contains(capabilities, contract) && !isSuite(pkg)
}

// mayNameDrivers says whether a file of a command is a binary's list of drivers,
// or one of the data directory's drivers; the kinds of models have a room of their own.
func mayNameDrivers(file, driver string) bool {
	list, err := path.Match("cmd/*/drivers.go", file)
	return err == nil && list || within(file, "cmd/internal/embedded") ||
		within(file, "cmd/internal/models") && path.Dir(driver) == "services/model"
}

// forbidden says why package importer must not import package imported, or "".
func forbidden(importer, imported string) string {
	if isSuite(imported) && !isSuite(importer) && !within(importer, lab) {
		return "only tests import " + imported
	}
	if within(imported, lab) && !within(importer, lab) {
		return "only tests and hack import " + imported
	}
	room, allowed := ruleOf(rules, importer)
	if within(imported, room) && room != "services" {
		return forbiddenInside(room, importer, imported)
	}
	if slices.ContainsFunc(allowed, func(a string) bool { return permits(a, imported) }) {
		return ""
	}
	return room + " must not import " + imported
}

// permits says whether the permission covers the package.
func permits(permission, imported string) bool {
	contract, only := strings.CutPrefix(permission, "=")
	return only && imported == contract || !only && within(imported, permission)
}

// capabilities are the rooms with drivers.
var capabilities = []string{"services/blob", "services/queue", "services/store", "services/keyring",
	"services/identity", "services/narrative", "services/audit", "services/model", "services/model/traffic",
	"services/model/artifact"}

func forbiddenInside(room, importer, imported string) string {
	if !slices.Contains(capabilities, room) || imported == room || isSuite(importer) {
		return ""
	}
	if importer == room {
		return "contract " + importer + " must not import " + imported
	}
	return "driver " + importer + " must not import " + imported
}

func ruleOf(table map[string][]string, pkg string) (room string, allowed []string) {
	rooms := make([]string, 0, len(table))
	for r := range table {
		if within(pkg, r) {
			rooms = append(rooms, r)
		}
	}
	if len(rooms) == 0 {
		return pkg, nil
	}
	room = slices.MaxFunc(rooms, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	return room, table[room]
}

func within(pkg, room string) bool {
	return pkg == room || strings.HasPrefix(filepath.ToSlash(pkg), room+"/")
}
