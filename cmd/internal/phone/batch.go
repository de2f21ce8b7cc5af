package phone

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// The size of a batch: whichever is reached first.
const (
	BatchSamples = 2000
	batchBytes   = 4 << 20 // inflated
)

// An Upload is a body ready to be put.
type Upload struct {
	ID      string // made from the content
	Body    []byte // gzip
	Samples int
	Deleted int
}

// Pack makes an Upload of an envelope in JSON.
func Pack(envelope []byte, samples, deleted int) (Upload, error) {
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.DefaultCompression)
	if err != nil {
		return Upload{}, fmt.Errorf("pack upload: %w", err)
	}
	if _, err := zw.Write(envelope); err != nil {
		return Upload{}, fmt.Errorf("pack upload: %w", err)
	}
	if err := zw.Close(); err != nil {
		return Upload{}, fmt.Errorf("pack upload: %w", err)
	}
	return Upload{ID: ID(envelope), Body: buf.Bytes(), Samples: samples, Deleted: deleted}, nil
}

// ID is the upload id of an envelope: a version 8 UUID (RFC 9562) of its bytes.
func ID(envelope []byte) string {
	sum := sha256.Sum256(envelope)
	u := uuid.UUID(sum[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

// A Batcher gathers samples into uploads. It holds one batch at a time.
type Batcher struct {
	installation string
	zone         string
	emit         func(Upload) error

	samples int
	body    bytes.Buffer
	record  []byte // scratch
	cursor  map[string]string
}

// NewBatcher calls emit with each full upload, its samples in the order they
// were added. The zone is where samples without one of their own belong.
func NewBatcher(installation, zone string, emit func(Upload) error) *Batcher {
	return &Batcher{installation: installation, zone: zone, emit: emit, cursor: map[string]string{}}
}

// Add puts an accepted sample into the current batch.
func (b *Batcher) Add(s *health.Sample) error {
	b.record = formats.AppendUploadSample(b.record[:0], s)
	if b.samples == BatchSamples || b.samples > 0 && b.body.Len()+len(b.record) > batchBytes {
		if err := b.flush(false); err != nil {
			return err
		}
	}
	if b.samples > 0 {
		b.body.WriteByte(',')
	}
	b.body.Write(b.record)
	b.samples++
	b.cursor[s.Type] = "import-" + s.UUID.String()
	return nil
}

// Close emits what is left.
func (b *Batcher) Close() error {
	if b.samples == 0 {
		return nil
	}
	return b.flush(true)
}

func (b *Batcher) flush(final bool) error {
	head, err := json.Marshal(struct {
		Schema         string            `json:"schema"`
		InstallationID string            `json:"installationId"`
		TimeZone       string            `json:"timeZone"`
		Stage          upload.Stage      `json:"stage"`
		Final          bool              `json:"final"`
		Cursor         map[string]string `json:"cursor"`
	}{upload.Schema, b.installation, b.zone, upload.Historical, final, b.cursor})
	if err != nil {
		return fmt.Errorf("encode upload: %w", err)
	}
	envelope := make([]byte, 0, len(head)+b.body.Len()+16)
	envelope = append(envelope, head[:len(head)-1]...)
	envelope = append(envelope, `,"samples":[`...)
	envelope = append(envelope, b.body.Bytes()...)
	envelope = append(envelope, `]}`...)
	u, err := Pack(envelope, b.samples, 0)
	if err != nil {
		return err
	}
	b.samples = 0
	b.body.Reset()
	clear(b.cursor)
	return b.emit(u)
}
