package embedded_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
)

func TestIn(t *testing.T) {
	own := platform.Backends{Store: "sqlite:d", Blobs: "files:d/blobs", Queue: "sqlite:d", Keys: "tink:d.keys",
		Identity: "local:d/identity", Audit: "file:d/audit", Writer: "template"}
	with := func(change func(*platform.Backends)) platform.Backends {
		b := own
		change(&b)
		return b
	}
	tests := map[string]struct{ in, want platform.Backends }{
		"nothing is named": {platform.Backends{}, own},
		"a driver without a place gets the directory's": {
			platform.Backends{Blobs: "files", Keys: "tink:"}, own},
		"another place": {
			platform.Backends{Store: "sqlite:/elsewhere"}, with(func(b *platform.Backends) { b.Store = "sqlite:/elsewhere" })},
		"keys by their directory alone": {
			platform.Backends{Keys: "/safe/keys"}, with(func(b *platform.Backends) { b.Keys = "tink:/safe/keys" })},
		"another's driver keeps its name, and has no place of the directory's": {
			platform.Backends{Queue: "pubsub", Writer: "gemini:x"}, with(func(b *platform.Backends) { b.Queue, b.Writer = "pubsub", "gemini:x" })},
		"the model is nobody's business here": {
			platform.Backends{Model: "preview"}, with(func(b *platform.Backends) { b.Model = "preview" })},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, embedded.In("d", tt.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A directory of keys is named by its path, also where it is to be made.
func TestKeysAreNamedByAPath(t *testing.T) {
	for spec, want := range map[string]string{"mykeys": "tink:mykeys", "a/b": "tink:a/b", "tink:c": "tink:c", "kms": "kms", "kms:x": "kms:x"} {
		if got := embedded.In("data", platform.Backends{Keys: spec}).Keys; got != want {
			t.Errorf("%s is %s, want %s", spec, got, want)
		}
	}
}
