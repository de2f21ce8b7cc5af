package datadir_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/store"
)

const whole = capability.Store | capability.Keys | capability.Erasure

// kept runs f on the directory's store and keys.
func kept(t *testing.T, dir string, f func(o platform.Opened)) {
	t.Helper()
	l := datadir.Lease{Dir: dir, Drivers: drivers(), Needs: whole, Env: platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
	o, release, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f(o)
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, dir string) string {
	t.Helper()
	var log strings.Builder
	e := env()
	e.Log = slog.New(slog.NewTextHandler(&log, nil))
	p, err := datadir.Open(t.Context(), dir, config(), drivers(), table(whole), e)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return log.String()
}

func furnish(t *testing.T, dir string) {
	t.Helper()
	kept(t, dir, func(o platform.Opened) {
		_, err := o.Store.Answer(t.Context(), "anna", record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: true} })
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A directory of a release before has the keys within it: they are moved, and
// open what they opened. A copy of it that is put back brings them again, and not
// to use.
func TestKeysAreMovedBesideTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if log := start(t, dir); strings.Contains(log, "keys") {
		t.Errorf("a new directory: %s", log)
	}
	furnish(t, dir)
	within, beside := filepath.Join(dir, "keys"), dir+".keys"
	if err := os.Rename(beside, within); err != nil {
		t.Fatal(err)
	}
	kept(t, dir, func(o platform.Opened) { // who only has a turn moves nothing
		if err := o.Store.Permitted(t.Context(), "anna"); err != nil {
			t.Error(err)
		}
	})
	formerly := t.TempDir()
	if err := os.CopyFS(formerly, os.DirFS(within)); err != nil {
		t.Fatal(err)
	}
	if log := start(t, dir); !strings.Contains(log, "the keys were moved out of the data directory") || !strings.Contains(log, beside) {
		t.Errorf("the log says %s", log)
	}
	if _, err := os.Stat(within); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the keys are still within: %v", err)
	}
	kept(t, dir, func(o platform.Opened) {
		if _, err := o.Store.Consents.Get(t.Context(), "anna", record.PurposeProcessing); err != nil {
			t.Error(err)
		}
		if err := o.Erasure.Destroy(t.Context(), "anna"); err != nil {
			t.Error(err)
		}
	})
	keys, err := datadir.Keys(t.Context(), datadir.Place{Dir: dir}, drivers())
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.RotateKEK(t.Context()); err != nil { // a copy from before it is one all the same
		t.Fatal(err)
	}
	if p, err := keys.Rewrap(t.Context(), ""); err != nil || p.Cursor != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := os.CopyFS(within, os.DirFS(formerly)); err != nil {
		t.Fatal(err)
	}
	if log := start(t, dir); !strings.Contains(log, "held a copy of the keys beside it, which was removed") {
		t.Errorf("the log says %s", log)
	}
	kept(t, dir, func(o platform.Opened) {
		if _, err := o.Keys.Seal(t.Context(), "anna", "x", nil); !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("who was erased has a key again: %v", err)
		}
	})
}

// Without its keys nothing of a directory can be read; new ones beside it would
// only hide that.
func TestADirectoryWithoutItsKeysIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	if err := os.Rename(dir+".keys", dir+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	_, err := datadir.Open(t.Context(), dir, config(), drivers(), table(whole), env())
	l := datadir.Lease{Dir: dir, Drivers: drivers(), Needs: whole, Env: env()}
	_, _, leased := l.Acquire(t.Context())
	for _, err := range []error{err, leased} {
		if err == nil || !strings.Contains(err.Error(), "say --keys where they are") || !strings.Contains(err.Error(), dir+".keys") {
			t.Errorf("%v", err)
		}
	}
	if _, err := os.Stat(dir + ".keys"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("keys were made: %v", err)
	}
}

