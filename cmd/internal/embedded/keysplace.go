package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/store"
	storesqlite "github.com/clarity-loop/clarity/services/store/sqlite"
	"github.com/clarity-loop/clarity/services/veil"
)

// kekName is the file without which a keyring opens nothing.
const kekName = "kek.json"

// keysPlace is where the keys of a data directory lie: beside it, so that a copy
// of it holds none. A directory of a release before has them within until a
// platform moves them; so has one that is a disk of its own, beside which
// nothing would last.
func keysPlace(dir string) string {
	beside, within := besideOf(dir), filepath.Join(dir, "keys")
	if is, err := holds(beside); is && err == nil {
		return beside
	}
	if is, err := holds(within); is || err != nil || isMount(dir) {
		return within
	}
	return beside
}

func besideOf(dir string) string {
	if base := filepath.Base(dir); base == "." || base == ".." {
		if whole, err := filepath.Abs(dir); err == nil {
			dir = whole
		}
	}
	return filepath.Clean(dir) + ".keys"
}

func holds(place string) (bool, error) {
	_, err := os.Stat(filepath.Join(place, kekName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// isMount says whether the directory is another disk than what it lies in.
func isMount(dir string) bool {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	var own, above syscall.Stat_t
	if syscall.Stat(whole, &own) != nil || syscall.Stat(filepath.Dir(whole), &above) != nil {
		return false
	}
	return own.Dev != above.Dev || whole == filepath.Dir(whole)
}

// MoveKeys moves the keys of a data directory, which is the caller's alone, from
// within to beside it, and says so. Where they are beside it already, what lies
// within came with a copy, and is removed.
func MoveKeys(dir string, log *slog.Logger) error {
	within, beside := filepath.Join(dir, "keys"), besideOf(dir)
	inside, err := holds(within)
	if err != nil || !inside {
		return err
	}
	outside, err := holds(beside)
	if err != nil {
		return err
	}
	if isMount(dir) && !outside {
		log.Warn("the keys lie in the data directory, since it is a disk of its own: a copy of it holds the keys of everyone who is erased later; say --keys to have them elsewhere")
		return nil
	}
	if outside {
		return removeCopy(within, beside, log)
	}
	if err := os.Rename(within, beside); err != nil {
		return fmt.Errorf("move the keys beside the data directory: %w", err)
	}
	log.Info("the keys were moved out of the data directory, so that a copy of it holds none", "keys", beside)
	return errors.Join(durable.SyncDir(filepath.Dir(beside)), durable.SyncDir(dir))
}

// removeCopy removes keys that are a copy of those beside.
func removeCopy(within, beside string, log *slog.Logger) error {
	is, err := areCopies(within, beside)
	if err != nil {
		return err
	}
	if !is {
		log.Warn("the data directory holds other keys than those beside it, which are used; remove the former, or say --keys", "keys", beside)
		return nil
	}
	log.Info("the data directory held a copy of the keys beside it, which was removed", "keys", beside)
	return os.RemoveAll(within)
}

// areCopies says whether two places hold the same keys, whichever was rotated since.
func areCopies(one, other string) (bool, error) {
	var keks [2][]byte
	var names [2]string
	for i, place := range []string{one, other} {
		var err error
		if keks[i], err = os.ReadFile(filepath.Join(place, kekName)); err != nil { //nolint:gosec // the data directory is the caller's own
			return false, err
		}
		if i == 1 && bytes.Equal(keks[0], keks[1]) {
			return true, nil
		}
		if names[i], _, err = KnowKeys(context.Background(), place); err != nil {
			return false, nil //nolint:nilerr // what cannot be opened is no copy of what is in use
		}
	}
	return names[0] == names[1], nil
}

// checkKeys is the error of a data directory whose keys are not where they
// should be: new ones would open nothing of it.
func checkKeys(ctx context.Context, dir string, b platform.Backends) error {
	keys, documents := placeOf(b.Keys, "tink"), placeOf(b.Store, "sqlite")
	if keys == "" || documents != dir {
		return nil
	}
	info, err := os.Stat(filepath.Join(documents, storesqlite.FileName))
	if err != nil || info.Size() == 0 {
		return nil //nolint:nilerr // there are no documents yet, or their driver says what is wrong
	}
	if is, err := holds(keys); err != nil {
		return nil //nolint:nilerr // the keys' driver says what is wrong
	} else if is {
		return checkPseudonyms(ctx, dir, documents, keys)
	}
	return fmt.Errorf("the keys of the data directory %s are not at %s: put them there, or say --keys where they are; without them nothing of it can be read", dir, keys)
}

// checkPseudonyms is the error of a data directory in which somebody's documents lie under
// pseudonyms, the key of which is not with the other keys.
func checkPseudonyms(ctx context.Context, dir, documents, keys string) error {
	if is, err := tink.HasPseudonyms(keys); is || err != nil {
		return err
	}
	if named, err := storesqlite.Named(ctx, documents); !named || err != nil {
		return nil //nolint:nilerr // the documents' driver says what is wrong
	}
	return fmt.Errorf("the key of pseudonyms of the data directory %s is not at %s: put it back there, from the copy of the keys; everything is named by it, and with another nothing would be found", dir, filepath.Join(keys, "tokens.key"))
}

// HasPseudonyms says whether the keys at the place have a key of pseudonyms.
func HasPseudonyms(at string) (bool, error) { return tink.HasPseudonyms(at) }

// KnowKeys names the keys at the place, the same in every copy of them and no
// person's, and counts them: a copy that knows of fewer erasures or rotations is older.
func KnowKeys(ctx context.Context, at string) (name string, count keyring.Census, err error) {
	keys, err := tink.Open(at)
	if err != nil {
		return "", count, err
	}
	if name, err = keys.Pseudonym(ctx, "keyring/"); err != nil { // no uid holds a slash
		return "", count, err
	}
	count, err = keys.Census(ctx)
	return name, count, err
}

// DestroyedKeys is what counts a person's keys that are destroyed, by the keys of the
// backends, which are there.
func DestroyedKeys(b platform.Backends) (func(ctx context.Context, uid string) (int, error), error) {
	at := placeOf(b.Keys, "tink")
	if at == "" {
		return func(context.Context, string) (int, error) { return 0, nil }, nil
	}
	keys, err := tink.Open(at)
	if err != nil {
		return nil, &platform.OpenError{Of: "keys", Driver: "tink", At: at, Cause: err}
	}
	return func(ctx context.Context, uid string) (int, error) {
		n, _, err := keys.Destroyed(ctx, uid)
		return n, err
	}, nil
}

// placeOf is the place of the driver, "" where the spec is another's.
func placeOf(spec, driver string) string {
	at, is := strings.CutPrefix(spec, driver+":")
	if !is {
		return ""
	}
	return at
}

// Found is what a Replay came upon.
type Found struct {
	Erased int // people who were to be erased, and whom the documents did not say to be
	Marks  int // people of whose destroyed keys a mark was missing, and is there again
	// Missing are people whose key is not there, or cannot be read. File is the first such
	// of them, at the keys' place, and Why what is the matter with it; nil is that it is
	// not there.
	Missing int
	File    string
	Why     error
}

func (f *Found) lacks(file string, why error) {
	if f.Missing++; f.Missing == 1 {
		f.File, f.Why = file, why
	}
}

// Replay has everyone erased whose key is destroyed and whose documents do not
// know, as in a data directory that was put back from a copy, and takes up the
// erasures that a release before has left. The keys that documents say to be destroyed
// are. A key that is missing or cannot be read costs nobody else anything. The place is
// the caller's alone.
func Replay(ctx context.Context, b platform.Backends, now func() time.Time) (found Found, err error) {
	err = overDocuments(ctx, b, now, func(documents store.Driver, keys *tink.Keyring) error {
		r := replay{keys: keys, typed: store.New(documents, keys), now: now().UTC()}
		keys.Follow(r.typed.Life)
		err := r.typed.EachPerson(ctx, func(uid string) error { return r.person(ctx, uid) })
		found = r.found
		return err
	})
	return found, err
}

// overDocuments does something with the documents of a data directory and their keys,
// where there are any and both are of the drivers that keep them in one. The place is
// the caller's alone.
func overDocuments(ctx context.Context, b platform.Backends, now func() time.Time, do func(store.Driver, *tink.Keyring) error) (err error) {
	at, keysAt := placeOf(b.Store, "sqlite"), placeOf(b.Keys, "tink")
	if at == "" || keysAt == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(at, storesqlite.FileName)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	keys, err := tink.Open(keysAt)
	if err != nil {
		return &platform.OpenError{Of: "keys", Driver: "tink", At: keysAt, Cause: err}
	}
	if err := rename(ctx, at, keys); err != nil {
		return &platform.OpenError{Of: "store", Driver: "sqlite", At: at, Cause: err}
	}
	documents, err := storesqlite.Open(ctx, at, now)
	if err != nil {
		return &platform.OpenError{Of: "store", Driver: "sqlite", At: at, Cause: err}
	}
	defer func() { err = errors.Join(err, documents.Close()) }()
	return do(veil.NewDocuments(documents, keys), keys)
}

// rename has documents of a release before lie under names that tell nobody.
func rename(ctx context.Context, at string, keys *tink.Keyring) error {
	names := veil.NewDocuments(nil, keys)
	_, err := storesqlite.Rename(ctx, at, func(d store.Document) (store.Document, error) { return names.Veil(ctx, d) })
	return err
}

// replay is one look at everybody.
type replay struct {
	keys  *tink.Keyring
	typed *store.Store
	now   time.Time
	found Found
}

func (r *replay) person(ctx context.Context, uid string) error {
	account, err := r.typed.Accounts.Get(ctx, uid, record.AccountKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	a := account.Value
	over := a.Life
	if a.Over() {
		over++
	}
	if over > 0 {
		missing, err := r.keys.Settle(ctx, uid, over)
		if missing && err == nil {
			r.found.Marks++
		}
		if err != nil {
			r.found.lacks(tink.File(uid, over-1), err)
			return nil
		}
	}
	destroyed, at, err := r.keys.Destroyed(ctx, uid)
	if err != nil {
		r.found.lacks(tink.File(uid, a.Life), err)
		return nil //nolint:nilerr // it is told of, and costs nobody else anything
	}
	is, err := r.erase(ctx, uid, account, destroyed, at)
	if is {
		r.found.Erased++
	}
	if is || err != nil || !a.ErasedAt.IsZero() {
		return err
	}
	has, why := r.keys.Has(ctx, uid)
	if has {
		return nil
	}
	sealed, err := r.typed.HoldsSealed(ctx, uid)
	if sealed {
		r.found.lacks(tink.File(uid, a.Life), why)
	}
	return err
}

// HoldsAudit says whether there is an audit log.
func HoldsAudit(dir string, b platform.Backends) (bool, error) {
	return Holds(capability.Audit, placeOf(In(dir, b).Audit, "file"))
}

// erase has the person be erased whose erasure the documents do not know, or a release
// before has not ended.
func (r *replay) erase(ctx context.Context, uid string, account store.Record[record.Account], destroyed int, at time.Time) (bool, error) {
	a, before := account.Value, account.Value
	unfinished := !before.ErasedAt.IsZero() && before.Erasure == nil && before.Receipt == ""
	behind := destroyed > before.Life && before.ErasedAt.IsZero()
	if !unfinished && !behind {
		return false, nil
	}
	life, died := before.Life, destroyed > before.Life
	if died { // the key of what is there, whatever has become of later ones
		life = destroyed - 1
	}
	if !died || at.After(r.now) {
		at = r.now
	}
	id, err := erased.ReceiptID(ctx, r.keys, uid, life)
	if err != nil {
		return false, err
	}
	a = a.Erased(at, id)
	if unfinished {
		a.ErasedAt = before.ErasedAt
	}
	if died {
		a.Life, a.Erasure.Step, a.Erasure.DestroyedAt = life, erased.Destroyed, at
	}
	_, err = r.typed.ChangeAccount(ctx, uid, account, a, r.now)
	return err == nil, err
}
