package uploads

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/ingress/internal/edge"
	"github.com/clarity-loop/clarity/services/ingress/internal/memory"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/vault"
)

// A receipt is the reply to an upload: kept, and given again to the same body.
type receipt struct {
	UploadID string             `json:"uploadId"`
	Received int                `json:"received" minimum:"0" doc:"entries of samples and of deleted"`
	Accepted int                `json:"accepted" minimum:"0" doc:"those that were taken"`
	Rejected []health.Rejection `json:"rejected" nullable:"false" doc:"those that were not, and why"`
	Warnings []health.Warning   `json:"warnings,omitempty" nullable:"false" doc:"what was not understood of those that were taken, a reason each; absent where all was"`
	Cursor   map[string]string  `json:"cursor" doc:"the cursors that merging this upload will commit"`
	Status   string             `json:"status" format:"uri-reference" doc:"where to see how far it has come"`
}

// An acceptedUpload was read and decoded, and is to be persisted.
type acceptedUpload struct {
	uid, id  string
	body     []byte // as received
	received time.Time
	encoding string
	receipt  []byte
	accepted int
	rejected int
	// historical is merged behind what is of today.
	historical bool
}

// mostOfToday is more samples than a phone has of a day or two: what is larger is
// of the past, whatever it says, and costs nobody's newest day its turn.
const mostOfToday = 5000

// putUpload is the hot path: it acks once the body, its record and its message
// are durable.
func (r *Room) putUpload(c *fiber.Ctx) error {
	rc, ctx := c.Context(), c.UserContext()
	outcome, given, p := r.receiveUpload(ctx, rc, c.Params("uploadId"))
	r.metrics.uploads.WithLabelValues(outcome).Inc()
	if p != nil {
		edge.Refuse(rc, p)
		return nil
	}
	rc.Response.Header.SetContentType("application/json")
	rc.Response.SetStatusCode(fasthttp.StatusAccepted)
	rc.Response.SetBodyRaw(given)
	r.metrics.ack.Observe(time.Since(edge.Started(rc)).Seconds())
	return nil
}

// receiveUpload checks, reads, decodes and persists one upload. Only the reading
// takes as long as the phone needs.
func (r *Room) receiveUpload(base context.Context, rc *fasthttp.RequestCtx, id string) (outcome string, given []byte, p *problem.Problem) {
	encoding, p := checkUpload(rc, id)
	if p != nil {
		return "refused", nil, p
	}
	uid := reply.UID(base)
	if p := r.mayStore(base, uid); p != nil {
		return "refused", nil, p
	}
	buf := r.bodyPool.Get(0)
	defer func() { r.bodyPool.Put(buf) }()
	mine := r.memory.Open(uid)
	defer mine.Close()
	more := func(bytes int) *problem.Problem { return r.more(base, mine, int64(bytes)) }
	if *buf, p = edge.ReadBody(rc, r.BodyBytes, *buf, more); p != nil {
		return "refused", nil, p
	}
	ctx, cancel := context.WithTimeout(base, r.Timeout)
	defer cancel()
	received := r.Now().UTC()
	envelope, p := r.decodeEnvelope(ctx, *buf, encoding, received)
	if p != nil {
		return "refused", nil, p
	}
	a := acceptedUpload{uid: uid, id: id, body: *buf, received: received, encoding: encoding, accepted: envelope.Accepted, rejected: len(envelope.Rejected),
		historical: envelope.Stage == upload.Historical || envelope.Received > mostOfToday}
	var err error
	if a.receipt, err = receiptFor(id, envelope); err != nil {
		return "failed", nil, r.Problem(ctx, err)
	}
	given, outcome, err = r.persist(ctx, a)
	if err != nil {
		p := r.Problem(ctx, err)
		if r.NoRoom(err) {
			p = noSpace()
		}
		return outcome, nil, p
	}
	return outcome, given, nil
}

// noSpaceRetry is in how many seconds there may be room.
const noSpaceRetry = "60"

func noSpace() *problem.Problem {
	return problem.New(NoSpace, "the platform has no room for more now; send again later").With("Retry-After", noSpaceRetry)
}