// A copy from before an erasure is put back: who was erased is erased in it, before
// anything is answered; who has come back since is not. So is an erasure that a
// release before was cut in.
func TestErasuresAreReplayedAtAStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	furnish(t, dir)
	kept(t, dir, func(o platform.Opened) {
		for uid, account := range map[string]record.Account{
			"ben":  {Purposes: []string{}},                                     // the copy's are of his first life
			"dora": {Purposes: []string{}, ErasedAt: time.Now()},               // was cut
			"emil": {Purposes: []string{}, ErasedAt: time.Now(), Receipt: "r"}, // was not
			"fred": {Purposes: []string{}},
		} {
			if _, err := o.Store.Accounts.Put(t.Context(), uid, record.AccountKey, 0, account); err != nil {
				t.Fatal(err)
			}
		}
		for _, uid := range []string{"anna", "ben", "cleo", "dora", "emil"} {
			if err := o.Erasure.Destroy(t.Context(), uid); err != nil {
				t.Fatal(err)
			}
		}
		for _, uid := range []string{"ben", "cleo"} {
			if err := o.Keys.Renew(t.Context(), uid, 1); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := o.Store.Accounts.Put(t.Context(), "cleo", record.AccountKey, 0, record.Account{Purposes: []string{}, Life: 1}); err != nil { // has come back
			t.Fatal(err)
		}
	})
	marks, err := filepath.Glob(filepath.Join(dir+".keys", "people", "*", "*.gone"))
	if err != nil || len(marks) != 5 {
		t.Fatalf("%v, %v", marks, err)
	}
	then := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	for _, mark := range marks {
		if err := os.Chtimes(mark, then, then); err != nil {
			t.Fatal(err)
		}
	}
	if log := start(t, dir); !strings.Contains(log, "people=3") {
		t.Errorf("the log says %s", log)
	}
	kept(t, dir, func(o platform.Opened) {
		is := map[string]bool{}
		for shard := range store.Shards {
			due, err := o.Store.Erasing(t.Context(), shard, time.Now(), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range due {
				is[d.Key.UID] = true
			}
		}
		for uid, want := range map[string]bool{"anna": true, "ben": true, "cleo": false, "dora": true, "emil": false, "fred": false} {
			if is[uid] != want {
				t.Errorf("%s is to be erased: %v, want %v", uid, is[uid], want)
			}
		}
		// The receipt is as it was before the copy was put back.
		anna, err := o.Store.Accounts.Get(t.Context(), "anna", record.AccountKey)
		id, named := erased.ReceiptID(t.Context(), o.Keys, "anna", 0)
		if err != nil || named != nil || anna.Value.Erasure.ReceiptID != id || !anna.Value.Erasure.DestroyedAt.Equal(then) || !anna.Value.ErasedAt.Equal(then) {
			t.Errorf("anna's receipt: %+v of %v, %v, %v", anna.Value.Erasure, anna.Value.ErasedAt, err, named)
		}
		if err := o.Store.Permitted(t.Context(), "anna"); !errors.Is(err, analysis.ErrErased) {
			t.Errorf("%v", err)
		}
	})
	if log := start(t, dir); strings.Contains(log, "people=") {
		t.Errorf("a second start says %s", log)
	}
}

func TestKeysByTheirDirectoryAlone(t *testing.T) {
	dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "k")
	c := config()
	c.Backends.Keys = keys
	p, err := datadir.Open(t.Context(), dir, c, drivers(), table(whole), env())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if is, err := embedded.Holds(capability.Keys, keys); err != nil || !is {
		t.Errorf("%v, %v", is, err)
	}
}

