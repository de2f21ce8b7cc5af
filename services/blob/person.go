package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The kinds of object that belong to a person: the first segment of the name.
const (
	KindUploads    = "uploads"    // raw bodies, by upload id and digest
	KindDays       = "days"       // chunks, by day and digest
	KindTombstones = "tombstones" // sets of deleted uuids, by digest
	KindSeries     = "series"     // points of one sample, by day and digest
	KindExports    = "exports"    // parts of exports, by export id and digest
)

// Checkpoints begins the names of shards' checkpoints, which are nobody's.
const Checkpoints = "shards/"

// PersonKinds lists the kinds: what an erasure must empty.
func PersonKinds() []string {
	return []string{KindUploads, KindDays, KindTombstones, KindSeries, KindExports}
}

// PersonPrefix begins the name of every object of one kind that is the
// person's: "days/4f/anna/". The second segment spreads people evenly: two
// hexadecimal digits of the SHA-256 of the uid. Bytes of the uid that a name
// cannot hold are written as = and two hexadecimal digits, so that two uids
// never share a prefix.
func PersonPrefix(kind, uid string) string {
	sum := sha256.Sum256([]byte(uid))
	var b strings.Builder
	b.Grow(len(kind) + len(uid) + 5)
	b.WriteString(kind)
	b.WriteByte('/')
	b.WriteString(hex.EncodeToString(sum[:1]))
	b.WriteByte('/')
	dots := strings.Trim(uid, ".") == ""
	for i := range len(uid) {
		c := uid[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' && !dots
		if plain {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('=')
		b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	b.WriteByte('/')
	return b.String()
}

// SplitPerson takes a name that begins with a PersonPrefix apart: the kind, the
// uid and what follows. ok is false for any other name.
func SplitPerson(name string) (kind, uid, rest string, ok bool) {
	parts := strings.SplitN(name, "/", 4)
	if len(parts) != 4 {
		return "", "", "", false
	}
	uid, ok = unescape(parts[2])
	if !ok || !strings.HasPrefix(name, PersonPrefix(parts[0], uid)) {
		return "", "", "", false
	}
	return parts[0], uid, parts[3], true
}

func unescape(segment string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(segment); i++ {
		if segment[i] != '=' {
			b.WriteByte(segment[i])
			continue
		}
		if i+2 >= len(segment) {
			return "", false
		}
		c, err := hex.DecodeString(segment[i+1 : i+3])
		if err != nil {
			return "", false
		}
		b.WriteByte(c[0])
		i += 2
	}
	return b.String(), true
}
