package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What a laptop needs and nothing more: the binary links no Kubernetes and no
// cloud. It was 54.8 MB with one string's worth of client-go, and 29.4 without.
func TestTheBinaryIsWithoutBallast(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list what the binary links: %v", err)
	}
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, "github.com/clarity-loop/clarity/services/store/sqlite") {
		t.Fatalf("the list of %d packages is not what the binary links", len(linked))
	}
	for _, ballast := range []string{
		"k8s.io/", "sigs.k8s.io/", // clusters
		"cloud.google.com/", "google.golang.org/api/", "google.golang.org/genai", "firebase.google.com/", "github.com/aws/", "github.com/Azure/", // clouds
		"github.com/google/go-containerregistry/", "oras.land/", // registries
		"go.opentelemetry.io/",                                                                         // collectors of traces
		"github.com/clarity-loop/clarity/api/v1alpha1", "github.com/clarity-loop/clarity/controllers/", // the operator
	} {
		for _, pkg := range linked {
			if strings.HasPrefix(pkg, ballast) {
				t.Errorf("clarity links %s, of %s", pkg, ballast)
			}
		}
	}
}
