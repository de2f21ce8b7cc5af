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
	"github.com/clarity-loop/clarity/services/health/series"
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
	Samples int    // or series
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

	list    string // what the batch is a list of
	entries int
	body    bytes.Buffer
	record  []byte // scratch
	cursor  map[string]string
}

// The lists that a batch can be, by their names in an envelope.
const (
	listSamples = "samples"
	listSeries  = "series"
	listDeleted = "deleted"
)

// NewBatcher calls emit with each full upload, its samples in the order they
// were added. The zone is where samples without one of their own belong.
func NewBatcher(installation, zone string, emit func(Upload) error) *Batcher {
	return &Batcher{installation: installation, zone: zone, emit: emit, cursor: map[string]string{}}
}

// Add puts an accepted sample into the current batch.
func (b *Batcher) Add(s *health.Sample) error {
	b.record = formats.AppendUploadSample(b.record[:0], s)
	return b.append(listSamples, "", s)
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
	return b.append(listSamples, s.Zone, s)
}

// AddSeries puts a sample that is many points, its Raw as it was sent, into an upload
// of such.
func (b *Batcher) AddSeries(s *health.Sample) error {
	b.record = append(b.record[:0], s.Raw...)
	return b.append(listSeries, s.Zone, s)
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
	return b.append(listDeleted, "", nil)
}

// append adds the record at hand to a batch that is such a list, and has the zone
// where the record cannot name it itself. The batch at hand is emitted where the
// record has no room in it, or may not be in it. of is the sample, nil for none.
func (b *Batcher) append(list, zone string, of *health.Sample) error {
	other := list != b.list || zone != "" && zone != b.zone
	if b.entries == BatchSamples || b.entries > 0 && (other || b.body.Len()+len(b.record) > batchBytes) {
		if err := b.flush(false); err != nil {
			return err
		}
	}
	b.list = list
	if zone != "" {
		b.zone = zone
	}
	if of != nil {
		b.cursor[of.Type] = "import-" + of.UUID.String()
	}
	if b.entries++; b.body.Len() > 0 {
		b.body.WriteByte(',')
	}
	b.body.Write(b.record)
	return nil
}

// Close emits what is left.
func (b *Batcher) Close() error {
	if b.entries == 0 {
		return nil
	}
	return b.flush(true)
}

func (b *Batcher) flush(final bool) error {
	schema, samples, deleted := upload.Schema, b.entries, 0
	switch b.list {
	case listSeries:
		schema = series.Schema
	case listDeleted:
		samples, deleted = 0, b.entries
	}
	head, err := json.Marshal(struct {
		Schema         string            `json:"schema"`
		InstallationID string            `json:"installationId"`
		TimeZone       string            `json:"timeZone"`
		Stage          upload.Stage      `json:"stage"`
		Final          bool              `json:"final"`
		Cursor         map[string]string `json:"cursor"`
	}{schema, b.installation, b.zone, upload.Historical, final, b.cursor})
	if err != nil {
		return fmt.Errorf("encode upload: %w", err)
	}
	envelope := make([]byte, 0, len(head)+b.body.Len()+16)
	envelope = append(envelope, head[:len(head)-1]...)
	envelope = append(envelope, `,"`+b.list+`":[`...)
	envelope = append(envelope, b.body.Bytes()...)
	envelope = append(envelope, `]}`...)
	u, err := Pack(envelope, samples, deleted)
	if err != nil {
		return err
	}
	b.entries = 0
	b.body.Reset()
	clear(b.cursor)
	return b.emit(u)
}
