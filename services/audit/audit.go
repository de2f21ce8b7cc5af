// Package audit is the contract for the record of who did what to whose data.
//
// Append adds an entry and returns its index; on return the entry MUST be
// durable. Entries form a hash-chained log (a Merkle tree as of RFC 6962, by
// golang.org/x/mod/sumdb/tlog) with signed checkpoints (sumdb/note). Entries
// MUST NOT be changed or removed. Verify reads the whole log and MUST name the
// first bad entry: edited, dropped, reordered, cut off behind a checkpoint, or
// forked. An entry that a crash left half-written was never acknowledged and is
// dropped at the next start.
//
// An entry holds no health value, uid, e-mail or token: Subject and Actor are
// keyed hashes (HMAC) under a key of the log, Object is a digest over ciphertext
// or a public name. So an erased person's entries still verify and say nothing.
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
)

// A Log is append-only.
type Log interface {
	Append(ctx context.Context, e Event) (index int64, err error)
	// Verify checks the whole log against its checkpoints. It returns how many
	// entries it holds, and a *BadEntry where one is wrong.
	Verify(ctx context.Context) (entries int64, err error)
}

// An Event is what the caller tells; the driver adds time, index and hashes,
// and replaces UID and ActorUID by their HMACs.
type Event struct {
	Action   Action
	UID      string // whose data
	ActorUID string // who acted; "" for the platform itself
	Object   string // what was touched: an upload id, a day, a digest
	Outcome  string // "ok", or a stable error code
	Reason   string // for break-glass and deletion
}

// An Action is a verb of the log.
type Action string

// What is recorded.
const (
	UploadAccepted   Action = "upload.accepted"
	DataRead         Action = "data.read"
	ResultStored     Action = "result.stored"
	InsightStored    Action = "insight.stored"
	ConsentGranted   Action = "consent.granted"
	ConsentWithdrawn Action = "consent.withdrawn"
	ProfileChanged   Action = "profile.changed"
	ExportCreated    Action = "export.created"
	AccountErased    Action = "account.erased"
	AccessDenied     Action = "access.denied"
)

// An Entry is one line of the log as it is kept.
type Entry struct {
	Index   int64     `json:"index"`
	Time    time.Time `json:"time"`
	Action  Action    `json:"action"`
	Subject string    `json:"subject"`
	Actor   string    `json:"actor,omitempty"`
	Object  string    `json:"object,omitempty"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
}

// BadEntry is Verify's finding.
type BadEntry struct { //nolint:errname // it is the entry that is bad
	Index  int64 // the first entry that is wrong
	Detail string
}

func (e *BadEntry) Error() string { return fmt.Sprintf("audit: entry %d: %s", e.Index, e.Detail) }

// Fault is what a driver returns for an error it met; see package fault.
func Fault(op string, err error) error {
	return fault.Wrap("audit", op, err)
}
