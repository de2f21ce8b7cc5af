package stages_test

import (
	"slices"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
)

// A stage asks for few rights: one alone erases people, and none but the ingress
// knows who somebody is or listens, and it knows the models to list them.
func TestEachStageNeedsWhatItNeeds(t *testing.T) {
	want := map[string]string{
		"ingress":  "store blobs queue keys identity audit writer model listener",
		"worker":   "store blobs queue keys audit model feed",
		"insights": "store queue keys audit writer",
		"delivery": "store queue keys feed push",
		"exports":  "store blobs queue keys",
		"erasure":  "store blobs queue keys erasure audit feed",
	}
	var names []string
	for _, s := range stages.All() {
		names = append(names, s.Name)
		if got := s.Needs.String(); got != want[s.Name] {
			t.Errorf("%s needs %q, want %q", s.Name, got, want[s.Name])
		}
		if s.Needs.Has(capability.Store) && !s.Needs.Has(capability.Keys) {
			t.Errorf("%s has documents that it cannot open", s.Name)
		}
	}
	if len(names) != len(want) || !slices.Equal(names, stages.Names()) {
		t.Errorf("the stages are %v, their names %v", names, stages.Names())
	}
}
