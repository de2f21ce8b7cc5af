package gcs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

// writerLife is how long a chain goes on; the notary looks for those that live.
const writerLife = 24 * time.Hour

const nameTime = "20060102T150405Z"

var writerForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}$`)

// began is when a writer of the name did, to the second.
func began(name string) (time.Time, bool) {
	if !writerForm.MatchString(name) {
		return time.Time{}, false
	}
	at, err := time.Parse(nameTime, name[:len(nameTime)])
	return at, err == nil
}

// writer writes one chain after another, one object at a time.
type writer struct {
	place
	macs  *chain.MACs
	chain link // of no name where none is begun
	until time.Time
}

func newWriter(at place) writer { return writer{place: at, macs: at.keys.macs()} }

// commit writes a group: an object, or none. Behind one that is not known to be there
// the chain is left to itself.
func (w *writer) commit(group []audit.Event) []error {
	err := w.flush(group)
	if err == nil {
		return nil
	}
	w.chain = link{}
	errs := make([]error, len(group))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func (w *writer) flush(group []audit.Event) error {
	if w.chain.name != "" && !w.now().Before(w.until) {
		_ = w.end() // a chain without a word of its end is whole, too
	}
	if w.chain.name == "" {
		if err := w.begin(); err != nil {
			return err
		}
	}
	next := w.chain.head.Clone()
	var lines bytes.Buffer
	for _, e := range group {
		if err := next.Add(w.macs, &lines, w.macs.Entry(e, next.Size, w.now())); err != nil {
			return err
		}
	}
	if err := w.put(lines.Bytes(), next, false); err != nil {
		return err
	}
	w.chain.head = next
	return nil
}

// begin begins a chain under a name that nobody had.
func (w *writer) begin() error {
	var chance [8]byte
	if _, err := rand.Read(chance[:]); err != nil {
		return fmt.Errorf("name a writer: %w", err)
	}
	now := w.now()
	w.chain = w.keys.writerOf(now.UTC().Format(nameTime)+"-"+hex.EncodeToString(chance[:]), w.macs)
	w.until = now.Add(writerLife)
	return nil
}

// end says that the chain ends here, where there is one.
func (w *writer) end() error {
	if w.chain.head.Size == 0 {
		return nil
	}
	err := w.put(nil, w.chain.head, true)
	w.chain = link{}
	return err
}

// put has the chain's next object be there.
func (w *writer) put(lines []byte, behind chain.Head, closed bool) error {
	data, err := seal(lines, behind, w.chain.name, closed, w.keys.writers.Signer)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	return w.create(ctx, w.chain.object(w.chain.head.Size), data)
}