// Keys that were told to lie in the directory stay there, start after start.
func TestKeysStayWhereTheyAreSaidToBe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := config()
	c.Backends.Keys = "tink:" + filepath.Join(dir, "keys")
	for range 3 {
		p, err := datadir.Open(t.Context(), dir, c, drivers(), table(whole), env())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Somebody whose key is missing is counted at a start, and gets no other.
func TestAMissingKeyIsToldAtAStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	furnish(t, dir)
	found, err := filepath.Glob(filepath.Join(dir+".keys", "people", "*", "*.key"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	if log := start(t, dir); !strings.Contains(log, "people's keys are not at the keys' place") || !strings.Contains(log, "people=1") || strings.Contains(log, "anna") {
		t.Errorf("the log says %s", log)
	}
	kept(t, dir, func(o platform.Opened) {
		if _, err := o.Keys.Seal(t.Context(), "anna", "x", nil); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("who lacks a key: %v", err)
		}
		if _, err := o.Keys.Seal(t.Context(), "ben", "x", nil); err != nil {
			t.Errorf("who is new: %v", err)
		}
	})
}

// Two data directories with documents of their own do not run on one ring at a time.
func TestKeysAreOfOnePlatformAtATime(t *testing.T) {
	root := t.TempDir()
	one, other := filepath.Join(root, "one"), filepath.Join(root, "other")
	start(t, one)
	c := config()
	c.Backends.Keys = "tink:" + one + ".keys"
	begin := func(dir string) (*datadir.Platform, error) {
		return datadir.Open(t.Context(), dir, c, drivers(), table(capability.Store|capability.Keys), env())
	}
	p, err := begin(one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begin(other); err == nil || !strings.Contains(err.Error(), "the keys at "+one+".keys are in use by a platform on another data directory") {
		t.Errorf("a second platform on the same keys: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err = begin(other); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// A platform that makes its keys has them to itself from its first start on.
func TestNewKeysAreOfOnePlatformAtATime(t *testing.T) {
	root := t.TempDir()
	one, other := filepath.Join(root, "one"), filepath.Join(root, "other")
	c := config()
	begin := func(dir string) (*datadir.Platform, error) {
		return datadir.Open(t.Context(), dir, c, drivers(), table(capability.Store|capability.Keys), env())
	}
	p, err := begin(one)
	if err != nil {
		t.Fatal(err)
	}
	c.Backends.Keys = "tink:" + one + ".keys"
	if _, err := begin(other); err == nil || !strings.Contains(err.Error(), "are in use by a platform on another data directory") {
		t.Errorf("a second platform on the same keys: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// back has anna come back from an erasure, with something that is sealed, and returns
// the file of her key of now.
func back(t *testing.T, dir string) (key string) {
	t.Helper()
	start(t, dir)
	furnish(t, dir)
	kept(t, dir, func(o platform.Opened) {
		account, err := o.Store.Accounts.Get(t.Context(), "anna", record.AccountKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(o.Erasure.Destroy(t.Context(), "anna"), o.Store.EraseUser(t.Context(), "anna"), o.Keys.Renew(t.Context(), "anna", 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Store.ChangeAccount(t.Context(), "anna", account, account.Value.Anew(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	})
	furnish(t, dir)
	return filepath.Join(dir+".keys", keyFile("anna", 1))
}

// Whose key cannot be read, or is away, also in a life behind an erasure, costs nobody
// else the start: it is told once, by its file, and that person is nobody who is erased.
func TestAStartWithoutOneKey(t *testing.T) {
	for name, c := range map[string]struct {
		harm   func(key string) error
		reason string
	}{
		"away":        {os.Remove, "not there"},
		"a directory": {func(key string) error { return errors.Join(os.Remove(key), os.Mkdir(key, 0o700)) }, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			key := back(t, dir)
			if err := c.harm(key); err != nil {
				t.Fatal(err)
			}
			log := start(t, dir)
			if strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "people=1") || !strings.Contains(log, filepath.Base(key)) || !strings.Contains(log, c.reason) || strings.Contains(log, "anna") {
				t.Errorf("the log says %s", log)
			}
			kept(t, dir, func(o platform.Opened) {
				if _, err := o.Store.Consents.Get(t.Context(), "anna", record.PurposeProcessing); err == nil || errors.Is(err, keyring.ErrDestroyed) {
					t.Errorf("who lacks a key: %v", err)
				}
				if a, err := o.Store.Accounts.Get(t.Context(), "anna", record.AccountKey); err != nil || !a.Value.ErasedAt.IsZero() {
					t.Errorf("%+v, %v", a, err)
				}
				if _, err := o.Keys.Seal(t.Context(), "ben", "x", nil); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A mark that is missing of who is erased, as in an older copy of the keys, is made
// again at a start, and the key that came with it goes.
func TestAMissingMarkIsMadeAgainAtAStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	back(t, dir)
	key := filepath.Join(dir+".keys", keyFile("anna", 0))
	if err := errors.Join(os.Remove(strings.TrimSuffix(key, ".key")+".gone"), os.WriteFile(key, []byte("as it was"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if log := start(t, dir); !strings.Contains(log, "marks of destroyed keys were missing") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the log says %s", log)
	}
	if _, err := os.Stat(key); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key is there: %v", err)
	}
	if log := start(t, dir); strings.Contains(log, "marks") {
		t.Errorf("a second start says %s", log)
	}
}

// Where there is data no new key of pseudonyms is made: everything is named by the one
// that is missing.
func TestADirectoryWithoutItsKeyOfPseudonymsIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	furnish(t, dir)
	tokens := filepath.Join(dir+".keys", "tokens.key")
	if err := os.Remove(tokens); err != nil {
		t.Fatal(err)
	}
	_, started := datadir.Open(t.Context(), dir, config(), drivers(), table(whole), env())
	l := datadir.Lease{Dir: dir, Drivers: drivers(), Needs: whole, Env: env()}
	_, _, leased := l.Acquire(t.Context())
	_, named := datadir.Pseudonym(t.Context(), datadir.Place{Dir: dir}, "anna")
	for _, err := range []error{started, leased, named} {
		if err == nil || !strings.Contains(err.Error(), tokens) || !strings.Contains(err.Error(), "put it back there") {
			t.Errorf("%v", err)
		}
	}
	if _, err := os.Stat(tokens); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key was made: %v", err)
	}
}

// An audit log that is gone is told of at the start that begins another, once.
func TestAnAuditLogThatIsGoneIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := drivers()
	d.Audit = map[string]platform.Opener[audit.Log]{"file": embedded.Audit}
	begin := func() string {
		var log strings.Builder
		e := env()
		e.Log = slog.New(slog.NewTextHandler(&log, nil))
		p, err := datadir.Open(t.Context(), dir, config(), d, table(whole|capability.Audit), e)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	for range 2 {
		if log := begin(); strings.Contains(log, "audit") {
			t.Errorf("the log says %s", log)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "audit")); err != nil {
		t.Fatal(err)
	}
	if bad := datadir.CheckAudit(datadir.Place{Dir: dir}); len(bad) != 1 {
		t.Errorf("fsck says %v", bad)
	}
	if log := begin(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "the audit log is gone") {
		t.Errorf("the log says %s", log)
	}
	if log := begin(); strings.Contains(log, "audit") {
		t.Errorf("a second start says %s", log)
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
