// Package uploads takes in batches of samples and tells how far each has come.
// An upload is acked once its record, with its body or behind it, and its message are
// durable.
package uploads

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/edge"
	"github.com/clarity-loop/clarity/services/ingress/internal/memory"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/vault"
)

// The codes that an upload alone is refused with.
const (
	MalformedEncoding problem.Code = "400 malformed_encoding"
	UploadConflict    problem.Code = "409 upload_conflict"
	InvalidEnvelope   problem.Code = "422 invalid_envelope"
	UnsupportedSchema problem.Code = "422 unsupported_schema"
	TooDeep           problem.Code = "422 too_deep"
	NoSpace           problem.Code = "507 insufficient_storage"
)

// What is not worth a setting.
const (
	pooledBody      = 1 << 20  // larger buffers are not kept
	believedSize    = 8 << 20  // what a gzip trailer is believed to say
	inflatingAtOnce = 16 << 20 // what bodies may inflate to, together; a larger one has it for itself
)

// Needs is what the uploads need.
type Needs struct {
	Store interface {
		Batch(ctx context.Context, uid string, changes ...store.Change) ([]int64, error)
	}
	Uploads store.Collection[record.Upload]
	// Objects are a person's own, sealed; a vault.Vault has them.
	Objects interface {
		Put(ctx context.Context, kind, uid, rest string, plain []byte) (vault.Object, error)
		Get(ctx context.Context, uid, name string) ([]byte, error)
		Delete(ctx context.Context, o vault.Object) error
	}
	Queue interface {
		Publish(ctx context.Context, msgs ...queue.Message) error
	}
	Audit interface {
		Append(ctx context.Context, e audit.Event) error
	}
	// Accounts says whether a person's samples may be stored.
	Accounts interface {
		MayStore(ctx context.Context, uid string) error
		StoringConsented(ctx context.Context, uid string, write func(demand store.Change) error) error
	}
	Registry  prometheus.Registerer
	Now       func() time.Time
	BodyBytes int // of one upload as received
	// RecordBytes is as much as a body has that lies in its record; a larger one is an
	// object of its own.
	RecordBytes int
	Timeout     time.Duration // for each step of the work but the reading of the body
	// Space says why nothing more can be taken in; nil always has room.
	Space func() error
	// NoRoom says of an error that there was none for what was written.
	NoRoom func(error) bool
	// Problem is what an error becomes.
	Problem func(context.Context, error) *problem.Problem
}

// A Room answers what is asked of uploads.
type Room struct {
	Needs
	metrics                *metrics
	memory                 *memory.Memory      // of large bodies being read
	inflating              *semaphore.Weighted // bytes that bodies may inflate to, together
	bodyPool, inflatedPool *memory.Pool
}

// New is the room; its counts are registered.
func New(n Needs) (*Room, error) {
	m, err := newMetrics(n.Registry)
	if err != nil {
		return nil, err
	}
	return &Room{
		Needs: n, metrics: m,
		memory:    memory.New(2 * int64(n.BodyBytes)),
		inflating: semaphore.NewWeighted(inflatingAtOnce),
		bodyPool:  memory.NewPool(pooledBody), inflatedPool: memory.NewPool(2 * pooledBody),
	}, nil
}

// Routes are the room's operations.
func (r *Room) Routes() []route.Route {
	return []route.Route{
		{Method: "PUT", Path: "/v1/uploads/{uploadId}", ID: "putUpload", Tag: "uploads", Summary: "Upload a batch of samples", Detail: putUploadDetail,
			Body: route.UploadBody, Status: 202, Mount: route.Raw(r.putUpload, describeUpload),
			Problems: []problem.Code{MalformedEncoding, problem.ConsentRequired, UploadConflict, InvalidEnvelope, UnsupportedSchema, TooDeep, NoSpace}},
		{Method: "GET", Path: "/v1/uploads", ID: "listUploads", Tag: "uploads", Summary: "List uploads, newest first", Detail: listUploadsDetail, Mount: route.Typed(r.listUploads)},
		{Method: "GET", Path: "/v1/uploads/{uploadId}", ID: "getUpload", Tag: "uploads", Summary: "How far an upload has come",
			Problems: []problem.Code{problem.NotFound}, Mount: route.Typed(r.getUpload)},
	}
}

// metrics are what is counted of uploads.
type metrics struct {
	ack     prometheus.Histogram
	uploads *prometheus.CounterVec
	samples *prometheus.CounterVec
	bytes   prometheus.Counter

	accepted, rejected prometheus.Counter
}

// outcomes are the values of the uploads' label.
func outcomes() []string { return []string{"accepted", "repeated", "conflict", "refused", "failed"} }

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		ack:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "clarity_upload_ack_seconds", Help: "Time from an upload's headers to its 202, durable.", Buckets: edge.Buckets()}),
		uploads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_uploads_total", Help: "Uploads by outcome."}, []string{"outcome"}),
		samples: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_upload_entries_total", Help: "Samples and deletions of acked uploads by verdict."}, []string{"verdict"}),
		bytes:   prometheus.NewCounter(prometheus.CounterOpts{Name: "clarity_upload_bytes_total", Help: "Bytes of acked uploads as received."}),
	}
	for _, c := range []prometheus.Collector{m.ack, m.uploads, m.samples, m.bytes} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the uploads' metrics: %w", err)
		}
	}
	for _, outcome := range outcomes() {
		m.uploads.WithLabelValues(outcome)
	}
	m.accepted, m.rejected = m.samples.WithLabelValues("accepted"), m.samples.WithLabelValues("rejected")
	return m, nil
}
