package ingress

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
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A receipt is the reply to an upload: kept, and given again to the same body.
type receipt struct {
	UploadID string             `json:"uploadId"`
	Received int                `json:"received" minimum:"0" doc:"entries of samples and of deleted"`
	Accepted int                `json:"accepted" minimum:"0" doc:"those that were taken"`
	Rejected []health.Rejection `json:"rejected" nullable:"false" doc:"those that were not, and why"`
	Cursor   map[string]string  `json:"cursor" doc:"the cursors that merging this upload will commit"`
	Status   string             `json:"status" format:"uri-reference" doc:"where to see how far it has come"`
}

// An arrival is an upload that was read and judged, and is to be kept.
type arrival struct {
	uid, id  string
	body     []byte // as received
	received time.Time
	encoding string
	receipt  []byte
	accepted int
	rejected int
}

// putUpload is the hot path: it acks once the body, its record and its message
// are durable.
func (s *Server) putUpload(c *fiber.Ctx) error {
	rc, ctx := c.Context(), c.UserContext()
	outcome, reply, p := s.takeIn(ctx, rc, c.Params("uploadId"))
	s.metrics.uploads.WithLabelValues(outcome).Inc()
	if p != nil {
		s.refuse(rc, p)
		return nil
	}
	rc.Response.Header.SetContentType("application/json")
	rc.Response.SetStatusCode(fasthttp.StatusAccepted)
	rc.Response.SetBodyRaw(reply)
	s.metrics.ack.Observe(time.Since(exchangeOf(rc).start).Seconds())
	return nil
}

// takeIn checks, reads, judges and keeps one upload.
func (s *Server) takeIn(ctx context.Context, rc *fasthttp.RequestCtx, id string) (outcome string, reply []byte, p *problem.Problem) {
	encoding, p := checkUpload(rc, id)
	if p != nil {
		return "refused", nil, p
	}
	uid := uidOf(ctx)
	if p := s.mayStore(ctx, uid, s.people.get); p != nil {
		return "refused", nil, p
	}
	buf := s.bodyPool.get(0)
	defer func() { s.bodyPool.put(buf) }()
	release, p := s.reserve(ctx, rc)
	if p != nil {
		return "refused", nil, p
	}
	defer release()
	if *buf, p = s.readBody(rc, s.Limits.BodyBytes, *buf); p != nil {
		return "refused", nil, p
	}
	received := s.Now().UTC()
	envelope, p := s.judge(ctx, *buf, encoding, received)
	if p != nil {
		return "refused", nil, p
	}
	a := arrival{uid: uid, id: id, body: *buf, received: received, encoding: encoding, accepted: envelope.Accepted, rejected: len(envelope.Rejected)}
	var err error
	if a.receipt, err = receiptFor(id, envelope); err != nil {
		return "failed", nil, s.problemOf(ctx, err)
	}
	gate := s.people.gate(uid)
	gate.RLock()
	defer gate.RUnlock()
	if p := s.mayStore(ctx, uid, s.people.getGated); p != nil {
		return "refused", nil, p
	}
	reply, outcome, err = s.keep(ctx, a)
	if err != nil {
		return outcome, nil, s.problemOf(ctx, err)
	}
	return outcome, reply, nil
}

