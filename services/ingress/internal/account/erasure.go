package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/store"
)

// The codes of an erasure.
const (
	FreshSignInRequired problem.Code = "401 fresh_sign_in_required"
	ErasureRunning      problem.Code = "409 erasure_running"
)

// freshSignIn is how old a sign-in may be that an account is erased with.
const freshSignIn = 5 * time.Minute

const eraseDetail = `Has the account erased, durably: from then on every other route answers 410, and the platform goes on by itself, whatever
is killed meanwhile. The person's data key is destroyed first, then documents, messages and objects; the receipt says how far it is.
Asks for a sign-in of the last five minutes (` + "`auth_time`" + `). A second call says the same as the receipt.`

const receiptDetail = `How far the erasure is: ` + "`requested`, `destroyed`, `erased`" + `. 202 until it has ended, then 200. Once the key is destroyed, what it sealed
is noise in every copy that does not hold the key: in backups that ` + "`clarity backup`" + ` made, which never do, from that moment on.
A copy of the key's own directory from before is none of ours, and opens what it opened.`

const returnDetail = `Who is erased begins anew under a new key, having agreed to nothing; nothing of before comes back. In an erasure's grace period it
takes the erasure back, and all is as it was. 409 while the erasure is at work.`

// An ErasureState is what a receipt says.
type erasureState string

// Schema lists the states.
const (
	stateRequested erasureState = "requested"
	stateDestroyed erasureState = "destroyed"
	stateErased    erasureState = "erased"
)

// An erasureReceipt says how far a person's data is gone.
type erasureReceipt struct {
	ReceiptID   string       `json:"receiptId"`
	State       erasureState `json:"state" enum:"requested,destroyed,erased" doc:"requested: nothing is destroyed yet; destroyed: the key is, and all that it sealed is noise; erased: nothing else is left"`
	ErasedAt    reply.Time   `json:"erasedAt" doc:"from this moment on nothing was stored or read"`
	BeginsAt    *reply.Time  `json:"beginsAt,omitempty" doc:"when the grace period ends, while it lasts"`
	DestroyedAt *reply.Time  `json:"keyDestroyedAt,omitempty" doc:"from this moment on every copy without the key is noise"`
	FinishedAt  *reply.Time  `json:"finishedAt,omitempty" doc:"when documents, messages and objects were gone"`
}

type erasureOutput struct {
	Status   int
	Location string `header:"Location" doc:"where the receipt is"`
	Body     erasureReceipt
}

// eraseAccount marks the account; the stage of that name does the rest.
func (r *Room) eraseAccount(ctx context.Context, _ *struct{}) (*erasureOutput, error) {
	subject := reply.Subject(ctx)
	if r.Now().Sub(subject.AuthTime) > freshSignIn {
		return nil, problem.New(FreshSignInRequired, "an account is erased with a sign-in of the last five minutes: sign in again").
			With("WWW-Authenticate", fmt.Sprintf(`Bearer realm="clarity", error="insufficient_user_authentication", max_age=%d`, int(freshSignIn.Seconds())))
	}
	defer r.Cache.Forget(subject.UID)
	account, err := r.Accounts.Get(ctx, subject.UID, record.AccountKey)
	var id string
	if err == nil || errors.Is(err, store.ErrNotFound) {
		id, err = erased.ReceiptID(ctx, r.Keys, subject.UID, account.Value.Life)
	}
	if err == nil {
		account, err = r.Standing.MarkErased(ctx, subject.UID, r.Now().UTC(), r.Grace, id)
	}
	if err != nil {
		return nil, err
	}
	out, err := r.receiptOf(account)
	if err == nil {
		out.Status = 202
	}
	return out, err
}

func (r *Room) getErasureReceipt(ctx context.Context, _ *struct{}) (*erasureOutput, error) {
	account, err := r.Accounts.Get(ctx, reply.UID(ctx), record.AccountKey)
	if err != nil {
		return nil, err
	}
	if account.Value.ErasedAt.IsZero() {
		return nil, problem.New(problem.NotFound, "the account is not erased")
	}
	return r.receiptOf(account)
}

// receiptOf is what may be said of the account's erasure by now.
func (r *Room) receiptOf(account store.Record[record.Account]) (*erasureOutput, error) {
	a, out := account.Value, &erasureOutput{Status: 202, Location: receiptPath}
	e := a.Erasure
	if e == nil {
		return former(a, out)
	}
	out.Body = erasureReceipt{ReceiptID: e.ReceiptID, State: stateRequested, ErasedAt: reply.Time(a.ErasedAt), DestroyedAt: moment(e.DestroyedAt), FinishedAt: moment(e.FinishedAt)}
	switch {
	case e.Finished():
		out.Status, out.Body.State = 200, stateErased
	case e.Step != erased.Requested:
		out.Body.State = stateDestroyed
	case inGrace(account, r.Now()):
		out.Body.BeginsAt = moment(account.Due)
	}
	return out, nil
}

// former is the receipt of a release before.
func former(a record.Account, out *erasureOutput) (*erasureOutput, error) {
	out.Body = erasureReceipt{State: stateRequested, ErasedAt: reply.Time(a.ErasedAt)}
	if a.Receipt == "" { // it was cut; a start takes it up
		return out, nil
	}
	if err := json.Unmarshal([]byte(a.Receipt), &out.Body); err != nil {
		return nil, fmt.Errorf("read the erasure's receipt: %w", err)
	}
	out.Status, out.Body.State = 200, stateErased
	return out, nil
}

func moment(t time.Time) *reply.Time {
	if t.IsZero() {
		return nil
	}
	at := reply.Time(t)
	return &at
}

// beginAnew has an erased person come back.
func (r *Room) beginAnew(ctx context.Context, _ *struct{}) (*struct{}, error) {
	uid := reply.UID(ctx)
	defer r.Cache.Forget(uid)
	account, err := r.Accounts.Get(ctx, uid, record.AccountKey)
	if errors.Is(err, store.ErrNotFound) || err == nil && account.Value.ErasedAt.IsZero() {
		return nil, nil //nolint:nilnil // who is not erased has nothing to begin anew
	}
	if err != nil {
		return nil, err
	}
	a, now := account.Value, r.Now()
	to, also := a.Anew(), []store.Change(nil)
	switch e := a.Erasure; {
	case e == nil && a.Receipt == "", e != nil && e.Until.After(now):
		return nil, erasureRunning()
	case e != nil && inGrace(account, now):
		to, also = a.Kept(), []store.Change{r.Standing.Errand(agenda.Resume, a.ErasedAt, now)} // what came to a halt goes on
	case e != nil && !e.Finished():
		return nil, erasureRunning()
	default:
		if err := r.Keys.Renew(ctx, uid, to.Life); err != nil {
			return nil, fmt.Errorf("renew the person's key: %w", err)
		}
	}
	_, err = r.Standing.ChangeAccount(ctx, uid, account, to, time.Time{}, also...)
	if errors.Is(err, store.ErrConflict) {
		return nil, erasureRunning()
	}
	return nil, err
}

// inGrace says whether the erasure can be taken back: it has a grace period, which
// lasts, and nobody has begun.
func inGrace(account store.Record[record.Account], now time.Time) bool {
	e := account.Value.Erasure
	return e.Step == erased.Requested && !e.Begun && account.Due.After(account.Value.ErasedAt) && account.Due.After(now)
}

func erasureRunning() error {
	return problem.New(ErasureRunning, "the erasure is at work; come again when its receipt says that it has ended").With("Retry-After", "5")
}
