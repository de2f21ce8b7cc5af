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
func checkKeys(dir string, b platform.Backends) error {
	keys, documents := placeOf(b.Keys, "tink"), placeOf(b.Store, "sqlite")
	if keys == "" || documents != dir {
		return nil
	}
	info, err := os.Stat(filepath.Join(documents, storesqlite.FileName))
	if err != nil || info.Size() == 0 {
		return nil //nolint:nilerr // there are no documents yet, or their driver says what is wrong
	}
	if is, err := holds(keys); is || err != nil {
		return nil //nolint:nilerr // the keys' driver says what is wrong
	}
	return fmt.Errorf("the keys of the data directory %s are not at %s: put them there, or say --keys where they are; without them nothing of it can be read", dir, keys)
}

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

// placeOf is the place of the driver, "" where the spec is another's.
func placeOf(spec, driver string) string {
	at, is := strings.CutPrefix(spec, driver+":")
	if !is {
		return ""
	}
	return at
}

// Replay has everyone erased whose key is destroyed and whose documents do not
// know, as in a data directory that was put back from a copy, and takes up the
// erasures that a release before has left. It returns how many they were, and of how
// many others the key is missing, or cannot be read. The place is the caller's alone.
func Replay(ctx context.Context, b platform.Backends, now func() time.Time) (found, missing int, err error) {
	err = overDocuments(ctx, b, now, func(documents store.Driver, keys *tink.Keyring) error {
		found, missing, err = replay(ctx, documents, keys, now)
		return err
	})
	return found, missing, err
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

func replay(ctx context.Context, documents store.Driver, keys *tink.Keyring, now func() time.Time) (found, missing int, err error) {
	typed := store.New(documents, keys)
	err = typed.EachPerson(ctx, func(uid string) error {
		is, err := replayOne(ctx, typed, keys, uid, now().UTC())
		if is {
			found++
		}
		if is || err != nil {
			return err
		}
		lacks, err := lacksKey(ctx, typed, keys, uid)
		if lacks {
			missing++
		}
		return err
	})
	return found, missing, err
}

// lacksKey says whether something is sealed for the person, who is not erased, and
// their key is not there.
func lacksKey(ctx context.Context, typed *store.Store, keys *tink.Keyring, uid string) (bool, error) {
	if has, err := keys.Has(ctx, uid); has || err != nil {
		return false, err
	}
	account, err := typed.Accounts.Get(ctx, uid, record.AccountKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if !account.Value.ErasedAt.IsZero() {
		return false, nil
	}
	return typed.HoldsSealed(ctx, uid)
}

// HoldsAudit says whether there is an audit log.
func HoldsAudit(dir string, b platform.Backends) (bool, error) {
	return Holds(capability.Audit, placeOf(In(dir, b).Audit, "file"))
}

// replayOne looks at one person.
func replayOne(ctx context.Context, typed *store.Store, keys *tink.Keyring, uid string, now time.Time) (bool, error) {
	destroyed, at, err := keys.Destroyed(ctx, uid)
	if err != nil {
		return false, err
	}
	account, err := typed.Accounts.Get(ctx, uid, record.AccountKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
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
	if !died || at.After(now) {
		at = now
	}
	id, err := erased.ReceiptID(ctx, keys, uid, life)
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
	_, err = typed.ChangeAccount(ctx, uid, account, a, now)
	return err == nil, err
}
