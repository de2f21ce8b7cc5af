package services_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"
)

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

func TestNoTestIsGivenADriverThatItDoesNotOpen(t *testing.T) {
	for _, row := range closed(t, os.DirFS(".."), testDrivers) {
		t.Errorf("%s: no test opens it; take it out of testDrivers", row)
	}
}

func TestADriverThatNoTestOpensIsFound(t *testing.T) {
	source := func(imports string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("package planted\n\nimport _ \"" + module + imports + "\"\n")}
	}
	table := map[string][]string{"services/feed": {"services/queue/sqlite", "services/store/sqlite"}, "services/queue": {"services/queue/sqlite"}}
	got := closed(t, fstest.MapFS{
		"services/feed/inner/a_test.go": source("services/queue/sqlite"),
		"services/feed/b.go":            source("services/store/sqlite"),
		"services/queue/c_test.go":      source("services/queue/sqlite"),
	}, table)
	want := []string{"services/feed → services/store/sqlite", "services/queue → services/queue/sqlite"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("idle rows (-want +got):\n%s", diff)
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
		"what keeps people from drivers knows one": {
			"services/veil/planted.go", "services/store/sqlite",
			[]string{"services/veil/planted.go: services/veil must not import services/store/sqlite"},
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
		"shipped code starts an emulated cloud": {
			"cmd/ingress/planted.go", "internal/emulated",
			[]string{"cmd/ingress/planted.go: only tests and hack import internal/emulated"},
		},
		"an emulated cloud knows a room": {
			"internal/emulated/planted.go", "services/flow",
			[]string{"internal/emulated/planted.go: internal/emulated must not import services/flow"},
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
		"a stage talks to a language model": {
			"services/insights/planted.go", "google.golang.org/genai",
			[]string{"services/insights/planted.go: services/insights must not import google.golang.org/genai"},
		},
		"a stage records traces itself": {
			"services/worker/intake/planted.go", "go.opentelemetry.io/otel/trace",
			[]string{"services/worker/intake/planted.go: services/worker/intake must not import go.opentelemetry.io/otel/trace"},
		},
		"the contract of traces knows who records them": {
			"services/trace/planted.go", "services/trace/otlp",
			[]string{"services/trace/planted.go: contract services/trace must not import services/trace/otlp"},
		},
		"what records traces is opened beside the list": {
			"cmd/internal/platform/planted.go", "services/trace/otlp",
			[]string{"cmd/internal/platform/planted.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/trace/otlp"},
		},
		"a stage has spans": {"services/worker/intake/planted.go", "services/trace", nil},
		"who bounds what a person uses knows a store": {
			"services/allowance/planted.go", "services/store/sqlite",
			[]string{"services/allowance/planted.go: services/allowance must not import services/store/sqlite"},
		},
		"a writer asks its model": {"services/narrative/gemini/planted.go", "google.golang.org/genai", nil},
		"a writer knows who it is about": {
			"services/narrative/gemini/planted.go", "services/record",
			[]string{"services/narrative/gemini/planted.go: services/narrative/gemini must not import services/record"},
		},
		"a contract talks to a cloud": {
			"services/blob/planted.go", "google.golang.org/api/option",
			[]string{"services/blob/planted.go: services/blob must not import google.golang.org/api/option"},
		},
		"a domain room talks to another cloud": {
			"services/metric/sleep/planted.go", "github.com/aws/aws-sdk-go-v2/service/s3",
			[]string{"services/metric/sleep/planted.go: services/metric/sleep must not import github.com/aws/aws-sdk-go-v2/service/s3"},
		},
		"a driver's stand-in talks as its cloud": {"services/keyring/kms/kmstest/planted.go", "cloud.google.com/go/kms/apiv1/kmspb", nil},
		"a suite talks to a cloud": {
			"services/keyring/keyringtest/planted.go", "cloud.google.com/go/kms/apiv1/kmspb",
			[]string{"services/keyring/keyringtest/planted.go: services/keyring/keyringtest must not import cloud.google.com/go/kms/apiv1/kmspb"},
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
			[]string{"cmd/internal/platform/planted.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/store/sqlite"},
		},
		"a stage's builder imports a driver": {
			"cmd/internal/platform/stages/planted.go", "services/narrative/template",
			[]string{"cmd/internal/platform/stages/planted.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/narrative/template"},
		},
		"a command imports a driver beside its list": {
			"cmd/clarity/up.go", "services/model/traffic/file",
			[]string{"cmd/clarity/up.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/model/traffic/file"},
		},
		"a command imports a model": {
			"cmd/clarity/model.go", "services/model/pat",
			[]string{"cmd/clarity/model.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/model/pat"},
		},
		"a list called like a command's, elsewhere": {
			"cmd/internal/platform/drivers.go", "services/store/sqlite",
			[]string{"cmd/internal/platform/drivers.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/store/sqlite"},
		},
		"the data directory's tools import a driver": {
			"cmd/internal/datadir/planted.go", "services/queue/sqlite",
			[]string{"cmd/internal/datadir/planted.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/queue/sqlite"},
		},
		"the data directory's drivers are a cloud's": {
			"cmd/internal/embedded/planted.go", "services/store/firestore",
			[]string{"cmd/internal/embedded/planted.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/store/firestore"},
		},
		"Google's drivers are a directory's": {
			"cmd/internal/google/planted.go", "services/store/sqlite",
			[]string{"cmd/internal/google/planted.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/store/sqlite"},
		},
		"the command line of the binaries names a driver": {
			"cmd/internal/serving/planted.go", "services/store/firestore",
			[]string{"cmd/internal/serving/planted.go: drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: services/store/firestore"},
		},
		"Google's drivers":                                {"cmd/internal/google/planted.go", "services/keyring/kms", nil},
		"a command's list of drivers":                     {"cmd/worker/drivers.go", "services/model/artifact/gcs", nil},
		"the data directory's drivers":                    {"cmd/internal/embedded/issuer/planted.go", "services/identity/local", nil},
		"the kinds of models":                             {"cmd/internal/models/planted.go", "services/model/pat", nil},
		"what the kinds of models share":                  {"cmd/clarity/planted.go", "services/model/bundle", nil},
		"a driver imports a shared mechanism":             {"services/queue/sqlite/planted.go", "services/internal/batch", nil},
		"a driver imports what its room's drivers share":  {"services/identity/local/planted.go", "services/identity/internal/jws", nil},
		"the KMS's keyring knows the documents' contract": {"services/keyring/kms/planted.go", "services/store", nil},
		"the KMS's keyring knows a driver of documents": {
			"services/keyring/kms/planted.go", "services/store/firestore",
			[]string{"services/keyring/kms/planted.go: services/keyring/kms must not import services/store/firestore"},
		},
		"the KMS's keyring knows the other": {
			"services/keyring/kms/planted.go", "services/keyring/tink",
			[]string{"services/keyring/kms/planted.go: services/keyring/kms must not import services/keyring/tink"},
		},
		"a contract imports what its drivers share": {
			"services/identity/planted.go", "services/identity/internal/jws",
			[]string{"services/identity/planted.go: contract services/identity must not import services/identity/internal/jws"},
		},
		"a stage imports what another room's drivers share": {
			"services/ingress/planted.go", "services/identity/internal/jws",
			[]string{"services/ingress/planted.go: services/ingress must not import services/identity/internal/jws"},
		},
		"what drivers share knows a driver": {
			"services/identity/internal/jws/planted.go", "services/identity/local",
			[]string{"services/identity/internal/jws/planted.go: services/identity/internal must not import services/identity/local"},
		},
		"what chains are made of knows a driver": {
			"services/audit/internal/chain/planted.go", "services/audit/file",
			[]string{"services/audit/internal/chain/planted.go: services/audit/internal must not import services/audit/file"},
		},
		"a log in a bucket knows one in a directory": {
			"services/audit/gcs/planted.go", "services/audit/file",
			[]string{"services/audit/gcs/planted.go: driver services/audit/gcs must not import services/audit/file"},
		},
		"what drivers share talks to a cloud": {
			"services/identity/internal/keyserver/planted.go", "google.golang.org/api/option",
			[]string{"services/identity/internal/keyserver/planted.go: services/identity/internal/keyserver must not import google.golang.org/api/option"},
		},
		"a metric family imports its contract": {"services/metric/sleep/planted.go", "services/metric", nil},
		"a listed room's test opens a driver":  {"services/worker/analyse/planted_test.go", "services/model/pat", nil},
		"a contract's test opens its driver":   {"services/store/planted_test.go", "services/store/sqlite", nil},
		"a driver's test opens its neighbour":  {"services/store/sqlite/planted_test.go", "services/store/firestore", nil},
		"a stage's test opens a driver": {
			"services/ingress/planted_test.go", "services/store/sqlite",
			[]string{"services/ingress/planted_test.go: the tests of services/ingress must not open services/store/sqlite"},
		},
		"a listed room's test opens another driver": {
			"services/worker/analyse/planted_test.go", "services/narrative/template",
			[]string{"services/worker/analyse/planted_test.go: the tests of services/worker/analyse must not open services/narrative/template"},
		},
		"a driver's test opens another capability's": {
			"services/store/sqlite/planted_test.go", "services/keyring/tink",
			[]string{"services/store/sqlite/planted_test.go: the tests of services/store/sqlite must not open services/keyring/tink"},
		},
		"a kind of models opens another in its test": {
			"services/model/preview/planted_test.go", "services/model/triton",
			[]string{"services/model/preview/planted_test.go: the tests of services/model/preview must not open services/model/triton"},
		},
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
