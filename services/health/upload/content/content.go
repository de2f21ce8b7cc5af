// Package content tells whether two uploads say the same, however each is written:
// what stands for a body that is not kept.
package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"math"
	"strings"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// A Digest is of what an upload says: two bodies that are one JSON document, however
// they are written, have one. It is made as the body is read, by the clock at which it
// was received.
type Digest struct {
	sum  hash.Hash
	text []byte
}

// New is of an upload without samples.
func New() *Digest { return &Digest{sum: sha256.New()} }

// Add adds the next sample, in the order of the body.
func (c *Digest) Add(s *health.Sample) {
	metadata := s.Metadata
	if strings.Contains(metadata, `\`) { // it is sorted, and its strings are as they were written
		metadata = canonical(metadata)
	}
	b := append(c.text[:0], s.UUID[:]...)
	for _, n := range []uint64{uint64(s.Start), uint64(s.End), math.Float64bits(s.Value), math.Float64bits(s.OriginalValue)} { //nolint:gosec // any number that tells them apart
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, text := range []string{
		s.Type, s.Zone, s.Unit, s.OriginalUnit, metadata, canonical(s.Raw),
		s.Source.BundleID, s.Source.Name, s.Source.ProductType, s.Source.OSVersion,
	} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
	}
	if s.UserEntered {
		b = append(b, 1)
	}
	c.text = append(b, 0)
	c.sum.Write(c.text)
}

// canonical is JSON text with sorted members and no escape that is not needed; what is
// no JSON is as it is.
func canonical(text string) string {
	if text == "" {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var root any
	if d.Decode(&root) != nil {
		return text
	}
	var sorted strings.Builder
	e := json.NewEncoder(&sorted)
	e.SetEscapeHTML(false)
	if e.Encode(root) != nil {
		return text
	}
	return strings.TrimSuffix(sorted.String(), "\n")
}

// Sum is the digest of the whole upload, in hexadecimal.
func (c *Digest) Sum(e *upload.Envelope) (string, error) {
	rest := *e
	rest.Series = nil // their digests are in the samples
	text, err := json.Marshal(rest)
	if err != nil {
		return "", err
	}
	c.sum.Write(text)
	return hex.EncodeToString(c.sum.Sum(nil)), nil
}

// Of is the digest of an inflated body that was received then.
func Of(body []byte, received health.Instant) (string, error) {
	c := New()
	e, err := upload.Decode(body, received, c.Add)
	if err != nil {
		return "", err
	}
	return c.Sum(e)
}
