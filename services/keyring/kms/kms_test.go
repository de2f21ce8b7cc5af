package kms_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
	"github.com/clarity-loop/clarity/services/keyring/kms"
	"github.com/clarity-loop/clarity/services/keyring/kms/kmstest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// lag is long enough to be of effect, and short enough to wait for.
const lag = 20 * time.Millisecond

// A world is what all processes share.
type world struct {
	*kmstest.Server
	documents kms.Documents
	lag       time.Duration
	now       func() time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{Server: kmstest.Start(t), documents: storetest.Memory(time.Now), lag: lag, now: time.Now}
}

// process is the keyring of another one.
func (w *world) process(t *testing.T) *kms.Keyring {
	t.Helper()
	k, err := kms.Open(t.Context(), kms.Config{Key: kmstest.Key, Lag: w.lag, Endpoint: w.Address}, w.documents, w.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func TestContract(t *testing.T) {
	keyringtest.Run(t, func(t *testing.T) func() keyring.Keyring {
		w := newWorld(t)
		return func() keyring.Keyring { return w.process(t) }
	})
}

func sealed(t *testing.T, k *kms.Keyring, uid string) []byte {
	t.Helper()
	c, err := k.Seal(t.Context(), uid, "n", []byte(uid))
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return c
}

func opens(t *testing.T, k *kms.Keyring, uid string, c []byte) {
	t.Helper()
	if got, err := k.Open(t.Context(), uid, "n", c); err != nil || string(got) != uid {
		t.Errorf("Open = %q, %v", got, err)
	}
}

// counted is the documents, and how often they were asked.
type counted struct {
	kms.Documents
	gets, batches, lists atomic.Int64
}

func (c *counted) Get(ctx context.Context, k store.Key) (store.Document, error) {
	c.gets.Add(1)
	return c.Documents.Get(ctx, k)
}

func (c *counted) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	c.batches.Add(1)
	return c.Documents.Batch(ctx, writes)
}

func (c *counted) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	c.lists.Add(1)
	return c.Documents.List(ctx, q)
}

// cost is how often each was asked since.
type cost struct{ gets, batches, lists, encrypts, decrypts int }

func (c *counted) since(w *world) cost {
	calls := w.Calls()
	return cost{int(c.gets.Swap(0)), int(c.batches.Swap(0)), int(c.lists.Swap(0)), calls["Encrypt"], calls["Decrypt"]}
}

// A clock is set by hand.
type clock struct{ passed atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC).Add(time.Duration(c.passed.Load()))
}
func (c *clock) pass(d time.Duration) { c.passed.Add(int64(d)) }

// set has the world be one whose time passes by hand.
func set(t *testing.T) (*world, *counted, *clock) {
	t.Helper()
	w, c := newWorld(t), &clock{}
	d := &counted{Documents: w.documents}
	w.documents, w.now, w.lag = d, c.now, kms.Lag
	return w, d, c
}

// What the package says that a call costs.
func TestCallsAreCounted(t *testing.T) {
	w, d, c := set(t)
	first, second := w.process(t), w.process(t)
	var anna []byte
	wants := func(what string, want cost, do func()) {
		t.Helper()
		do()
		if got := d.since(w); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	burst := func(k *kms.Keyring, uid string) func() {
		return func() {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() { sealed(t, k, uid) })
			}
			all.Wait()
		}
	}
	// The ring, the key of pseudonyms, the shard's and the person's are made.
	wants("the first of all", cost{gets: 5, batches: 4, lists: 3, encrypts: 2}, func() { anna = sealed(t, first, "anna") })
	wants("a burst of somebody known", cost{}, burst(first, "anna"))
	wants("a burst in a process that knows nothing", cost{gets: 4, decrypts: 2}, burst(second, "anna"))
	wants("open by who has sealed", cost{}, func() { opens(t, first, "anna", anna) })
	c.pass(kms.Lag)
	wants("a cold burst of one person, behind Lag", cost{gets: 2}, burst(first, "anna")) // the person's, and the ring
	wants("open in the other, behind Lag", cost{gets: 1}, func() { opens(t, second, "anna", anna) })
	wants("open of what was changed", cost{}, func() {
		if _, err := second.Open(t.Context(), "anna", "other", anna); !errors.Is(err, keyring.ErrTampered) {
			t.Error(err)
		}
	})
	other := neighbour(t, w, "anna")
	d.since(w)
	wants("a newcomer in a known shard", cost{gets: 1, batches: 1}, burst(first, other))
	wants("a destruction", cost{gets: 1, batches: 1}, func() {
		if err := first.Destroy(t.Context(), other); err != nil {
			t.Error(err)
		}
	})
	wants("a return", cost{gets: 1, batches: 1}, func() {
		if err := first.Renew(t.Context(), other, 1); err != nil {
			t.Error(err)
		}
	})
	third := w.process(t)
	sealed(t, third, "anna")
	d.since(w)
	wants("a cold burst of a stranger in a known shard", cost{gets: 1}, burst(third, other))
	c.pass(time.Hour)
	wants("a shard's key, an hour later", cost{gets: 3, decrypts: 1}, func() { opens(t, third, "anna", anna); sealed(t, third, "anna") })
}

