package capability_test

import (
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
)

func TestASetIsNamed(t *testing.T) {
	const all = capability.Store | capability.Blobs | capability.Queue | capability.Keys | capability.Erasure | capability.Identity | capability.Audit | capability.Writer | capability.Model | capability.Listener | capability.Feed | capability.Push
	tests := map[string]struct {
		set  capability.Set
		want string
	}{
		"none":         {0, ""},
		"the first":    {capability.Store, "store"},
		"the last":     {capability.Push, "push"},
		"some":         {capability.Listener | capability.Blobs | capability.Model, "blobs model listener"},
		"all":          {all, "store blobs queue keys erasure identity audit writer model listener feed push"},
		"more than is": {all + 1, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.set.String(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestHas(t *testing.T) {
	const some = capability.Store | capability.Keys
	tests := map[string]struct {
		want capability.Set
		has  bool
		any  bool
	}{
		"nothing":            {0, true, false},
		"one of them":        {capability.Keys, true, true},
		"both":               {some, true, true},
		"another":            {capability.Queue, false, false},
		"one and another":    {capability.Keys | capability.Queue, false, true},
		"both and one other": {some | capability.Queue, false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := some.Has(tt.want); got != tt.has {
				t.Errorf("%v has %v: %t", some, tt.want, got)
			}
			if got := some.HasAny(tt.want); got != tt.any {
				t.Errorf("%v has any of %v: %t", some, tt.want, got)
			}
		})
	}
}
