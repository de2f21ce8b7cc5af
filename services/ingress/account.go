package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

const eraseDetail = `Destroys the person's data key first, which makes every copy unreadable at once, backups included; then deletes the
documents, messages and objects. Answers with a receipt when all of it is done; a second call gets the same receipt, and a call
after a crash finishes the work. From then on every other route answers 410.`

// An erasureReceipt says that a person's data is gone.
type erasureReceipt struct {
	ReceiptID string    `json:"receiptId"`
	ErasedAt  time.Time `json:"erasedAt" doc:"from this moment on nothing was stored or read"`
}

type erasureOutput struct{ Body erasureReceipt }

// eraseAccount goes from the step that matters most to the one that matters
// least; each may be repeated.
func (s *Server) eraseAccount(ctx context.Context, _ *struct{}) (*erasureOutput, error) {
	uid := uidOf(ctx)
	account, err := s.markErased(ctx, uid)
	if err != nil {
		return nil, err
	}
	if account.Value.Receipt != "" {
		return readReceipt(account.Value)
	}
	if err := s.Keys.Destroy(ctx, uid); err != nil {
		return nil, fmt.Errorf("destroy the person's key: %w", err)
	}
	if err := s.Store.EraseUser(ctx, uid); err != nil {
		return nil, fmt.Errorf("erase the person's documents: %w", err)
	}
	if err := s.Queue.Forget(ctx, uid); err != nil {
		return nil, fmt.Errorf("forget the person's messages: %w", err)
	}
	if err := s.deleteObjects(ctx, uid); err != nil {
		return nil, err
	}
	r := erasureReceipt{ReceiptID: newID(), ErasedAt: account.Value.ErasedAt.UTC()}
	if _, err := s.Audit.Append(ctx, audit.Event{Action: audit.AccountErased, UID: uid, ActorUID: uid, Object: r.ReceiptID, Outcome: "ok", Reason: "requested by the person"}); err != nil {
		return nil, fmt.Errorf("audit an erasure: %w", err)
	}
	return s.closeAccount(ctx, uid, account, r)
}

// markErased writes the account's end behind the person's gate: when it
// returns, nothing of theirs is being stored by this process or will be.
func (s *Server) markErased(ctx context.Context, uid string) (store.Record[record.Account], error) {
	gate := s.people.gate(uid)
	gate.Lock()
	defer gate.Unlock()
	defer s.people.forget(uid)
	account, err := s.Store.Accounts.Get(ctx, uid, record.AccountKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return account, err
	}
	if !account.Value.ErasedAt.IsZero() {
		return account, nil
	}
	account.Value.ErasedAt = s.Now().UTC()
	account.Version, err = s.Store.Accounts.Put(ctx, uid, record.AccountKey, account.Version, account.Value)
	return account, err
}

// closeAccount keeps the receipt; of two at once the first one's stands.
func (s *Server) closeAccount(ctx context.Context, uid string, account store.Record[record.Account], r erasureReceipt) (*erasureOutput, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the erasure's receipt: %w", err)
	}
	account.Value.Receipt = string(text)
	_, err = s.Store.Accounts.Put(ctx, uid, record.AccountKey, account.Version, account.Value)
	if errors.Is(err, store.ErrConflict) {
		if account, err = s.Store.Accounts.Get(ctx, uid, record.AccountKey); err == nil {
			return readReceipt(account.Value)
		}
	}
	if err != nil {
		return nil, err
	}
	return &erasureOutput{r}, nil
}

func (s *Server) deleteObjects(ctx context.Context, uid string) error {
	for _, kind := range blob.PersonKinds() {
		for {
			found, err := s.Blobs.List(ctx, blob.PersonPrefix(kind, uid), "", 500)
			if err != nil {
				return fmt.Errorf("list the person's %s: %w", kind, err)
			}
			for _, o := range found {
				if err := s.Blobs.Delete(ctx, o.Name); err != nil {
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

func (s *Server) getErasureReceipt(ctx context.Context, _ *struct{}) (*erasureOutput, error) {
	account, err := s.Store.Accounts.Get(ctx, uidOf(ctx), record.AccountKey)
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