// neighbour is somebody who is not there yet, in the shard of the uid.
func neighbour(t *testing.T, w *world, uid string) string {
	t.Helper()
	k := w.process(t)
	of := kms.PlaceOf(t, k, uid).UID
	for i := 0; ; i++ {
		if other := fmt.Sprint("person-", i); kms.PlaceOf(t, k, other).UID == of {
			return other
		}
	}
}

// Within Lag another process may not know; behind it, it does.
func TestLag(t *testing.T) {
	w, _, c := set(t)
	first, second := w.process(t), w.process(t)
	text := sealed(t, first, "anna")
	opens(t, second, "anna", text)
	if err := first.Destroy(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	gone := func(k *kms.Keyring) {
		t.Helper()
		_, opening := k.Open(t.Context(), "anna", "n", text)
		_, sealing := k.Seal(t.Context(), "anna", "n", nil)
		for _, err := range []error{opening, sealing} {
			if !errors.Is(err, keyring.ErrDestroyed) {
				t.Errorf("%v, want ErrDestroyed", err)
			}
		}
	}
	gone(first)
	c.pass(kms.Lag - 1)
	opens(t, second, "anna", text)
	late := sealed(t, second, "anna")
	c.pass(1)
	gone(second)
	if err := first.Renew(t.Context(), "anna", 1); err != nil {
		t.Fatal(err)
	}
	c.pass(kms.Lag)
	for _, k := range []*kms.Keyring{first, second, w.process(t)} {
		if _, err := k.Open(t.Context(), "anna", "n", late); !errors.Is(err, keyring.ErrTampered) {
			t.Errorf("sealed with a dead key: %v", err)
		}
		opens(t, k, "anna", sealed(t, k, "anna"))
	}
	if n, at, err := first.Destroyed(t.Context(), "anna"); n != 1 || !at.IsZero() || err != nil {
		t.Errorf("%d, %v, %v", n, at, err)
	}
}

// While the KMS is away those go on whose shard's key is held. The others are told at
// once, and nobody whose key it is about.
func TestAKMSThatIsAway(t *testing.T) {
	w, _, c := set(t)
	k := w.process(t)
	anna := sealed(t, k, "anna")
	c.pass(kms.Lag)
	for code, class := range map[codes.Code]fault.Class{codes.Unavailable: fault.Unavailable, codes.PermissionDenied: fault.Unavailable, codes.NotFound: fault.Unavailable,
		codes.Internal: fault.Unavailable, codes.ResourceExhausted: fault.Limit} {
		w.Away(code)
		c.pass(time.Minute)
		opens(t, k, "anna", anna)
		began := time.Now()
		for range 20 {
			_, err := k.Seal(t.Context(), "marked-c0ffee", "n", nil)
			faulttest.Of(t, err, "keyring", "seal")
			var f *fault.Error
			if !errors.As(err, &f) || f.Class != class || errors.Is(err, keyring.ErrNoKey) {
				t.Errorf("%v: %v", code, err)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := e.Error(); strings.Contains(text, "demo-clarity") || strings.Contains(text, "marked") {
					t.Errorf("%v: %q tells of which key", code, text)
				}
			}
		}
		if d := time.Since(began); d > 4*time.Second {
			t.Errorf("%v: it took %v", code, d)
		}
		if calls := w.Calls()["Decrypt"] + w.Calls()["Encrypt"]; calls > 10 {
			t.Errorf("%v: it was asked %d times", code, calls)
		}
	}
	w.Away(codes.OK)
	c.pass(2 * time.Hour)
	opens(t, k, "anna", anna)
	w.Away(codes.Unavailable)
	for range 11 { // however often it is used
		c.pass(5 * time.Minute)
		opens(t, k, "anna", anna)
	}
	c.pass(5 * time.Minute)
	if _, err := k.Open(t.Context(), "anna", "n", anna); err == nil {
		t.Error("an hour later it opens")
	}
	w.Away(codes.OK)
	c.pass(time.Second)
	opens(t, k, "anna", anna)
	opens(t, w.process(t), "marked-c0ffee", sealed(t, k, "marked-c0ffee"))
}

// What comes damaged from the KMS is neither kept nor used.
func TestDamageOnTheWay(t *testing.T) {
	w, _, c := set(t)
	k := w.process(t)
	anna := sealed(t, k, "anna")
	w.Flips(true)
	_, sealing := k.Seal(t.Context(), "bert", "n", nil)
	_, opening := w.process(t).Open(t.Context(), "anna", "n", anna)
	for _, err := range []error{sealing, opening} {
		var f *fault.Error
		if !errors.As(err, &f) || f.Class != fault.Unavailable {
			t.Errorf("%v", err)
		}
	}
	w.Flips(false)
	c.pass(time.Second)
	opens(t, w.process(t), "bert", sealed(t, k, "bert"))
	opens(t, w.process(t), "anna", anna)
}

// Where a key is missing, nobody makes another: what that sealed would be lost once
// it is put back.
func TestAKeyThatIsMissingIsNotMadeAnew(t *testing.T) {
	ring := func(key string) func(*world, store.Key) store.Key {
		return func(*world, store.Key) store.Key { return store.Key{Collection: "keys", UID: "ring", Key: key} }
	}
	for name, which := range map[string]func(w *world, person store.Key) store.Key{
		"the person's": func(_ *world, person store.Key) store.Key { return person },
		"the shard's": func(_ *world, person store.Key) store.Key {
			return store.Key{Collection: "keys", UID: "ring", Key: "shard-" + strings.TrimPrefix(person.UID, "people-")}
		},
		"that of pseudonyms": ring("tokens"),
		"the ring's":         ring("ring"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.process(t)
			anna := sealed(t, k, "anna")
			place := which(w, kms.PlaceOf(t, k, "anna"))
			whole, err := w.documents.Get(t.Context(), place)
			if err == nil {
				_, err = w.documents.Batch(t.Context(), []store.Write{{Key: place, IfVersion: store.Any}})
			}
			if err != nil {
				t.Fatal(err)
			}
			guarded := w.process(t)
			guarded.Guard(func(_ context.Context, uid string) (bool, error) { return uid == "anna", nil })
			for range 2 {
				_, sealing := guarded.Seal(t.Context(), "anna", "n", []byte("b"))
				_, opening := guarded.Open(t.Context(), "anna", "n", anna)
				for _, err := range []error{sealing, opening} {
					var f *fault.Error
					if (!errors.Is(err, keyring.ErrNoKey) || !errors.As(err, &f) || f.Class != fault.Unavailable) && place.Key != "ring" {
						t.Errorf("%v", err)
					}
				}
				if sealing == nil {
					t.Error("it is made anew")
				}
			}
			if has, err := guarded.Has(t.Context(), "anna"); has && place.Key != "ring" || err != nil && place.Key != "tokens" {
				t.Errorf("has a key: %v, %v", has, err)
			}
			if _, err := w.documents.Batch(t.Context(), []store.Write{{Key: place, Data: whole.Data}}); err != nil {
				t.Fatal(err)
			}
			opens(t, guarded, "anna", anna)
			opens(t, w.process(t), "anna", sealed(t, guarded, "anna"))
		})
	}
}

