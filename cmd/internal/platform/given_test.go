package platform_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/model/traffic"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/relay"
	"github.com/clarity-loop/clarity/services/store"
)

// ring is a keyring that notes what it is asked.
type ring struct {
	*diary
	keyring.Rotator // of which no stage has any
}

func (r ring) Seal(_ context.Context, _, name string, plain []byte) ([]byte, error) {
	r.write("seal " + name)
	return plain, nil
}

func (r ring) Open(_ context.Context, _, name string, sealed []byte) ([]byte, error) {
	r.write("unseal " + name)
	return sealed, nil
}

func (r ring) Destroy(_ context.Context, uid string) error {
	r.write("destroy " + uid)
	return nil
}

func (r ring) Lag() time.Duration { return 0 }

func (r ring) Renew(_ context.Context, uid string, _ int) error {
	r.write("renew " + uid)
	return nil
}

func (r ring) Pseudonym(_ context.Context, uid string) (string, error) {
	r.write("name " + uid)
	return "p-" + uid, nil
}

// The rest of what a stage can be given: each is there, and does nothing.
type (
	objects struct{ blob.Store }
	issuer  struct{ identity.Verifier }
	journal struct{ audit.Log }
	pen     struct{ narrative.Writer }
	plan    struct{ traffic.Source }
	phones  struct{ relay.Feed }
	sender  struct{ push.Sender }
)

func opens[T any](v T) map[string]platform.Opener[T] {
	return map[string]platform.Opener[T]{"fake": func(context.Context, string, platform.Env) (T, error) { return v, nil }}
}

// furnished are drivers that are there, the keyring among them.
func furnished(r ring) platform.Drivers {
	return platform.Drivers{
		Store: opens[store.Driver](papers{}), Blobs: opens[blob.Store](objects{}), Queue: opens[queue.Driver](counted{}),
		Keys: opens[platform.Keyring](r), Identity: opens[identity.Verifier](issuer{}), Audit: opens[audit.Log](journal{}),
		Writer: map[string]platform.Opener[narrative.Writer]{"fake": opens[narrative.Writer](pen{})["fake"], "template": opens[narrative.Writer](pen{})["fake"]},
		Plans:  opens(platform.Plan{Model: "m", Source: plan{}}), Feed: opens[relay.Feed](phones{}), Push: opens[push.Sender](sender{}),
	}
}

// built is what each stage of a platform was built of, a stage for each of the needs.
func built(t *testing.T, d platform.Drivers, needs map[string]capability.Set) map[string]platform.Parts {
	t.Helper()
	got := map[string]platform.Parts{}
	var table []platform.Stage
	var names []string
	for name, set := range needs {
		names = append(names, name)
		table = append(table, platform.Stage{Name: name, Needs: set, Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
			got[name] = p
			return nil, nil
		}})
	}
	p, err := platform.Open(t.Context(), config(names...), d, table, env())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	return got
}

// holds names what of the parts is there.
func holds(p platform.Parts) string {
	var there []string
	for _, part := range []struct {
		name string
		is   bool
	}{
		{"store", p.Store != nil}, {"blobs", p.Blobs != nil}, {"queue", p.Queue != nil}, {"keys", p.Keys != nil},
		{"erasure", p.Erasure != nil}, {"identity", p.Identity != nil}, {"audit", p.Audit != nil},
		{"writer", p.Writer != nil && p.Template != nil}, {"model", p.Plan != platform.Plan{}}, {"listener", p.Listener != nil}, {"feed", p.Feed != nil}, {"push", p.Push != nil},
	} {
		if part.is {
			there = append(there, part.name)
		}
	}
	if (p.Writer == nil) != (p.Template == nil) {
		there = append(there, "one writer of two")
	}
	return strings.Join(there, " ")
}

const everything = capability.Store | capability.Blobs | capability.Queue | capability.Keys | capability.Erasure | capability.Identity |
	capability.Audit | capability.Writer | capability.Model | capability.Listener | capability.Feed | capability.Push

// A stage beside one that needs everything is given what it says it needs, and
// no more.
func TestAStageIsGivenWhatItNeedsAlone(t *testing.T) {
	needs := map[string]capability.Set{"all": everything, "none": 0, "delivery": capability.Store | capability.Keys | capability.Queue}
	for bit := capability.Set(1); bit < everything; bit <<= 1 {
		needs[bit.String()] = bit
	}
	for name, parts := range built(t, furnished(ring{diary: &diary{}}), needs) {
		if diff := cmp.Diff(needs[name].String(), holds(parts)); diff != "" {
			t.Errorf("%s is given (-want +got):\n%s", name, diff)
		}
		if parts.Registry == nil || parts.Log == nil || parts.Now == nil || parts.Closing == nil {
			t.Errorf("%s lacks what every stage has: %+v", name, parts)
		}
	}
}

// What seals does not erase and what erases does not open, whatever it is taken for.
func TestTheKeysTwoFacesAreApart(t *testing.T) {
	d := &diary{}
	p := built(t, furnished(ring{diary: d}), map[string]capability.Set{"all": everything})["all"]
	for name, is := range map[string]func() bool{
		"the keys are an Eraser": func() bool { _, is := p.Keys.(keyring.Eraser); return is },
		"the keys are a Keyring": func() bool { _, is := p.Keys.(keyring.Keyring); return is },
		"the keys are a Rotator": func() bool { _, is := p.Keys.(keyring.Rotator); return is },
		"the keys destroy": func() bool {
			_, is := p.Keys.(interface {
				Destroy(context.Context, string) error
			})
			return is
		},
		"the keys are the driver":        func() bool { _, is := p.Keys.(ring); return is },
		"the erasure is a Sealer":        func() bool { _, is := p.Erasure.(keyring.Sealer); return is },
		"the erasure is a Pseudonymizer": func() bool { _, is := p.Erasure.(keyring.Pseudonymizer); return is },
		"the erasure is the driver":      func() bool { _, is := p.Erasure.(ring); return is },
	} {
		if is() {
			t.Error(name)
		}
	}
	ctx := t.Context()
	sealed, err := p.Keys.Seal(ctx, "anna", "x", []byte("plain"))
	opened, wrong := p.Keys.Open(ctx, "anna", "y", sealed)
	named, nameless := p.Keys.Pseudonym(ctx, "anna")
	if err != nil || wrong != nil || nameless != nil || string(opened) != "plain" || named != "p-anna" {
		t.Errorf("%q, %v; %v; %q, %v", opened, err, wrong, named, nameless)
	}
	if err := p.Erasure.Destroy(ctx, "anna"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"seal x", "unseal y", "name anna", "destroy anna"}, d.entries); diff != "" {
		t.Errorf("the keyring is asked (-want +got):\n%s", diff)
	}
}

// A lease is opened for one set of needs, and is not given more either.
func TestDriversOpenGivesNoErasureThatIsNotNeeded(t *testing.T) {
	e := env()
	e.Closing = func(string, io.Closer) {}
	for _, needs := range []capability.Set{capability.Keys, capability.Erasure, capability.Keys | capability.Erasure} {
		o, err := furnished(ring{diary: &diary{}}).Open(t.Context(), config("s").Backends, needs, e)
		if err != nil {
			t.Fatal(err)
		}
		if got := []bool{o.Keys != nil, o.Erasure != nil}; !slices.Equal(got, []bool{needs.Has(capability.Keys), needs.Has(capability.Erasure)}) {
			t.Errorf("needing %v, keys and erasure are there: %v", needs, got)
		}
	}
}
