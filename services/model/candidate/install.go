package candidate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/clarity-loop/clarity/api/worker/termination"
)

// A Stamp says what was installed: a server started again on the same folder
// needs neither the network nor the bundle.
type Stamp struct {
	Digest   string `json:"digest"` // of the bundle
	MaxBatch int    `json:"maxBatch"`
	GPU      bool   `json:"gpu"`
}

// installed is the file beside a model's own that says what they are.
const installed = "INSTALLED.json"

// An installation is what that file holds.
type installation struct {
	Stamp
	Files map[string]string `json:"files"` // SHA-256 by path
}

const maxInstallation = 64 << 10

// making begins the name of a folder that is not ready. A kill leaves one
// behind, and the next Install removes it.
const making = ".installing-"

var modelForm = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`)

// ErrRepository says that the model repository is no folder, or not one that
// this user may write: another try meets the same.
var ErrRepository = errors.New("not a model repository")

// check holds the names to their form, and the repository to being there.
func check(repository, model string) error {
	if !modelForm.MatchString(model) {
		return final(termination.Unreadable, fmt.Errorf("%.63q cannot be a model's name: 1 to 40 of a–z, 0–9 and -, a letter first", model))
	}
	info, err := os.Stat(repository)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no folder %s", ErrRepository, repository)
	case err != nil:
		return unusable(fmt.Errorf("look for the model repository: %w", err))
	case !info.IsDir():
		return fmt.Errorf("%w: %s is not a folder", ErrRepository, repository)
	}
	return nil
}

// unusable makes an error ErrRepository, where another try meets the same.
func unusable(err error) error {
	for _, lasting := range []error{fs.ErrPermission, syscall.EROFS, syscall.ENOTDIR} {
		if errors.Is(err, lasting) {
			return fmt.Errorf("%w: %w", ErrRepository, err)
		}
	}
	return err
}

// Installed says whether the repository has the model as the stamp says, every
// file as it was written.
func Installed(repository, model string, s Stamp) (bool, error) {
	if err := check(repository, model); err != nil {
		return false, err
	}
	root, err := os.OpenRoot(filepath.Join(repository, model))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open the model repository: %w", err)
	}
	defer func() { _ = root.Close() }()
	in, err := readInstallation(root)
	if err != nil || in.Stamp != s || len(in.Files) == 0 {
		return false, nil //nolint:nilerr // whatever is there, it is not what was asked for
	}
	for name, want := range in.Files {
		if got, err := hashOf(root, name); err != nil || got != want {
			return false, nil //nolint:nilerr // it is installed again
		}
	}
	return true, nil
}

func readInstallation(root *os.Root) (installation, error) {
	f, err := root.Open(installed)
	if err != nil {
		return installation{}, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxInstallation))
	if err != nil {
		return installation{}, err
	}
	return parseInstallation(raw)
}

func parseInstallation(raw []byte) (in installation, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, fmt.Errorf("read %s: %w", installed, err)
	}
	for name := range in.Files {
		if !fs.ValidPath(name) {
			return in, fmt.Errorf("read %s: %.80q is no file of a model", installed, name)
		}
	}
	return in, nil
}

func hashOf(root *os.Root, name string) (string, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Install puts the model's files, which are named from the repository on
// ("m/config.pbtxt" for model m), into the repository, a folder that is there.
// The model's folder appears whole and replaces the one before; the files are
// read-only. A server may read the repository once Install has returned.
func Install(repository, model string, files map[string][]byte, s Stamp) (err error) {
	if err := check(repository, model); err != nil {
		return err
	}
	if err := sweep(repository); err != nil {
		return unusable(fmt.Errorf("clean the model repository: %w", err))
	}
	folder, err := os.MkdirTemp(repository, making)
	if err != nil {
		return unusable(fmt.Errorf("write the model repository: %w", err))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	in := installation{s, map[string]string{}}
	all := map[string][]byte{}
	for name, content := range files {
		inner, ok := strings.CutPrefix(name, model+"/")
		if !ok || !fs.ValidPath(inner) || inner == installed {
			return fmt.Errorf("write the model repository: %.80q is not below %s", name, model)
		}
		sum := sha256.Sum256(content)
		all[inner], in.Files[inner] = content, hex.EncodeToString(sum[:])
	}
	if all[installed], err = json.Marshal(in); err != nil {
		return err
	}
	if err := writeAll(folder, all); err != nil {
		return fmt.Errorf("write the model repository: %w", err)
	}
	return replace(folder, filepath.Join(repository, model), filepath.Join(repository, making+"old"))
}

func writeAll(folder string, files map[string][]byte) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := root.Chmod(".", 0o755); err != nil { // the server is another user
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, files[name], 0o444); err != nil {
			return err
		}
	}
	return nil
}

// replace gives the new folder the name, and removes the one that had it.
func replace(folder, place, aside string) error {
	err := os.Rename(place, aside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(folder, place); err != nil {
		return err
	}
	return os.RemoveAll(aside)
}

// sweep removes what an Install that was killed left behind.
func sweep(repository string) error {
	entries, err := os.ReadDir(repository)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), making) {
			if err := os.RemoveAll(filepath.Join(repository, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
