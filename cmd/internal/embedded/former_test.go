package embedded_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/veil"
)

// releaseBefore is a directory that the release before wrote: `clarity up` with
// two people. anna agreed to processing, agreed to words and withdrew that, wrote
// her profile twice and uploaded five heart rates with two cursors, one of a type
// that is no key, and three hundred samples that were refused. ben did the same
// and erased his account.
func releaseBefore(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	f, err := os.Open("testdata/release-before.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(at, 0o700)
		} else {
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(at, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// opened are the typed faces of a directory.
func opened(t *testing.T, dir string) (*store.Store, *timeline.Reader, store.Driver) {
	t.Helper()
	d := newDrawer()
	t.Cleanup(func() {
		if err := d.shut(); err != nil {
			t.Error(err)
		}
	})
	b := embedded.In(dir, platform.Backends{})
	for range 2 { // once is enough
		if _, err := embedded.Upgrade(t.Context(), b, time.Now); err != nil {
			t.Fatal(err)
		}
	}
	documents, err := embedded.Store(t.Context(), dir, d.Env)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := embedded.Blobs(t.Context(), filepath.Join(dir, "blobs"), d.Env)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := embedded.Keys(t.Context(), filepath.Join(dir, "keys"), d.Env)
	if err != nil {
		t.Fatal(err)
	}
	named := veil.NewDocuments(documents, keys)
	return store.New(named, keys), timeline.NewReader(vault.New(blobs, keys)), named
}

func TestADirectoryOfTheReleaseBeforeIsKept(t *testing.T) {
	s, chunks, documents := opened(t, releaseBefore(t))
	ctx := t.Context()

	for range 2 { // taken over once, then as any other
		standing, err := s.Standing(ctx, "anna")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{record.PurposeProcessing}, standing.Value.Purposes); diff != "" || standing.Version == 0 {
			t.Errorf("version %d; agreed to (-want +got):\n%s", standing.Version, diff)
		}
		cursors, err := s.Synced(ctx, "anna")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for kind, c := range cursors.Value.Types {
			got[kind] = c.Anchor + " of " + c.UploadID
		}
		want := map[string]string{"HKQuantityTypeIdentifierHeartRate": "anchor-1 of upload-0002", "an odd/type=": "anchor-2 of upload-0002"}
		if diff := cmp.Diff(want, got); diff != "" || cursors.Version == 0 {
			t.Errorf("version %d; cursors (-want +got):\n%s", cursors.Version, diff)
		}
	}
	left, err := documents.List(ctx, store.Query{Collection: "cursors", UID: "anna", Limit: 10})
	if err != nil || len(left) != 1 {
		t.Errorf("%d documents of cursors are left, %v", len(left), err)
	}
	for purpose, granted := range map[string]bool{record.PurposeProcessing: true, record.PurposeNarrative: false} {
		if c, err := s.Consents.Get(ctx, "anna", purpose); err != nil || c.Value.Granted != granted || c.Value.At.IsZero() {
			t.Errorf("%s: %+v, %v", purpose, c.Value, err)
		}
	}
	if p, err := s.Profiles.Get(ctx, "anna", record.ProfileKey); err != nil || p.Version != 2 || p.Value.BirthYear != 1981 {
		t.Errorf("the profile, whose tag a phone may hold: %+v, %v", p, err)
	}
	for id, accepted := range map[string]string{"upload-0001": `"accepted":5`, "upload-0002": `"received":300,"accepted":0`} {
		if u, err := s.Uploads.Get(ctx, "anna", id); err != nil || !strings.Contains(string(u.Value.Receipt), accepted) || u.Value.State != record.UploadMerged {
			t.Errorf("%s: %.200s, %v", id, u.Value.Receipt, err)
		}
	}
	day, err := s.Days.Get(ctx, "anna", "2026-11-20")
	if err != nil {
		t.Fatal(err)
	}
	if chunk, err := chunks.Chunk(ctx, "anna", day.Value.Chunk); err != nil || len(chunk.Samples) != 5 {
		t.Errorf("%d samples of the day, %v", len(chunk.Samples), err)
	}
	if _, err := s.Results.Get(ctx, "anna", "2026-11-26"); err != nil {
		t.Error(err)
	}
}

func TestWhoWasErasedUnderTheReleaseBeforeIsErased(t *testing.T) {
	s, _, _ := opened(t, releaseBefore(t))
	if err := s.Permitted(t.Context(), "ben"); !errors.Is(err, analysis.ErrErased) {
		t.Errorf("permitted: %v", err)
	}
	if a, err := s.Accounts.Get(t.Context(), "ben", record.AccountKey); err != nil || !strings.Contains(a.Value.Receipt, "6728dcc63b86e935e1c1ee141fd73c5a") {
		t.Errorf("the receipt: %+v, %v", a.Value, err)
	}
	if _, err := s.Answer(t.Context(), "ben", record.PurposeProcessing, func(c record.Consent) record.Consent { return c }); !errors.Is(err, analysis.ErrErased) {
		t.Errorf("an answer: %v", err)
	}
}

// A person of the release before withdraws at once, before anything else is read of them.
func TestAWithdrawalFirstOfAll(t *testing.T) {
	s, _, _ := opened(t, releaseBefore(t))
	if _, err := s.Answer(t.Context(), "anna", record.PurposeProcessing, func(c record.Consent) record.Consent { c.Granted = false; return c }); err != nil {
		t.Fatal(err)
	}
	if err := s.Permitted(t.Context(), "anna"); !errors.Is(err, analysis.ErrNoConsent) {
		t.Errorf("permitted: %v", err)
	}
}

// What a release before has kept under uids and ids lies under names that say nothing.
func TestNobodyIsNamedInTheDocumentsOfTheReleaseBefore(t *testing.T) {
	dir := releaseBefore(t)
	secrets := []string{"consentsanna", "accountsben", "upload-0001", "upload-0002"} // as a row has them
	named := func() (found []string) {
		for _, name := range []string{"store.db", "store.db-wal"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			for _, secret := range secrets {
				if bytes.Contains(data, []byte(secret)) {
					found = append(found, secret)
				}
			}
		}
		return found
	}
	if found := named(); len(found) < len(secrets) {
		t.Fatalf("before: %v: there is nothing to be found", found)
	}
	s, _, _ := opened(t, dir)
	if found := named(); len(found) > 0 {
		t.Errorf("the files of the documents name %v", found)
	}
	var people []string
	if err := s.EachPerson(t.Context(), func(uid string) error { people = append(people, uid); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"anna"}, people); diff != "" {
		t.Errorf("people, but for who is erased for good (-want +got):\n%s", diff)
	}
}
