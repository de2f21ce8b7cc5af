package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/sqlite"
)

var background = context.Background()

// An upload that is put off stays where it is among the uploads.
func TestWhatIsPutOffStaysWhereItCame(t *testing.T) {
	s, driver, _, _ := open(t)
	came := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	if _, err := s.Batch(t.Context(), "u", s.Uploads.ToPut("upload-1", 0, record.Upload{ReceivedAt: came}).At(came)); err != nil {
		t.Fatal(err)
	}
	at := store.Key{Collection: "uploads", UID: "u", Key: "upload-1"}
	d, err := driver.Get(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutOff(t.Context(), d, came.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if d, err = driver.Get(t.Context(), at); err != nil || !d.Came.Equal(came) || !d.Due.Equal(came.Add(time.Hour)) {
		t.Errorf("came %v, due %v, %v", d.Came, d.Due, err)
	}
}

// envelope is a Sealer that hides nothing well, but binds a document to its
// person and name as a real one does.
type envelope struct{ erased map[string]bool }

var errSeal = errors.New("not the person's, or not this document")

func (e envelope) pad(uid, name string) []byte {
	return []byte("sealed for " + uid + " as " + name + "\n")
}

func (e envelope) Seal(_ context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	if e.erased[uid] {
		return nil, errSeal
	}
	hidden := bytes.Clone(plaintext)
	for i := range hidden {
		hidden[i] ^= 0x55
	}
	return append(e.pad(uid, name), hidden...), nil
}

func (e envelope) Open(_ context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	hidden, found := bytes.CutPrefix(ciphertext, e.pad(uid, name))
	if !found || e.erased[uid] {
		return nil, errSeal
	}
	plain := bytes.Clone(hidden)
	for i := range plain {
		plain[i] ^= 0x55
	}
	return plain, nil
}

func open(t *testing.T) (*store.Store, *sqlite.Store, envelope, string) {
	t.Helper()
	dir := t.TempDir()
	driver, err := sqlite.Open(background, dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	e := envelope{map[string]bool{}}
	return store.New(driver, e), driver, e, dir
}

func TestARecordComesBackAsItWasPut(t *testing.T) {
	s, _, _, _ := open(t)
	want := record.Upload{Blob: "uploads/ab/anna/1", Encoding: "gzip", Bytes: 30_057, State: record.UploadReceived,
		ReceivedAt: time.Date(2026, 11, 20, 6, 58, 1, 0, time.UTC), Receipt: []byte(`{"accepted":500}`)}
	version, err := s.Uploads.Put(background, "anna", "1", 0, want)
	if err != nil || version == 0 {
		t.Fatalf("put: version %d, %v", version, err)
	}
	got, err := s.Uploads.Get(background, "anna", "1")
	if err != nil || got.Key != "1" || got.Version != version || got.Updated.IsZero() {
		t.Fatalf("get: %+v, %v", got, err)
	}
	if diff := cmp.Diff(want, got.Value); diff != "" {
		t.Errorf("value (-put +got):\n%s", diff)
	}
	list, err := s.Uploads.List(background, "anna", store.Query{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.Record[record.Upload]{got}, list); diff != "" {
		t.Errorf("list (-got +listed):\n%s", diff)
	}
}

func TestPutComparesVersions(t *testing.T) {
	s, _, _, _ := open(t)
	c := record.Export{State: "ready"}
	const kind = "1"
	if _, err := s.Exports.Put(background, "anna", kind, 3, c); !errors.Is(err, store.ErrConflict) {
		t.Errorf("put over what is not there: %v", err)
	}
	first, err := s.Exports.Put(background, "anna", kind, 0, c)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Exports.Put(background, "anna", kind, first, c)
	if err != nil || second == first {
		t.Fatalf("version %d became %d, %v", first, second, err)
	}
	for _, version := range []int64{0, first} {
		if _, err := s.Exports.Put(background, "anna", kind, version, c); !errors.Is(err, store.ErrConflict) {
			t.Errorf("put over version %d: %v", version, err)
		}
	}
	if _, err := s.Exports.Put(background, "anna", kind, store.Any, c); err != nil {
		t.Error(err)
	}
}

func TestDelete(t *testing.T) {
	s, _, _, _ := open(t)
	for _, version := range []int64{0, 1, store.Any} {
		if err := s.Exports.Delete(background, "anna", "1", version); err != nil {
			t.Errorf("delete of nothing if version %d: %v", version, err)
		}
	}
	version, err := s.Exports.Put(background, "anna", "1", 0, record.Export{State: "pending"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Exports.Delete(background, "anna", "1", version+1); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete of another version: %v", err)
	}
	if err := s.Exports.Delete(background, "anna", "1", version); err != nil {
		t.Error(err)
	}
	if _, err := s.Exports.Get(background, "anna", "1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get: %v, want ErrNotFound", err)
	}
}

func TestNoDriverSeesAValue(t *testing.T) {
	s, _, _, dir := open(t)
	const secret = "a value nobody else may see"
	if _, err := s.Profiles.Put(background, "anna", "profile", 0, record.Profile{Sex: secret}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accounts.Put(background, "anna", "account", 0, record.Account{Receipt: "in the clear"}); err != nil {
		t.Fatal(err)
	}
	var all []byte
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	if bytes.Contains(all, []byte(secret)) {
		t.Error("the driver's files hold a profile's value")
	}
	if !bytes.Contains(all, []byte("in the clear")) {
		t.Error("the account is not in the driver's files: this test proves nothing")
	}
}

// A document moved to another person, collection or key does not open there.
func TestADocumentOpensOnlyInItsPlace(t *testing.T) {
	s, driver, _, _ := open(t)
	for _, uid := range []string{"anna", "ben"} {
		if _, err := s.Profiles.Put(background, uid, "profile", 0, record.Profile{TimeZone: uid}); err != nil {
			t.Fatal(err)
		}
	}
	from, err := driver.Get(background, store.Key{Collection: "profiles", UID: "anna", Key: "profile"})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []store.Key{
		{Collection: "profiles", UID: "ben", Key: "profile"},
		{Collection: "profiles", UID: "anna", Key: "other"},
	} {
		if _, err := driver.Batch(background, []store.Write{{Key: to, IfVersion: store.Any, Data: from.Data}}); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Profiles.Get(background, to.UID, to.Key); !errors.Is(err, errSeal) {
			t.Errorf("anna's profile opens as %v: %+v, %v", to, r, err)
		}
		if _, err := s.Profiles.List(background, to.UID, store.Query{From: to.Key, Limit: 1}); !errors.Is(err, errSeal) {
			t.Errorf("anna's profile is listed as %v: %v", to, err)
		}
	}
	if _, err := driver.Batch(background, []store.Write{{Key: store.Key{Collection: "exports", UID: "anna", Key: "profile"}, Data: from.Data}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Exports.Get(background, "anna", "profile"); !errors.Is(err, errSeal) {
		t.Errorf("anna's profile opens as an export: %v", err)
	}
}

func TestErasure(t *testing.T) {
	s, _, e, _ := open(t)
	if _, err := s.Profiles.Put(background, "anna", "profile", 0, record.Profile{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accounts.Put(background, "anna", "account", 0, record.Account{Receipt: "r"}); err != nil {
		t.Fatal(err)
	}
	e.erased["anna"] = true
	if _, err := s.Profiles.Get(background, "anna", "profile"); !errors.Is(err, errSeal) {
		t.Errorf("a profile opens without its key: %v", err)
	}
	if err := s.EraseUser(background, "anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Profiles.Get(background, "anna", "profile"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a profile after the erasure: %v", err)
	}
	if a, err := s.Accounts.Get(background, "anna", "account"); err != nil || a.Value.Receipt != "r" {
		t.Errorf("the account after the erasure: %+v, %v", a, err)
	}
}

func TestTailTellsOfARecord(t *testing.T) {
	s, _, _, _ := open(t)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	tokens, err := s.Results.Tail(ctx, "anna", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Results.Put(background, "anna", "2026-11-20", 0, record.Result{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-tokens:
	case <-time.After(time.Minute):
		t.Error("no token")
	}
}