// mayStore refuses a person whose samples must not be stored.
func (r *Room) mayStore(base context.Context, uid string) *problem.Problem {
	if r.Space != nil && r.Space() != nil {
		return noSpace()
	}
	ctx, cancel := context.WithTimeout(base, r.Timeout)
	defer cancel()
	if err := r.Accounts.MayStore(ctx, uid); err != nil {
		return r.Problem(ctx, err)
	}
	return nil
}

// more waits for memory for a body that is to hold so many bytes.
func (r *Room) more(base context.Context, mine *memory.Share, bytes int64) *problem.Problem {
	ctx, cancel := context.WithTimeout(base, r.Timeout)
	defer cancel()
	if mine.Grow(ctx, bytes) {
		return nil
	}
	return problem.New(problem.Unavailable, "too many large uploads are being received").With("Retry-After", "5")
}

// checkUpload looks at all of the request but its body.
func checkUpload(rc *fasthttp.RequestCtx, id string) (encoding string, p *problem.Problem) {
	if !validUploadID(id) {
		return "", problem.New(problem.InvalidRequest, "the upload id is not one").At("path.uploadId", "expected 8 to 64 characters of A-Z a-z 0-9 _ -")
	}
	if len(rc.URI().QueryString()) > 0 {
		return "", reply.Invalid("query", "unknown query parameter")
	}
	if p := edge.RequireJSON(rc); p != nil {
		return "", p
	}
	encodings := rc.Request.Header.PeekAll(fasthttp.HeaderContentEncoding)
	if len(encodings) == 0 {
		return "identity", nil
	}
	for _, known := range []string{"gzip", "zstd", "identity"} {
		if len(encodings) == 1 && bytes.EqualFold(encodings[0], []byte(known)) {
			return known, nil
		}
	}
	if len(encodings) == 1 && bytes.EqualFold(encodings[0], []byte("x-gzip")) { // RFC 9110 §8.4.1.3
		return "gzip", nil
	}
	return "", problem.New(problem.UnsupportedEncoding, "the Content-Encoding must be one of gzip, zstd, identity")
}

func validUploadID(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
		if !plain {
			return false
		}
	}
	return true
}

func receiptFor(id string, e *upload.Envelope) ([]byte, error) {
	given := receipt{UploadID: id, Received: e.Received, Accepted: e.Accepted, Rejected: reply.OrEmpty(e.Rejected), Warnings: e.Warnings, Cursor: e.Cursor, Status: "/v1/uploads/" + id}
	if given.Cursor == nil {
		given.Cursor = map[string]string{}
	}
	body, err := json.Marshal(given)
	if err != nil {
		return nil, fmt.Errorf("write the receipt: %w", err)
	}
	return body, nil
}

// persist makes the upload durable: body, record, message. Each step is idempotent, so
// that a retry after a crash anywhere walks the same steps to the same end. A body that
// is small lies in the record: then the two are one step.
func (r *Room) persist(ctx context.Context, a acceptedUpload) (given []byte, outcome string, err error) {
	sum := sha256.Sum256(a.body)
	stored := record.Upload{
		BodySHA256: hex.EncodeToString(sum[:]), Encoding: a.encoding, Bytes: len(a.body),
		ReceivedAt: a.received, Receipt: a.receipt, State: record.UploadReceived, Historical: a.historical,
	}
	if len(a.body) <= r.RecordBytes {
		inside := stored
		inside.Body = a.body
		given, outcome, err = r.settle(ctx, a, vault.Object{}, inside, r.record(ctx, a, inside))
		if !errors.Is(err, store.ErrTooLarge) { // as the receipt is large, too
			return given, outcome, err
		}
	}
	body, err := r.Objects.Put(ctx, blob.KindUploads, a.uid, a.id+"/"+stored.BodySHA256[:16], a.body)
	if err != nil {
		return nil, "failed", fmt.Errorf("keep upload: %w", err)
	}
	stored.Blob = body.Name
	return r.settle(ctx, a, body, stored, r.record(ctx, a, stored))
}

