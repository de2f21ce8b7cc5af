package phone

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

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
	deleted int // of the batch, which has then no samples
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
	if err := b.room(b.deleted > 0); err != nil {
		return err
	}
	b.samples++
	b.cursor[s.Type] = "import-" + s.UUID.String()
	b.append()
	return nil
}

// AddAsSent is Add for a sample that the platform has exported: what it keeps as it
// was sent is sent as it was. The upload has the sample's zone where the sample
// itself cannot name it.
func (b *Batcher) AddAsSent(s *health.Sample) error {
	rides := s.Raw == "" && !strings.Contains(s.Metadata, `"HKTimeZone"`) && len(s.Metadata) < health.MaxMetadata-256
	if rides || s.Raw != "" && !json.Valid([]byte(s.Raw)) {
		return b.Add(s)
	}
	record := []byte(s.Raw)
	if s.Raw == "" {
		unzoned := *s
		unzoned.Zone = ""
		record = formats.AppendUploadSample(nil, &unzoned)
	}
	b.record = append(b.record[:0], record...)
	if err := b.room(b.deleted > 0 || s.Zone != "" && s.Zone != b.zone); err != nil {
		return err
	}
	if s.Zone != "" {
		b.zone = s.Zone
	}
	b.samples++
	b.cursor[s.Type] = "import-" + s.UUID.String()
	b.append()
	return nil
}

// Delete puts a deletion into the current batch.
func (b *Batcher) Delete(id health.UUID, kind string) error {
	text, err := json.Marshal(struct {
		UUID string `json:"uuid"`
		Type string `json:"type"`
	}{id.String(), kind})
	if err != nil {
		return fmt.Errorf("encode a deletion: %w", err)
	}
	b.record = append(b.record[:0], text...)
	if err := b.room(b.samples > 0); err != nil {
		return err
	}
	b.deleted++
	b.append()
	return nil
}

// room emits the batch where the record at hand has no room in it, or may not be in it.
func (b *Batcher) room(other bool) error {
	n := b.samples + b.deleted
	if n == BatchSamples || n > 0 && (other || b.body.Len()+len(b.record) > batchBytes) {
		return b.flush(false)
	}
	return nil
}

// append adds the record at hand, which is counted.
func (b *Batcher) append() {
	if b.body.Len() > 0 {
		b.body.WriteByte(',')
	}
	b.body.Write(b.record)
}

// Close emits what is left.
func (b *Batcher) Close() error {
	if b.samples+b.deleted == 0 {
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
	list := `,"samples":[`
	if b.deleted > 0 {
		list = `,"deleted":[`
	}
	envelope = append(envelope, list...)
	envelope = append(envelope, b.body.Bytes()...)
	envelope = append(envelope, `]}`...)
	u, err := Pack(envelope, b.samples, b.deleted)
	if err != nil {
		return err
	}
	b.samples, b.deleted = 0, 0
	b.body.Reset()
	clear(b.cursor)
	return b.emit(u)
}
