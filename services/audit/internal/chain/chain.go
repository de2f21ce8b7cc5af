// Package chain is what every driver's chain of entries is made of: lines, each
// with a MAC over itself and the MAC before it, and notes signed over the RFC 6962
// tree of all of them. A MAC says which line is wrong; a note, that none is missing
// and that all are who signed them says they are.
//
// A line is an entry's JSON, which begins with its index, a tab, and the MAC in
// hexadecimal. A note is a tree head as of golang.org/x/mod/sumdb/tlog, with more lines
// behind it where a driver has some to say, signed as of golang.org/x/mod/sumdb/note.
package chain

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/clarity-loop/clarity/services/audit"
)

// MaxLine bounds one entry's line.
const MaxLine = 64 << 10

const macSize = 16

// A MAC is that of a line.
type MAC [macSize]byte

// Head is the state of a chain behind its last entry. The zero Head is that of a
// chain that bears no name.
type Head struct {
	Size     int64
	MAC      MAC
	frontier []tlog.Hash // the roots of the perfect subtrees, from left to right
}

// Clone shares nothing with h.
func (h Head) Clone() Head {
	h.frontier = append([]tlog.Hash(nil), h.frontier...)
	return h
}

// Add chains what is kept of an entry and writes the whole line.
func (h *Head) Add(m *MACs, to *bytes.Buffer, entry any) error {
	text, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encode entry: %w", err)
	}
	if len(text)+2*macSize+2 > MaxLine {
		return fmt.Errorf("encode entry: it has %d bytes", len(text))
	}
	h.MAC = m.chained(h.MAC, text)
	from := to.Len()
	to.Write(text)
	to.WriteByte('\t')
	to.Write(hex.AppendEncode(to.AvailableBuffer(), h.MAC[:]))
	h.Grow(to.Bytes()[from:])
	to.WriteByte('\n')
	return nil
}

// Grow adds a line, without its end, to the tree. Its MAC is the caller's to hold.
func (h *Head) Grow(line []byte) {
	node := tlog.RecordHash(line)
	for n := h.Size; n&1 == 1; n >>= 1 {
		last := len(h.frontier) - 1
		node = tlog.NodeHash(h.frontier[last], node)
		h.frontier = h.frontier[:last]
	}
	h.frontier = append(h.frontier, node)
	h.Size++
}

// Root is the tree's hash, as tlog.TreeHash computes it.
func (h Head) Root() tlog.Hash {
	if h.Size == 0 {
		return sha256.Sum256(nil)
	}
	last := len(h.frontier) - 1
	root := h.frontier[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(h.frontier[i], root)
	}
	return root
}

// Is says whether the two are the same state of the same chain.
func (h Head) Is(other Head) bool {
	return h.Size == other.Size && h.MAC == other.MAC && h.Root() == other.Root()
}

// Tree is the tree head's text.
func (h Head) Tree() string { return string(tlog.FormatTree(tlog.Tree{N: h.Size, Hash: h.Root()})) }

// State is the text of all that is needed to go on behind h, and that Tree does not say.
func (h Head) State() string {
	nodes := make([]string, len(h.frontier))
	for i, node := range h.frontier {
		nodes[i] = base64.StdEncoding.EncodeToString(node[:])
	}
	return "chain " + hex.EncodeToString(h.MAC[:]) + "\nfrontier " + strings.Join(nodes, " ") + "\n"
}

// ParseHead reads what Tree and State say, of a text that begins with them.
func ParseHead(text string) (h Head, ok bool) {
	tree, err := tlog.ParseTree([]byte(text))
	lines := strings.Split(text, "\n")
	if err != nil || len(lines) < 5 {
		return h, false
	}
	mac, hasMAC := strings.CutPrefix(lines[3], "chain ")
	frontier, hasFrontier := strings.CutPrefix(lines[4], "frontier ")
	sum, err := hex.DecodeString(mac)
	if !hasMAC || !hasFrontier || err != nil || copy(h.MAC[:], sum) != macSize {
		return h, false
	}
	for part := range strings.SplitSeq(frontier, " ") {
		node, err := base64.StdEncoding.DecodeString(part)
		if err != nil || len(node) != tlog.HashSize {
			return h, false
		}
		h.frontier = append(h.frontier, tlog.Hash(node))
	}
	h.Size = tree.N
	whole := len(h.frontier) == bits.OnesCount64(uint64(h.Size)) //nolint:gosec // not negative
	return h, whole && h.Size > 0 && h.Root() == tree.Hash
}

// MACs computes a log's MACs, one at a time.
type MACs struct {
	hmac hash.Hash
	sum  [sha256.Size]byte
}

// NewMACs is for the log of the key.
func NewMACs(key []byte) *MACs { return &MACs{hmac: hmac.New(sha256.New, key)} }

func (m *MACs) of(parts ...[]byte) (mac MAC) {
	m.hmac.Reset()
	for _, p := range parts {
		_, _ = m.hmac.Write(p) // a hash never fails
	}
	copy(mac[:], m.hmac.Sum(m.sum[:0]))
	return mac
}

// chained is the MAC of an entry behind the one with the MAC before.
func (m *MACs) chained(before MAC, entry []byte) MAC {
	return m.of([]byte("chain\x00"), before[:], entry)
}

// Begin is the head of a chain of its own name before its first entry: no line of it
// follows in another.
func (m *MACs) Begin(name string) Head {
	return Head{MAC: m.of([]byte("begin\x00"), []byte(name))}
}

// Follows says whether the line is the one behind h, and which MAC h has then.
func (m *MACs) Follows(h Head, line []byte) (mac MAC, ok bool) {
	mac, ok = MACOf(line)
	if !ok {
		return mac, false
	}
	entry := line[:len(line)-hex.EncodedLen(macSize)-1]
	if m.chained(h.MAC, entry) != mac {
		return mac, false
	}
	var begin [32]byte
	index := append(strconv.AppendInt(append(begin[:0], `{"index":`...), h.Size, 10), ',')
	return mac, bytes.HasPrefix(entry, index)
}

// MACOf reads the MAC at a line's end.
func MACOf(line []byte) (mac MAC, ok bool) {
	tab := len(line) - hex.EncodedLen(macSize) - 1
	if tab < 0 || line[tab] != '\t' {
		return mac, false
	}
	if _, err := hex.Decode(mac[:], line[tab+1:]); err != nil {
		return mac, false
	}
	var again [2 * macSize]byte
	hex.Encode(again[:], mac[:]) // upper-case digits are not what was written
	return mac, bytes.Equal(again[:], line[tab+1:])
}

// Text is the entry's part of a line that MACOf has read.
func Text(line []byte) []byte { return line[:len(line)-hex.EncodedLen(macSize)-1] }

// Entry is what is kept of an event: people, and what is theirs, by their keyed hashes.
func (m *MACs) Entry(e audit.Event, index int64, now time.Time) audit.Entry {
	if e.Own != "" {
		e.Object = m.keyed("own\x00", e.UID+"\x00"+e.Own)
	}
	return audit.Entry{
		Index: index, Time: now.UTC(), Action: e.Action,
		Subject: m.token(e.UID), Actor: m.token(e.ActorUID),
		Object: e.Object, Outcome: e.Outcome, Reason: e.Reason,
	}
}

// token stands for a person: the same within this log, meaningless outside it.
func (m *MACs) token(uid string) string {
	if uid == "" {
		return ""
	}
	return m.keyed("subject\x00", uid)
}

func (m *MACs) keyed(use, text string) string {
	mac := m.of([]byte(use), []byte(text))
	return hex.EncodeToString(mac[:])
}
