// Package artifact fetches what a model version is made of by URI: its bundle
// and its file of golden vectors.
//
// A URI says where, a digest says what. The digest of a bundle is its manifest's
// ("sha256:…", see services/model/bundle): the version's identity, whatever
// carried it. The digest of a golden set is the SHA-256 of the file's bytes.
// Both come from whoever declared the version, never from where the bytes come from.
//
// A Source opens what a URI names and MUST return its bytes from the first to
// the last, in order: a bundle as the tar that bundle.Write makes, a golden set
// as its file. It MUST fail rather than end early, with ErrNotFound where there
// is nothing, with ErrURI where the URI is not one of its scheme. It MUST NOT
// reach this machine or its network's metadata service unless it was told that
// it is in development. A Source trusts nobody and is trusted by nobody: the
// Fetcher checks every byte whatever the Source says, bounds them, and gives the
// file its name only when it is whole and right. A Source retries what it knows
// to be transient; the caller may retry the rest.
//
// Errors hold URIs and digests, which are no secrets, and nothing of the content.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// The sentinels that errors of a Fetcher wrap. What wraps none of them, a
// network that fails or a permission that is missing, may pass by itself.
var (
	// ErrNotFound says that there is nothing at the URI, or not yet.
	ErrNotFound = errors.New("artifact: there is nothing there")
	// ErrDigest says that what is there is something else.
	ErrDigest = errors.New("artifact: another digest")
	// ErrMalformed says that what is there cannot be an artifact.
	ErrMalformed = errors.New("artifact: not an artifact")
	// ErrURI says that the URI or the digest is not one.
	ErrURI = errors.New("artifact: not a URI that can be fetched")
)

// A Kind says what a URI is to name.
type Kind int

// The kinds.
const (
	Bundle Kind = iota // a model version
	File               // one file by its own digest: golden vectors, a manifest of subjects
)

// A Ref is what is asked of a Source.
type Ref struct {
	Kind   Kind
	URI    string
	Digest string // "sha256:" and 64 hexadecimal digits
}

// A Source opens what URIs of one scheme name.
type Source interface {
	Open(ctx context.Context, r Ref) (io.ReadCloser, error)
}

// A Fetcher writes artifacts to files.
type Fetcher struct{ sources map[string]Source }

// New is a Fetcher over a Source for each scheme, "gs" for gs://.
func New(sources map[string]Source) *Fetcher { return &Fetcher{sources} }

// Bundle writes the bundle to the path, which appears whole or not at all, and
// replaces what was there. It stops at the first byte that shows that this is
// another bundle; what it wrote is for bundle.Open to read.
func (f *Fetcher) Bundle(ctx context.Context, uri, digest, path string) error {
	return f.fetch(ctx, Ref{Bundle, uri, digest}, bundle.MaxFile, path)
}

// File writes a file of at most limit bytes whose SHA-256 is the digest.
func (f *Fetcher) File(ctx context.Context, uri, digest string, limit int64, path string) error {
	return f.fetch(ctx, Ref{File, uri, digest}, limit, path)
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

const maxURI = 512

// Scheme takes the scheme off a URI that may be fetched, or returns ErrURI.
func Scheme(uri string) (scheme, rest string, err error) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || rest == "" || len(uri) > maxURI || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", "", fmt.Errorf("%w: %.80q is not SCHEME://PLACE of at most %d bytes", ErrURI, uri, maxURI)
	}
	return scheme, rest, nil
}

// notADigest is ErrURI of a digest, in its own words.
type notADigest string

func (d notADigest) Error() string {
	return fmt.Sprintf("artifact: %.80q is not a digest, sha256: and 64 hexadecimal digits in lower case", string(d))
}

func (notADigest) Is(target error) bool { return target == ErrURI }

func (f *Fetcher) fetch(ctx context.Context, r Ref, limit int64, path string) error {
	scheme, _, err := Scheme(r.URI)
	if err != nil {
		return err
	}
	source, ok := f.sources[scheme]
	if !ok {
		known := slices.Sorted(func(yield func(string) bool) {
			for s := range f.sources {
				if !yield(s + "://") {
					return
				}
			}
		})
		return fmt.Errorf("%w: %.80q; known are %s", ErrURI, r.URI, strings.Join(known, ", "))
	}
	if !digestForm.MatchString(r.Digest) {
		return notADigest(r.Digest)
	}
	content, err := source.Open(ctx, r)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", r.URI, err)
	}
	err = save(content, r, limit, path)
	if closed := content.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", r.URI, err)
	}
	return nil
}

// save writes what comes to a temporary file and checks it on its way.
func save(content io.Reader, r Ref, limit int64, path string) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".fetch-*")
	if err != nil {
		return err
	}
	defer func() {
		if removed := os.Remove(temp.Name()); err == nil && removed != nil && !errors.Is(removed, fs.ErrNotExist) {
			err = removed
		}
	}()
	err = check(io.TeeReader(&bounded{content, limit}, temp), r)
	if err == nil {
		err = temp.Chmod(0o444)
	}
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// check reads all that comes and holds it to the digest.
func check(content io.Reader, r Ref) error {
	if r.Kind == Bundle {
		if err := verdict(bundle.Check(content, r.Digest)); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, content); err != nil { // a tar may be padded
			return err
		}
		return nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(hash.Sum(nil)); got != r.Digest {
		return fmt.Errorf("%w: it is %s, not %s", ErrDigest, got, r.Digest)
	}
	return nil
}

// verdict puts a bundle's refusal into this package's words.
func verdict(err error) error {
	switch {
	case errors.Is(err, model.DigestMismatch):
		return fmt.Errorf("%w: %w", ErrDigest, err)
	case errors.Is(err, model.Malformed):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

// bounded fails where there is more than it lets through.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: more bytes than an artifact of its kind has", ErrMalformed)
	}
	return n, err
}