// checkUpload looks at all of the request but its body.
func checkUpload(rc *fasthttp.RequestCtx, id string) (encoding string, p *problem.Problem) {
	if !validUploadID(id) {
		return "", problem.New(problem.InvalidRequest, "the upload id is not one").At("path.uploadId", "expected 8 to 64 characters of A-Z a-z 0-9 _ -")
	}
	if len(rc.URI().QueryString()) > 0 {
		return "", problem.New(problem.InvalidRequest, "the request is not what the operation accepts").At("query", "unknown query parameter")
	}
	h := &rc.Request.Header
	if !jsonType(h.ContentType()) {
		return "", notJSON()
	}
	encodings := h.PeekAll(fasthttp.HeaderContentEncoding)
	if len(encodings) == 0 {
		return "identity", nil
	}
	for _, known := range []string{"gzip", "zstd", "identity"} {
		if len(encodings) == 1 && bytes.EqualFold(encodings[0], []byte(known)) {
			return known, nil
		}
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

// mayStore refuses where the account is gone or the consent is missing.
func (s *Server) mayStore(ctx context.Context, uid string, get func(context.Context, string) (person, error)) *problem.Problem {
	who, err := get(ctx, uid)
	switch {
	case err != nil:
		return s.problemOf(ctx, err)
	case who.erased:
		return erased()
	case !who.processing:
		return consentRequired(record.PurposeProcessing)
	}
	return nil
}

// reserve takes room for a large body; small ones are free. The room of a body
// of unknown length is that of the largest.
func (s *Server) reserve(ctx context.Context, rc *fasthttp.RequestCtx) (release func(), p *problem.Problem) {
	n := int64(rc.Request.Header.ContentLength())
	if n > int64(s.Limits.BodyBytes) {
		return nil, bodyTooLarge(s.Limits.BodyBytes)
	}
	if n < 0 {
		n = int64(s.Limits.BodyBytes)
	}
	if n <= freeBody {
		return func() {}, nil
	}
	if err := s.bodies.Acquire(ctx, n); err != nil {
		return nil, unavailable("too many large uploads are being received")
	}
	return func() { s.bodies.Release(n) }, nil
}

func receiptFor(id string, e *upload.Envelope) ([]byte, error) {
	r := receipt{UploadID: id, Received: e.Received, Accepted: e.Accepted, Rejected: list0(e.Rejected), Cursor: e.Cursor, Status: "/v1/uploads/" + id}
	if r.Cursor == nil {
		r.Cursor = map[string]string{}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the receipt: %w", err)
	}
	return body, nil
}

// keep makes the arrival durable: blob, record, message. Each step is
// idempotent, so that a retry after a crash anywhere walks the same steps to
// the same end.
func (s *Server) keep(ctx context.Context, a arrival) (reply []byte, outcome string, err error) {
	sum := sha256.Sum256(a.body)
	digest := hex.EncodeToString(sum[:])
	name := blob.PersonPrefix(blob.KindUploads, a.uid) + a.id + "/" + digest[:16]
	sealed, err := s.Keys.Seal(ctx, a.uid, name, a.body)
	if err != nil {
		return nil, "failed", fmt.Errorf("seal upload: %w", err)
	}
	if err := s.Blobs.Put(ctx, name, sealed); err != nil && !errors.Is(err, blob.ErrExists) {
		return nil, "failed", fmt.Errorf("put upload: %w", err)
	}
	upload := record.Upload{
		Blob: name, BodySHA256: digest, Encoding: a.encoding, Bytes: len(a.body),
		ReceivedAt: a.received, Receipt: a.receipt, State: record.UploadReceived,
	}
	_, err = s.Store.Uploads.Put(ctx, a.uid, a.id, 0, upload)
	switch {
	case errors.Is(err, store.ErrConflict):
		return s.repeat(ctx, a, name, digest)
	case errors.Is(err, keyring.ErrDestroyed):
		return nil, "failed", errors.Join(analysis.ErrErased, s.Blobs.Delete(ctx, name))
	case err != nil:
		return nil, "failed", fmt.Errorf("record upload: %w", err)
	}
	if err := s.announce(ctx, a.uid, a.id); err != nil {
		return nil, "failed", err
	}
	s.metrics.accepted.Add(float64(a.accepted))
	s.metrics.rejected.Add(float64(a.rejected))
	s.metrics.bytes.Add(float64(len(a.body)))
	return a.receipt, "accepted", nil
}

// repeat answers an id that is taken: the same body gets the same reply, another
// is a conflict and leaves nothing behind.
func (s *Server) repeat(ctx context.Context, a arrival, name, digest string) (reply []byte, outcome string, err error) {
	first, err := s.Store.Uploads.Get(ctx, a.uid, a.id)
	if err != nil {
		return nil, "failed", fmt.Errorf("read the upload that was first: %w", err)
	}
	if first.Value.BodySHA256 != digest {
		if first.Value.Blob != name {
			if err := s.Blobs.Delete(ctx, name); err != nil {
				return nil, "failed", fmt.Errorf("remove a conflicting upload: %w", err)
			}
		}
		return nil, "conflict", problem.New(problem.UploadConflict, "the upload id was used for another body")
	}
	if first.Value.State == record.UploadReceived {
		// The message may have been lost with the ack; a second one finds the work done.
		if err := s.announce(ctx, a.uid, a.id); err != nil {
			return nil, "failed", err
		}
	}
	return first.Value.Receipt, "repeated", nil
}

// announce tells the worker and the audit log, at the same time.
func (s *Server) announce(ctx context.Context, uid, id string) error {
	audited := make(chan error, 1)
	go func() {
		_, err := s.Audit.Append(ctx, audit.Event{Action: audit.UploadAccepted, UID: uid, ActorUID: uid, Object: id, Outcome: "ok"})
		audited <- err
	}()
	err := s.publishUpload(ctx, uid, id)
	if auditErr := <-audited; auditErr != nil {
		err = errors.Join(err, fmt.Errorf("audit upload: %w", auditErr))
	}
	return err
}

func (s *Server) publishUpload(ctx context.Context, uid, id string) error {
	m, err := queue.JSON(flow.TopicUploads, uid, flow.UploadReceived{UID: uid, UploadID: id})
	if err == nil {
		err = s.Queue.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("publish upload: %w", err)
	}
	return nil
}