// A shard of which everybody was destroyed who had no key is open to newcomers.
func TestMarksShutNoShard(t *testing.T) {
	w := newWorld(t)
	k := w.process(t)
	other := neighbour(t, w, "anna")
	if err := k.Destroy(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	opens(t, w.process(t), other, sealed(t, k, other))
	if c, err := k.Census(t.Context()); err != nil || c.Destroyed != 1 || c.People != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if n, at, err := k.Destroyed(t.Context(), "anna"); n != 1 || at.IsZero() || err != nil {
		t.Errorf("%d, %v, %v", n, at, err)
	}
}

// The KMS's own schedule makes a version: it is the one that the next rotation takes.
func TestTheKeysOwnSchedule(t *testing.T) {
	w := newWorld(t)
	k := w.process(t)
	anna := sealed(t, k, "anna")
	rotate := func(enabled ...int) {
		t.Helper()
		if err := k.RotateKEK(t.Context()); err != nil {
			t.Fatal(err)
		}
		for cursor := ""; ; {
			p, err := k.Rewrap(t.Context(), cursor)
			if err != nil {
				t.Fatal(err)
			}
			if cursor = p.Cursor; cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(enabled, w.Enabled()); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}
		opens(t, w.process(t), "anna", anna)
	}
	rotate(2)
	w.Rotate() // to 3
	sealed(t, k, neighbour(t, w, "bert"))
	if c, err := k.Census(t.Context()); err != nil || c.KEKs != 1 || c.Older != 0 {
		t.Errorf("%+v, %v: it wraps nothing yet", c, err)
	}
	rotate(3)
	rotate(4)
	w.Away(codes.PermissionDenied)
	if err := k.RotateKEK(t.Context()); err == nil {
		t.Error("rotated without a right to")
	}
	w.Away(codes.OK)
	rotate(5)
}

// A rotation that was cut between the version and the ring takes that version.
func TestARotationThatWasCutMakesNoOtherVersion(t *testing.T) {
	w := newWorld(t)
	k := w.process(t)
	anna := sealed(t, k, "anna")
	if err := k.RotateKEK(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Rewrap(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	whole := w.documents
	w.documents = shut{whole}
	if err := w.process(t).RotateKEK(t.Context()); err == nil {
		t.Error("rotated, and nothing could be written")
	}
	w.documents = whole
	if err := k.RotateKEK(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 3}, w.Enabled()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	opens(t, w.process(t), "anna", anna)
}

// Whose outcome is unknown is read: what was written was written.
func TestAnOutcomeThatIsUnknown(t *testing.T) {
	w := newWorld(t)
	w.documents = doubtful{w.documents}
	k := w.process(t)
	opens(t, w.process(t), "anna", sealed(t, k, "anna"))
	if err := errors.Join(k.RotateData(t.Context()), k.Destroy(t.Context(), "anna"), k.Renew(t.Context(), "anna", 1)); err != nil {
		t.Error(err)
	}
	opens(t, k, "anna", sealed(t, k, "anna"))
}

// doubtful documents do what they are asked, and do not say so.
type doubtful struct{ kms.Documents }

func (d doubtful) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if _, err := d.Documents.Batch(ctx, writes); err != nil {
		return nil, err
	}
	return nil, store.Fault("write", store.ErrUnknown)
}

// shut documents can be read.
type shut struct{ kms.Documents }

func (shut) Batch(context.Context, []store.Write) ([]int64, error) {
	return nil, store.Fault("write", errors.New("shut"))
}

// A person's document in another's place, or of another life, opens nothing.
func TestAKeyOfAnotherPersonDoesNotUnwrap(t *testing.T) {
	w := newWorld(t)
	k := w.process(t)
	other := neighbour(t, w, "anna")
	anna := sealed(t, k, "anna")
	sealed(t, k, other)
	from, to := kms.PlaceOf(t, k, other), kms.PlaceOf(t, k, "anna")
	doc, err := w.documents.Get(t.Context(), from)
	if err == nil {
		_, err = w.documents.Batch(t.Context(), []store.Write{{Key: to, IfVersion: store.Any, Data: doc.Data}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.process(t).Open(t.Context(), "anna", "n", anna); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("%v, want ErrNoKey", err)
	}
}

// The database names nobody, and has no key in the clear.
func TestDocumentsNameNobody(t *testing.T) {
	w := newWorld(t)
	memory := storetest.Memory(time.Now)
	w.documents = memory
	k := w.process(t)
	sealed(t, k, "marked-c0ffee")
	name, err := k.Pseudonym(t.Context(), "marked-c0ffee")
	if err := errors.Join(err, k.Destroy(t.Context(), "marked-c0ffee"), k.Renew(t.Context(), "marked-c0ffee", 1)); err != nil {
		t.Fatal(err)
	}
	docs := memory.All("keys")
	if len(docs) != 4 {
		t.Errorf("%d documents, want the ring, the key of pseudonyms, a shard's and a person's", len(docs))
	}
	for _, d := range docs {
		if text := fmt.Sprint(d.Key) + string(d.Data); strings.Contains(text, "marked") || strings.Contains(text, name) || strings.Contains(text, "AesGcmKey") {
			t.Errorf("%v names somebody", d.Key)
		}
	}
}

// Over documents that are as bad as they may be, whatever was sealed opens, or its
// person is destroyed.
func TestOverHostileDocuments(t *testing.T) {
	for seed := range uint64(8) {
		w := newWorld(t)
		calm := storetest.Memory(time.Now)
		hostile := storetest.Hostile(calm, storetest.Options{Seed: seed, Worst: 0.2, Now: time.Now})
		w.documents = hostile
		processes := []*kms.Keyring{w.process(t), w.process(t), w.process(t)}
		type one struct {
			uid  string
			text []byte
		}
		var kept []one
		failed, gone := 0, map[string]bool{}
		for i := range 400 {
			k, uid := processes[i%3], fmt.Sprint("person-", i%23)
			switch {
			case i%50 == 20:
				if k.RotateData(t.Context()) != nil {
					failed++
				}
			case i%60 == 30:
				_, rewrapping := k.Rewrap(t.Context(), "")
				if errors.Join(k.RotateKEK(t.Context()), rewrapping) != nil {
					failed++
				}
			case i%90 == 70:
				if k.Destroy(t.Context(), uid) != nil {
					failed++
				}
				gone[uid] = true // or may be, later
			}
			c, err := k.Seal(t.Context(), uid, "n", []byte(uid))
			switch {
			case err == nil:
				kept = append(kept, one{uid, c})
			case !errors.Is(err, keyring.ErrDestroyed):
				failed++
			}
		}
		w.documents = calm
		reader := w.process(t)
		for _, o := range kept {
			_, err := reader.Open(t.Context(), o.uid, "n", o.text)
			if err != nil && (!gone[o.uid] || !errors.Is(err, keyring.ErrDestroyed)) {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if failed < 20 || len(kept) < 100 {
			t.Errorf("seed %d: %d failed, %d sealed", seed, failed, len(kept))
		}
	}
}

func TestKeysThatAreAwayAreNotReady(t *testing.T) {
	w, _, c := set(t)
	k := w.process(t)
	if err := k.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	hostile := storetest.Hostile(storetest.Memory(c.now), storetest.Options{Now: c.now})
	hostile.Away(true)
	w.documents = hostile
	if w.process(t).Ready(t.Context()) == nil {
		t.Error("ready without documents")
	}
	w.Away(codes.Unavailable)
	w.documents = storetest.Memory(c.now)
	if w.process(t).Ready(t.Context()) == nil {
		t.Error("ready without a KMS")
	}
}

// A KMS that is away is seen, at the cost of a call a minute: people of the shards whose keys
// are held go on for their hour, and nobody after it.
func TestAKMSThatIsAwayIsSeen(t *testing.T) {
	w, d, c := set(t)
	k := w.process(t)
	anna := sealed(t, k, "anna")
	ready := func(what string, want, partly bool, decrypts int) {
		t.Helper()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := k.Ready(t.Context()); (err == nil) != want || fault.IsPartly(err) != partly {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		all.Wait()
		if got := d.since(w).decrypts; got != decrypts {
			t.Errorf("%s: the KMS decrypts %d times, want %d", what, got, decrypts)
		}
	}
	d.since(w)
	ready("it was used", true, false, 0)
	c.pass(59 * time.Second)
	ready("within the minute", true, false, 0)
	c.pass(time.Second)
	ready("a minute later", true, false, 1)
	w.Away(codes.PermissionDenied)
	c.pass(time.Minute)
	ready("it is away", false, true, 1)
	opens(t, k, "anna", anna)
	c.pass(time.Hour)
	ready("no shard's key is held any more", false, false, 1)
	if _, err := k.Open(t.Context(), "anna", "n", anna); err == nil {
		t.Error("it opens")
	}
	w.Away(codes.OK)
	c.pass(2 * time.Second)
	ready("it is back", true, false, 1)
	opens(t, k, "anna", anna)
}

func TestWhoGoesDoesNotWait(t *testing.T) {
	w := newWorld(t)
	k := w.process(t)
	sealed(t, k, "anna")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	time.Sleep(lag)
	if _, err := k.Seal(ctx, "anna", "n", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	sealed(t, k, "anna")
}

func TestANameThatIsNoKeys(t *testing.T) {
	for _, name := range []string{"", "kek", kmstest.Key + "/cryptoKeyVersions/1", "projects//locations/x/keyRings/y/cryptoKeys/z"} {
		if _, err := kms.Open(t.Context(), kms.Config{Key: name, Endpoint: "127.0.0.1:1"}, storetest.Memory(time.Now), time.Now); err == nil {
			t.Errorf("%q is a key", name)
		}
	}
}

func BenchmarkSeal500Samples(b *testing.B) {
	w := &world{Server: kmstest.Start(b), documents: storetest.Memory(time.Now), lag: kms.Lag, now: time.Now}
	k, err := kms.Open(b.Context(), kms.Config{Key: kmstest.Key, Endpoint: w.Address}, w.documents, w.now)
	if err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 30<<10)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(b.Context(), "anna", "uploads/55/anna/u", body); err != nil {
			b.Fatal(err)
		}
	}
}
