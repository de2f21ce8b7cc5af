package bundle

import "github.com/clarity-loop/clarity/services/model"

// Papers are what a server shows of the version that it serves: three of the
// artifact's documents, byte for byte. The manifest's digest is the version's,
// and the manifest holds the digests of the others; so who knows the digest
// alone can believe the papers, and needs neither the artifact nor access to it.
type Papers struct {
	Manifest, Contract, Preprocessing []byte
}

// ReadPapers returns the bundle that the papers are of, without its weights,
// golden vectors and card, and refuses papers of another digest than want.
func ReadPapers(p Papers, want string) (*Bundle, error) {
	switch digest := DigestOf(p.Manifest); {
	case len(p.Manifest) == 0:
		return nil, model.Refuse(model.Malformed, "there are no papers")
	case len(p.Manifest) > maxManifest || len(p.Contract) > maxManifest || len(p.Preprocessing) > maxCard:
		return nil, model.Refuse(model.Malformed, "the papers are larger than a bundle's may be")
	case digest != want:
		return nil, model.Refuse(model.DigestMismatch, "the papers are of %s, not %.80s", digest, want)
	}
	m, err := parseManifest(p.Manifest)
	if err != nil {
		return nil, err
	}
	pre := m.Layers[1]
	switch {
	case pre.MediaType != mediaPreprocess:
		return nil, model.Refuse(model.Malformed, "layer 1 is %.80q, want %s", pre.MediaType, mediaPreprocess)
	case DigestOf(p.Contract) != m.Config.Digest, DigestOf(p.Preprocessing) != pre.Digest:
		return nil, model.Refuse(model.DigestMismatch, "contract or preprocessing are not those of the manifest")
	}
	b := &Bundle{Digest: want, Papers: p}
	if err := b.readPapers(); err != nil {
		return nil, err
	}
	return b, b.checkContract()
}

// readPapers decodes the contract and the preprocessing, which belong together.
func (b *Bundle) readPapers() error {
	if err := strict(b.Papers.Contract, &b.Contract); err != nil {
		return model.Refuse(model.Malformed, "the contract: %v", err)
	}
	if err := strict(b.Papers.Preprocessing, &b.Preprocessing); err != nil {
		return model.Refuse(model.Malformed, "the preprocessing: %v", err)
	}
	if got := b.Contract.Preprocessing; got != (PreprocessingRef{b.Preprocessing.ID, DigestOf(b.Papers.Preprocessing)}) {
		return model.Refuse(model.DigestMismatch, "the contract was made for other preprocessing than the bundle has")
	}
	return nil
}
