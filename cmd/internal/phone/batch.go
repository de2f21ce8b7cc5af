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
}

// The lists that a batch can be, by their names in an envelope.
const (
	listSamples = "samples"
	listSeries  = "series"
	listDeleted = "deleted"
)

// NewBatcher calls emit with each full upload, its samples in the order they
// were added. No upload has an anchor: those are a phone's. The zone is where samples without one of their own belong.
func NewBatcher(installation, zone string, emit func(Upload) error) *Batcher {
	return &Batcher{installation: installation, zone: zone, emit: emit}
}

// Add puts an accepted sample into the current batch.
func (b *Batcher) Add(s *health.Sample) error {
	b.record = formats.AppendUploadSample(b.record[:0], s)
	return b.append(listSamples, "")
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
	return b.append(listSamples, s.Zone)
}

// AddSeries puts a sample that is many points, its Raw as it was sent, into an upload
// of such.
func (b *Batcher) AddSeries(s *health.Sample) error {
	b.record = append(b.record[:0], s.Raw...)
	return b.append(listSeries, s.Zone)
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
	return b.append(listDeleted, "")
}

// append adds the record at hand to a batch that is such a list, and has the zone
// where the record cannot name it itself. The batch at hand is emitted where the
// record has no room in it, or may not be in it.
func (b *Batcher) append(list, zone string) error {
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
	if b.entries++; b.body.Len() > 0 {
		b.body.WriteByte(',')
	}
	b.body.Write(b.record)
	return nil
}

// An envelope is what an upload says beside its list.
type envelope struct {
	Schema         string            `json:"schema"`
	InstallationID string            `json:"installationId"`
	TimeZone       string            `json:"timeZone"`
	Stage          upload.Stage      `json:"stage"`
	Final          bool              `json:"final"`
	Cursor         map[string]string `json:"cursor"`
}

// Anchors is an upload of nothing but a phone's anchors, by type.
func Anchors(installation, zone string, of map[string]string) (Upload, error) {
	text, err := json.Marshal(struct {
		envelope
		Samples []struct{} `json:"samples"`
	}{envelope{upload.Schema, installation, zone, upload.Historical, true, of}, []struct{}{}})
	if err != nil {
		return Upload{}, fmt.Errorf("encode upload: %w", err)
	}
	return Pack(text, 0, 0)
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
	head, err := json.Marshal(envelope{schema, b.installation, b.zone, upload.Historical, final, map[string]string{}})
	if err != nil {
		return fmt.Errorf("encode upload: %w", err)
	}
	text := make([]byte, 0, len(head)+b.body.Len()+16)
	text = append(text, head[:len(head)-1]...)
	text = append(text, `,"`+b.list+`":[`...)
	text = append(text, b.body.Bytes()...)
	text = append(text, `]}`...)
	u, err := Pack(text, samples, deleted)
	if err != nil {
		return err
	}
	b.entries = 0
	b.body.Reset()
	return b.emit(u)
}
