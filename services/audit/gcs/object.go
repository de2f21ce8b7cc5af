package gcs

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

const (
	writersFolder = "audit/"
	headsFolder   = "heads/"
	suffix        = ".log"
	// separator stands between an object's lines and its note: no line has it.
	separator = "\f\n"
	closing   = "closed\n" // the last of a note's lines, where the writer has ended
	// notaryName is the name of the notary's chain, which no writer has.
	notaryName = "notary"
)

var objectNumber = regexp.MustCompile(`^[0-9]{12}\.log$`)

// A link is the one chain of a folder as far as it is known, and what it is held
// against.
type link struct {
	folder, name string
	verifier     note.Verifier
	head         chain.Head
	from         int64 // the number of the newest object
	closed       bool
}

// folderOf is a writer's.
func folderOf(writer string) string { return writersFolder + writer + "/" }

// writerOf begins a writer's chain.
func (k keys) writerOf(name string, m *chain.MACs) link {
	return link{folder: folderOf(name), name: name, verifier: k.writers.Verifier, head: m.Begin(name)}
}

// notaryOf begins the notary's.
func (k keys) notaryOf(m *chain.MACs) link {
	return link{folder: headsFolder, name: notaryName, verifier: k.notary.Verifier, head: m.Begin(notaryName)}
}

// object is the name of the one that begins with the entry.
func (l link) object(entry int64) string { return fmt.Sprintf("%s%012d%s", l.folder, entry, suffix) }

// number is that of the entry that an object of the name begins with.
func (l link) number(object string) (int64, bool) {
	last := strings.TrimPrefix(object, l.folder)
	if !objectNumber.MatchString(last) {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(last, suffix), 10, 64)
	return n, err == nil
}

// bad is a finding in the chain.
func (l link) bad(entry int64, format string, args ...any) *audit.BadEntry {
	return &audit.BadEntry{Writer: l.name, Index: entry, Detail: fmt.Sprintf(format, args...)}
}

// text is what a note says of the chain with the name behind h, and of the lines before
// the note, so that an object can be believed that nothing before is known of.
func text(h chain.Head, name string, lines []byte, closed bool) string {
	sum := sha256.Sum256(lines)
	s := h.Tree() + h.State() + "writer " + name + "\nlines " + base64.StdEncoding.EncodeToString(sum[:]) + "\n"
	if closed {
		s += closing
	}
	return s
}

// seal is an object: lines, and the note over the chain behind them.
func seal(lines []byte, h chain.Head, name string, closed bool, by note.Signer) ([]byte, error) {
	signed, err := chain.Sign(text(h, name, lines, closed), by)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{lines, signed}, []byte(separator)), nil
}

// take holds an object against the chain, which goes on behind it; see is told of each
// line's entry. Where something is wrong the chain stays as it was.
func (l *link) take(m *chain.MACs, data []byte, see func(entry []byte) error) error {
	if l.closed {
		return l.bad(l.head.Size, "it stands behind the writer's end")
	}
	lines, signed, whole := bytes.Cut(data, []byte(separator))
	if !whole {
		return l.bad(l.head.Size, "the object that it begins has no note")
	}
	next := l.head.Clone()
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		mac, follows := m.Follows(next, line)
		if !follows {
			return l.bad(next.Size, "it was changed, moved or does not follow the one before")
		}
		next.MAC = mac
		next.Grow(line)
		if err := see(chain.Text(line)); err != nil {
			return l.bad(next.Size-1, "%v", err)
		}
	}
	said, err := chain.OpenNote(signed, l.verifier)
	if err != nil {
		return l.bad(l.head.Size, "the note behind it is not signed by this log's key")
	}
	closed := strings.HasSuffix(said, closing)
	if said != text(next, l.name, lines, closed) || !closed && next.Size == l.head.Size {
		return l.bad(l.head.Size, "the note behind it is of another history")
	}
	if next.Size > l.head.Size {
		l.from = l.head.Size
	}
	l.head, l.closed = next, closed
	return nil
}

// resume is take of an object that nothing before is known of: its note is believed.
func (l *link) resume(number int64, data []byte, see func(entry []byte) error) error {
	lines, signed, _ := bytes.Cut(data, []byte(separator))
	said, err := chain.OpenNote(signed, l.verifier)
	h, is := chain.ParseHead(said)
	closed := strings.HasSuffix(said, closing)
	if err != nil || !is || said != text(h, l.name, lines, closed) || h.Size != number+int64(bytes.Count(lines, []byte("\n"))) {
		return l.bad(number, "the note behind it is not signed by this log's key")
	}
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if _, is := chain.MACOf(line); !is {
			return l.bad(number, "its object has a line that is no entry")
		}
		if err := see(chain.Text(line)); err != nil {
			return l.bad(number, "%v", err)
		}
	}
	l.head, l.from, l.closed = h, number, closed
	return nil
}

// blind sees nothing.
func blind([]byte) error { return nil }
