package backup

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/vault"
)

func drivers() platform.Drivers {
	return platform.Drivers{
		Store: map[string]platform.Opener[store.Driver]{"sqlite": embedded.Store},
		Blobs: map[string]platform.Opener[blob.Store]{"files": embedded.Blobs},
		Queue: map[string]platform.Opener[queue.Driver]{"sqlite": embedded.Queue},
		Keys:  map[string]platform.Opener[platform.Keyring]{"tink": embedded.Keys},
	}
}

// kept runs f on what is open of the data directory.
func kept(t *testing.T, dir string, f func(o platform.Opened)) {
	t.Helper()
	l := datadir.Lease{Dir: dir, Drivers: drivers(), Needs: capability.Store | capability.Blobs | capability.Queue | capability.Keys | capability.Erasure, Env: platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
	o, release, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f(o)
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

// furnished is a data directory of two people, with an export of anna's.
func furnished(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var opened []io.Closer
	e := platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Closing: func(_ string, c io.Closer) { opened = append(opened, c) }}
	if _, err := embedded.Audit(t.Context(), filepath.Join(dir, "audit"), e); err != nil {
		t.Fatal(err)
	}
	for _, c := range opened {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	makeIssuer(t, dir)
	kept(t, dir, func(o platform.Opened) {
		for _, uid := range []string{"anna", "ben"} {
			_, err := o.Store.Answer(t.Context(), uid, record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: true} })
			if err != nil {
				t.Fatal(err)
			}
		}
		packed, err := exported.Pack([]byte("lines"))
		if err != nil {
			t.Fatal(err)
		}
		part, err := vault.New(o.Blobs, o.Keys).Put(t.Context(), blob.KindExports, "anna", "e/1", packed)
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.Store.Exports.Put(t.Context(), "anna", "e", 0, record.Export{State: exported.Ready, Slot: 1, ExpiresAt: time.Now().Add(time.Hour), Parts: []exported.Part{{Object: part.Name, Bytes: 5}}})
		if err != nil {
			t.Fatal(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// erase destroys the person's key.
func erase(t *testing.T, dir, uid string) {
	t.Helper()
	k, err := embedded.Keys(t.Context(), dir+".keys", platform.Env{})
	if err == nil {
		err = k.Destroy(t.Context(), uid)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Who is erased, and an export that is deleted, while a place is copied is no fault of
// the copy, which is whole then: at once, and looked at again.
func TestWhatGoesWhileACopyIsMadeIsNoFault(t *testing.T) {
	dir := furnished(t)
	b := embedded.In(dir, platform.Backends{})
	m, err := describe(t.Context(), b, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Copy(t.Context(), b, to); err != nil { // the databases first
		t.Fatal(err)
	}
	erase(t, dir, "ben")
	if err := os.RemoveAll(filepath.Join(to, "blobs")); err != nil { // by then it is gone
		t.Fatal(err)
	}
	r, err := finish(t.Context(), b, drivers(), to, m, time.Now)
	if err != nil || len(r.Bad) > 0 || r.People != 2 || r.Erased != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err = Check(t.Context(), datadir.Place{Dir: to, Backends: platform.Backends{Keys: b.Keys}}, drivers(), time.Now)
	if err != nil || len(r.Bad) > 0 || r.Erased != 1 {
		t.Errorf("looked at again: %+v, %v", r, err)
	}
}

// A backup stays whole when somebody in it is erased since, and comes back, and is erased
// again.
func TestABackupStaysWhole(t *testing.T) {
	dir := furnished(t)
	to := filepath.Join(t.TempDir(), "copy")
	place := datadir.Place{Dir: dir}
	if r, err := Make(t.Context(), place, drivers(), to, false, time.Now); err != nil || r.People != 2 || r.Erased != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	copied := datadir.Place{Dir: to, Backends: platform.Backends{Keys: dir + ".keys"}}
	for lives := 1; lives < 3; lives++ {
		erase(t, dir, "anna")
		if r, err := Check(t.Context(), copied, drivers(), time.Now); err != nil || len(r.Bad) > 0 || r.Erased != 1 {
			t.Errorf("%d lives: %+v, %v", lives, r, err)
		}
		k, err := embedded.Keys(t.Context(), dir+".keys", platform.Env{})
		if err == nil {
			err = k.Renew(t.Context(), "anna", lives)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r, err := Check(t.Context(), copied, drivers(), time.Now); err != nil || len(r.Bad) > 0 || r.Erased != 1 {
			t.Errorf("back after %d: %+v, %v", lives, r, err)
		}
	}
}

// What is not whole is kept on demand, with a list, and can be put back.
func TestADamagedCopyIsKeptOnDemand(t *testing.T) {
	dir := furnished(t)
	key := filepath.Join(dir+".keys", keyFile("ben", 0))
	if err := os.WriteFile(key, []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	r, err := Make(t.Context(), datadir.Place{Dir: dir}, drivers(), to, false, time.Now)
	if err == nil || !strings.Contains(err.Error(), "--damaged") || len(r.Bad) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if r, err = Make(t.Context(), datadir.Place{Dir: dir}, drivers(), to, true, time.Now); err != nil || len(r.Bad) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if m, err := readManifest(to); err != nil || !slices.Equal(m.Damaged, r.Bad) {
		t.Errorf("%+v, %v", m, err)
	}
	back := datadir.Place{Dir: filepath.Join(t.TempDir(), "back"), Backends: platform.Backends{Keys: dir + ".keys"}}
	if _, damaged, err := Restore(t.Context(), to, back, time.Now); err != nil || damaged != 1 {
		t.Errorf("%d, %v", damaged, err)
	}
}

// Nobody else's directory is touched, and of several that make one backup at once one does.
func TestABackupHasADirectoryOfItsOwn(t *testing.T) {
	dir := furnished(t)
	to := filepath.Join(t.TempDir(), "copy")
	precious := filepath.Join(to+".partial", "precious")
	if err := errors.Join(os.Mkdir(to+".partial", 0o700), os.WriteFile(precious, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	var made [3]error
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() { _, made[i] = Make(t.Context(), datadir.Place{Dir: dir}, drivers(), to, false, time.Now) })
	}
	all.Wait()
	won := 0
	for _, err := range made {
		if err == nil {
			won++
		} else if !strings.Contains(err.Error(), "is there ") {
			t.Errorf("who came too late: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d made it: %v", won, made)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Where no backup is made, and what is none.
func TestWhatIsNoBackup(t *testing.T) {
	dir := furnished(t)
	to := filepath.Join(t.TempDir(), "copy")
	if _, err := Make(t.Context(), datadir.Place{Dir: dir}, drivers(), to, false, time.Now); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{filepath.Join(dir+".keys", "b"): "inside the keys", filepath.Join(to, "in", "it"): "inside another"} {
		if _, err := Make(t.Context(), datadir.Place{Dir: dir}, drivers(), at, false, time.Now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", at, err)
		}
	}
	for _, text := range []string{`{"format":1,"files":{}}`, `{"format":1,"files":null}`, `{"format":0,"files":{"VERSION":"x"}}`} {
		if err := os.WriteFile(filepath.Join(to, manifestName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		back := datadir.Place{Dir: filepath.Join(t.TempDir(), "back"), Backends: platform.Backends{Keys: dir + ".keys"}}
		if _, _, err := Restore(t.Context(), to, back, time.Now); err == nil || !strings.Contains(err.Error(), "is no backup") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := os.Remove(filepath.Join(dir+".keys", "tokens.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(t.Context(), datadir.Place{Dir: dir}, drivers(), to+"2", false, time.Now); err == nil || !strings.Contains(err.Error(), "tokens.key") {
		t.Errorf("without the key of pseudonyms: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir+".keys", "tokens.key")); err == nil {
		t.Error("a key was made")
	}
}

// What no start would work on, and what nobody would miss, is told.
func TestWhatIsToldOfADirectory(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(dir string) error
		want string
	}{
		"another audit log": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "AUDIT"), []byte("another\n"), 0o600) }, "the audit log: it is gone, or another"},
		"no mark": {func(dir string) error {
			erased, err := os.ReadFile(filepath.Join(dir+".keys", keyFile("ben", 0)))
			mark := filepath.Join(dir+".keys", strings.TrimSuffix(keyFile("ben", 0), ".key")+".gone")
			kept(t, dir, func(o platform.Opened) {
				account, got := o.Store.Accounts.Get(t.Context(), "ben", record.AccountKey)
				a := account.Value.Erased(time.Now(), "r")
				a.Erasure.Step = "destroyed"
				_, put := o.Store.ChangeAccount(t.Context(), "ben", account, a, time.Now())
				err = errors.Join(err, got, put, o.Erasure.Destroy(t.Context(), "ben"))
			})
			return errors.Join(err, os.Remove(mark), os.WriteFile(filepath.Join(dir+".keys", keyFile("ben", 0)), erased, 0o600))
		}, "the mark of a destroyed key of "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := furnished(t)
			if r, err := Check(t.Context(), datadir.Place{Dir: dir}, drivers(), time.Now); err != nil || len(r.Bad) > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := c.harm(dir); err != nil {
				t.Fatal(err)
			}
			if r, err := Check(t.Context(), datadir.Place{Dir: dir}, drivers(), time.Now); err != nil || len(r.Bad) != 1 || !strings.Contains(r.Bad[0], c.want) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func makeIssuer(t *testing.T, dir string) {
	t.Helper()
	if _, err := issuer.Open(t.Context(), filepath.Join(dir, "identity"), platform.Env{Now: time.Now}); err != nil {
		t.Fatal(err)
	}
}

// keyFile is the file of a person's key of a life, at the keys' place.
func keyFile(uid string, life int) string {
	name := fmt.Sprintf("%x", sha256.Sum256([]byte(uid)))
	file := filepath.Join("people", name[:2], name)
	if life > 0 {
		file += fmt.Sprint(".", life)
	}
	return file + ".key"
}
