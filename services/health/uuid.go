package health

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
)

// A UUID identifies a sample.
type UUID [16]byte

// ParseUUID reads the 36-character form, upper or lower case.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, fmt.Errorf("a uuid has the form 8-4-4-4-12 hexadecimal digits")
	}
	var digits [32]byte
	n := copy(digits[:], s[:8])
	n += copy(digits[n:], s[9:13])
	n += copy(digits[n:], s[14:18])
	n += copy(digits[n:], s[19:23])
	copy(digits[n:], s[24:])
	if _, err := hex.Decode(u[:], digits[:]); err != nil {
		return UUID{}, fmt.Errorf("a uuid has the form 8-4-4-4-12 hexadecimal digits")
	}
	return u, nil
}

// String is the 36-character lower-case form.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// DeriveUUID makes the identity of a sample from a format that carries none:
// a version 8 UUID (RFC 9562) of the type, interval, original value and unit,
// source and raw record. Equal records get equal identities.
func DeriveUUID(s *Sample) UUID {
	var space [512]byte // most records fit
	buf := space[:0]
	for _, text := range []string{s.Type, s.OriginalUnit, s.Source.BundleID, s.Source.Name, s.Source.ProductType, s.Raw} {
		buf = binary.AppendUvarint(buf, uint64(len(text)))
		buf = append(buf, text...)
	}
	buf = binary.BigEndian.AppendUint64(buf, uint64(s.Start))
	buf = binary.BigEndian.AppendUint64(buf, uint64(s.End))
	buf = binary.BigEndian.AppendUint64(buf, math.Float64bits(s.OriginalValue))
	sum := sha256.Sum256(buf)
	u := UUID(sum[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u
}
