package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/model"
)

// MaxFile is the most bytes a bundle's file has.
const MaxFile = maxFile

// MaxGolden is the most bytes a file of golden vectors has.
const MaxGolden = maxGolden

// Pack writes the file of the bundle with this manifest, asking open for each
// blob that the manifest names. It is how Write lays a bundle out: however a
// bundle travelled, its file is the same, byte for byte. Pack takes the sizes
// from the manifest and refuses one that is not a model's; that the blobs are
// what their digests say is left to who reads the file.
func Pack(w io.Writer, raw []byte, open func(digest string) (io.ReadCloser, error)) error {
	if len(raw) > maxManifest {
		return model.Refuse(model.Malformed, "a manifest of %d bytes, at most %d", len(raw), maxManifest)
	}
	m, err := parseManifest(raw)
	if err != nil {
		return err
	}
	blobs := []descriptor{{Digest: DigestOf(raw), Size: int64(len(raw))}, m.Config}
	for i, d := range m.Layers {
		if d.Size > parts[i].limit {
			return model.Refuse(model.Malformed, "%s has %d bytes, at most %d are allowed there", parts[i].file, d.Size, parts[i].limit)
		}
		blobs = append(blobs, d)
	}
	for _, d := range blobs {
		if !digestForm.MatchString(d.Digest) || d.Size < 0 || d.Size > maxWeights {
			return model.Refuse(model.Malformed, "a blob of digest %.100q and %d bytes", d.Digest, d.Size)
		}
	}
	slices.SortFunc(blobs, func(a, b descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	blobs = slices.CompactFunc(blobs, func(a, b descriptor) bool { return a.Digest == b.Digest })
	out := tar.NewWriter(w)
	if err := packHead(out, raw); err != nil {
		return err
	}
	for _, d := range blobs {
		if d.Digest == DigestOf(raw) {
			err = packFile(out, blobName(d.Digest), d.Size, bytes.NewReader(raw))
		} else {
			err = packBlob(out, d, open)
		}
		if err != nil {
			return err
		}
	}
	return out.Close()
}

// packHead writes what says that the tar is an OCI image layout, and of what.
func packHead(out *tar.Writer, raw []byte) error {
	head, err := json.Marshal(layout{layoutVersion})
	if err != nil {
		return err
	}
	names, err := json.Marshal(index{2, mediaIndex, []descriptor{
		{MediaType: mediaManifest, ArtifactType: ArtifactType, Digest: DigestOf(raw), Size: int64(len(raw))}}})
	if err != nil {
		return err
	}
	if err := packFile(out, layoutFile, int64(len(head)), bytes.NewReader(head)); err != nil {
		return err
	}
	return packFile(out, indexFile, int64(len(names)), bytes.NewReader(names))
}

func packBlob(out *tar.Writer, d descriptor, open func(digest string) (io.ReadCloser, error)) error {
	content, err := open(d.Digest)
	if err != nil {
		return err
	}
	err = packFile(out, blobName(d.Digest), d.Size, content)
	return errors.Join(err, content.Close())
}

func packFile(out *tar.Writer, name string, size int64, content io.Reader) error {
	head := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := out.WriteHeader(&head); err != nil {
		return err
	}
	// One byte more than there should be is an error of the tar's own.
	if _, err := io.Copy(out, io.LimitReader(content, size+1)); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

// Check reads a bundle's file as it comes and refuses it at the first byte that
// shows that it is not the one with the digest: the index, which stands in
// front, names another, or a blob is not what its name says. It holds no more
// in memory than the index. What passes is the right bundle or a malformed one,
// which Read tells.
func Check(r io.Reader, want string) error {
	named, there, size := false, false, int64(0)
	for in := tar.NewReader(r); ; {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return streamFault(err)
		}
		if size += head.Size; head.Typeflag != tar.TypeReg || size > maxFile { // a sparse file claims more than it sends
			return model.Refuse(model.Malformed, "entry %.100q is not a plain file of a bundle", head.Name)
		}
		if head.Name == indexFile {
			if err := checkIndex(in, want); err != nil {
				return err
			}
			named = true
			continue
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, in); err != nil { //nolint:gosec // nothing is inflated, and entries together are at most maxFile
			return streamFault(err)
		}
		digest := "sha256:" + hex.EncodeToString(hash.Sum(nil))
		if strings.HasPrefix(head.Name, "blobs/") && head.Name != blobName(digest) {
			return model.Refuse(model.DigestMismatch, "the content of %.100q has another digest", head.Name)
		}
		there = there || digest == want
	}
	switch {
	case !named:
		return model.Refuse(model.Malformed, "there is no index")
	case !there:
		return model.Refuse(model.DigestMismatch, "the bundle lacks its manifest %s", want)
	}
	return nil
}

// streamFault tells a tar that is not one from a reader that failed.
func streamFault(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return model.Refuse(model.Malformed, "not a whole tar file")
	}
	return fmt.Errorf("read bundle: %w", err)
}

func checkIndex(r io.Reader, want string) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return streamFault(err)
	}
	var i index
	if err := strict(raw, &i); err != nil || len(i.Manifests) != 1 || i.Manifests[0].ArtifactType != ArtifactType {
		return model.Refuse(model.Malformed, "the index does not name one model")
	}
	if got := i.Manifests[0].Digest; got != want {
		return model.Refuse(model.DigestMismatch, "the bundle is %.80s, not %.80s", got, want)
	}
	return nil
}