// settle does what is left when the record was written, or was not. The body is the
// object's, if there is one.
func (r *Room) settle(ctx context.Context, a acceptedUpload, body vault.Object, stored record.Upload, recorded error) (given []byte, outcome string, err error) {
	switch err := recorded; {
	case errors.Is(err, store.ErrConflict):
		return r.repeat(ctx, a, body, stored.BodySHA256)
	case errors.Is(err, analysis.ErrNoConsent), errors.Is(err, analysis.ErrErased), errors.Is(err, store.ErrTooLarge):
		return nil, "refused", r.takeBack(ctx, a, body, err)
	case errors.Is(err, keyring.ErrDestroyed):
		return nil, "failed", r.takeBack(ctx, a, body, analysis.ErrErased)
	case err != nil:
		return nil, "failed", fmt.Errorf("record upload: %w", err)
	}
	if err := r.publish(ctx, a); err != nil {
		return nil, "failed", err
	}
	r.metrics.accepted.Add(float64(a.accepted))
	r.metrics.rejected.Add(float64(a.rejected))
	r.metrics.bytes.Add(float64(len(a.body)))
	return a.receipt, "accepted", nil
}

// record writes the upload's record, with the time at which somebody looks whether it
// is merged, under the consent that stands: in one batch, so that nothing is taken in
// behind a withdrawal.
func (r *Room) record(ctx context.Context, a acceptedUpload, stored record.Upload) error {
	return r.Accounts.StoringConsented(ctx, a.uid, func(demand store.Change) error {
		_, err := r.Store.Batch(ctx, a.uid, r.Uploads.ToPut(a.id, 0, stored).At(stored.Next(a.received)), demand)
		return err
	})
}

// takeBack removes the object of an upload that was not let in, unless an upload
// of before has it.
func (r *Room) takeBack(ctx context.Context, a acceptedUpload, body vault.Object, why error) error {
	if body.Name == "" {
		return why
	}
	if _, err := r.Uploads.Get(ctx, a.uid, a.id); errors.Is(why, analysis.ErrErased) || errors.Is(err, store.ErrNotFound) {
		return errors.Join(why, r.Objects.Delete(ctx, body))
	}
	return why
}

// repeat answers an id that is taken: the same body gets the same reply, however it
// is packed and in whatever order its members are; another is a conflict. Neither
// leaves anything behind.
func (r *Room) repeat(ctx context.Context, a acceptedUpload, body vault.Object, digest string) (given []byte, outcome string, err error) {
	first, err := r.Uploads.Get(ctx, a.uid, a.id)
	if err != nil {
		return nil, "failed", fmt.Errorf("read the upload that was first: %w", err)
	}
	same := first.Value.BodySHA256 == digest
	if own := body.Name != "" && body.Name == first.Value.Blob; !own {
		if !same {
			if same, err = r.sameContent(ctx, a, first.Value); err != nil {
				return nil, "failed", fmt.Errorf("compare an upload with the one that was first: %w", err)
			}
		}
		if body.Name != "" {
			if err := r.Objects.Delete(ctx, body); err != nil {
				return nil, "failed", fmt.Errorf("remove an upload that came again: %w", err)
			}
		}
	}
	if !same { // or the bodies' names collide: they are two
		return nil, "conflict", problem.New(UploadConflict, "the upload id was used for another body")
	}
	if first.Value.State == record.UploadReceived || first.Value.State == record.UploadHeld {
		// The message may have been lost with the ack; a second one finds the work done.
		if err := r.publish(ctx, a); err != nil {
			return nil, "failed", err
		}
	} else if err := r.audit(ctx, a); err != nil { // it may have been merged before anybody wrote that it came
		return nil, "failed", err
	}
	return first.Value.Receipt, "repeated", nil
}

// publish tells the worker and the audit log, at the same time.
func (r *Room) publish(ctx context.Context, a acceptedUpload) error {
	audited := make(chan error, 1)
	go func() { audited <- r.audit(ctx, a) }()
	err := r.publishUpload(ctx, a)
	return errors.Join(err, <-audited)
}

func (r *Room) audit(ctx context.Context, a acceptedUpload) error {
	err := r.Audit.Append(ctx, audit.Event{Action: audit.UploadAccepted, UID: a.uid, ActorUID: a.uid, Own: a.id, Outcome: "ok"})
	if err != nil {
		return fmt.Errorf("audit upload: %w", err)
	}
	return nil
}

func (r *Room) publishUpload(ctx context.Context, a acceptedUpload) error {
	m, err := queue.JSON(flow.UploadReceived{}.Topic(a.historical), a.uid, flow.UploadReceived{UID: a.uid, UploadID: a.id})
	if err == nil {
		err = r.Queue.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("publish upload: %w", err)
	}
	return nil
}
