// Package audit is the contract for the record of who did what to whose data.
//
// Append adds an entry; on return it MUST be durable. A log may have any number of
// writers, each with a chain of its own: entries are in order within a writer, and
// between two by their times alone. Processes of one writer take turns, and go on with
// its chain. A chain is hashed (a Merkle tree as of RFC 6962, by
// golang.org/x/mod/sumdb/tlog) with signed checkpoints (sumdb/note). Entries
// MUST NOT be changed or removed. Verify reads every writer's chain and MUST name the
// first bad entry: edited, dropped, reordered, cut off behind a checkpoint, or
// forked. A writer that is missing whole, or that has lost its end with its
// checkpoints, is missed where somebody else has signed over its head (a notary). An
// entry that a crash or a loss of power left half-written was never acknowledged, is
// not vouched for, and is dropped when its writer goes on. To go on a driver SHOULD
// begin at a checkpoint that it trusts, and not read what is before.
//
// An entry holds no health value, uid, e-mail or token: Subject and Actor are
// keyed hashes (HMAC) under a key of the log, and so is what a person's Own names;
// Object is a public name. So an erased person's entries still verify and say nothing.
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
)

// A Log is append-only.
type Log interface {
	Append(ctx context.Context, e Event) error
	// Verify checks the whole log, every writer's chain against its checkpoints. It
	// returns how many entries it holds, and a *BadEntry where one is wrong.
	Verify(ctx context.Context) (entries int64, err error)
}

// An Event is what the caller tells; the driver adds time, index and hashes,
// and replaces UID and ActorUID by their HMACs.
type Event struct {
	Action   Action
	UID      string // whose data
	ActorUID string // who acted; "" for the platform itself
	Object   string // what was touched, by a name that says nothing of the person: a route, a purpose, a receipt
	Own      string // or by one that does: an upload's id, a day, an export. It is kept as a keyed hash
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
	WebhookChanged   Action = "webhook.changed"
	AccessDenied     Action = "access.denied"
)

// An Entry is one line of a writer's chain as it is kept.
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
	Writer string // whose chain it is in; "" where there is one writer
	Index  int64  // the first entry of it that is wrong
	Detail string
}

func (e *BadEntry) Error() string {
	if e.Writer != "" {
		return fmt.Sprintf("audit: writer %s: entry %d: %s", e.Writer, e.Index, e.Detail)
	}
	return fmt.Sprintf("audit: entry %d: %s", e.Index, e.Detail)
}

// Fault is what a driver returns for an error it met; see package fault.
func Fault(op string, err error) error {
	return fault.Wrap("audit", op, err)
}
