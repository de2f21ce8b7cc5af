package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

const eraseDetail = `Destroys the person's data key first, which makes every copy unreadable at once, backups included; then deletes the
documents, messages and objects. Answers with a receipt when all of it is done; a second call gets the same receipt, and a call
after a crash finishes the work. From then on every other route answers 410.`

// An erasureReceipt says that a person's data is gone.
type erasureReceipt struct {
	ReceiptID string     `json:"receiptId"`
	ErasedAt  reply.Time `json:"erasedAt" doc:"from this moment on nothing was stored or read"`
}

type erasureOutput struct{ Body erasureReceipt }

// eraseAccount goes from the step that matters most to the one that matters
// least; each may be repeated.
func (r *Room) eraseAccount(ctx context.Context, _ *struct{}) (*erasureOutput, error) {
	uid := reply.UID(ctx)
	defer r.Cache.Forget(uid)
	account, err := r.Standing.MarkErased(ctx, uid, r.Now().UTC())
	if err != nil {
		return nil, err
	}
	if account.Value.Receipt != "" {
		return readReceipt(account.Value)
	}
	if err := r.Keys.Destroy(ctx, uid); err != nil {
		return nil, fmt.Errorf("destroy the person's key: %w", err)
	}
	if err := r.Documents.EraseUser(ctx, uid); err != nil {
		return nil, fmt.Errorf("erase the person's documents: %w", err)
	}
	if err := r.Queue.Forget(ctx, uid); err != nil {
		return nil, fmt.Errorf("forget the person's messages: %w", err)
	}
	if err := r.deleteObjects(ctx, uid); err != nil {
		return nil, err
	}
	receipt := erasureReceipt{ReceiptID: reply.NewID(), ErasedAt: reply.Time(account.Value.ErasedAt)}
	if _, err := r.Audit.Append(ctx, audit.Event{Action: audit.AccountErased, UID: uid, ActorUID: uid, Object: receipt.ReceiptID, Outcome: "ok", Reason: "requested by the person"}); err != nil {
		return nil, fmt.Errorf("audit an erasure: %w", err)
	}
	return r.closeAccount(ctx, uid, account, receipt)
}

// closeAccount keeps the receipt; of two at once the first one's stands.
func (r *Room) closeAccount(ctx context.Context, uid string, account store.Record[record.Account], receipt erasureReceipt) (*erasureOutput, error) {
	text, err := json.Marshal(receipt)
	if err != nil {
		return nil, fmt.Errorf("write the erasure's receipt: %w", err)
	}
	account.Value.Receipt = string(text)
	_, err = r.Accounts.Put(ctx, uid, record.AccountKey, account.Version, account.Value)
	if errors.Is(err, store.ErrConflict) {
		if account, err = r.Accounts.Get(ctx, uid, record.AccountKey); err == nil {
			return readReceipt(account.Value)
		}
	}
	if err != nil {
		return nil, err
	}
	return &erasureOutput{receipt}, nil
}

func (r *Room) deleteObjects(ctx context.Context, uid string) error {
	for _, kind := range blob.PersonKinds() {
		for {
			found, err := r.Blobs.List(ctx, blob.PersonPrefix(kind, uid), "", 500)
			if err != nil {
				return fmt.Errorf("list the person's %s: %w", kind, err)
			}
			for _, o := range found {
				if err := r.Blobs.Delete(ctx, o.Name); err != nil {
					return fmt.Errorf("delete one of the person's %s: %w", kind, err)
				}
			}
			if len(found) < 500 {
				break
			}
		}
	}
	return nil
}

func (r *Room) getErasureReceipt(ctx context.Context, _ *struct{}) (*erasureOutput, error) {
	account, err := r.Accounts.Get(ctx, reply.UID(ctx), record.AccountKey)
	if err != nil {
		return nil, err
	}
	if account.Value.Receipt == "" {
		return nil, problem.New(problem.NotFound, "the account is not erased, or not yet to the end")
	}
	return readReceipt(account.Value)
}

func readReceipt(a record.Account) (*erasureOutput, error) {
	var r erasureReceipt
	if err := json.Unmarshal([]byte(a.Receipt), &r); err != nil {
		return nil, fmt.Errorf("read the erasure's receipt: %w", err)
	}
	return &erasureOutput{r}, nil
}
