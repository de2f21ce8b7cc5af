package timeline

import (
	"bytes"
	"context"
	"fmt"

	"github.com/clarity-loop/clarity/services/health"
)

// Objects are a person's own, sealed; a vault.Vault has them.
type Objects interface {
	Get(ctx context.Context, uid, name string) ([]byte, error)
}

// A Reader reads chunks from where they are kept.
type Reader struct{ objects Objects }

// NewReader reads the chunks among the objects.
func NewReader(o Objects) *Reader { return &Reader{o} }

// Chunk is the person's chunk of the name in a day's record. No name is the
// empty chunk: every sample of that day was deleted. The error is of the
// objects, or wraps ErrDamaged.
func (r *Reader) Chunk(ctx context.Context, uid, name string) (Chunk, error) {
	if name == "" {
		return Chunk{}, nil
	}
	plain, err := r.objects.Get(ctx, uid, name)
	if err != nil {
		return Chunk{}, fmt.Errorf("read chunk: %w", err)
	}
	return Decode(plain)
}

// Deleted are the uuids of the person's tombstones of the name in their record, by
// rising order.
func (r *Reader) Deleted(ctx context.Context, uid, name string) ([]health.UUID, error) {
	plain, err := r.objects.Get(ctx, uid, name)
	if err != nil {
		return nil, fmt.Errorf("read tombstones: %w", err)
	}
	t, err := DecodeTombstones(plain)
	return t.sorted, err
}

// Series is the JSON of a series as it was sent, of the object's name in the
// record of its day.
func (r *Reader) Series(ctx context.Context, uid, name string, of health.UUID) ([]byte, error) {
	data, err := r.objects.Get(ctx, uid, name)
	if err != nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	id, content, err := unseal(kindSeries, data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read series: %w", err)
	case !bytes.Equal(id, of[:]):
		return nil, fmt.Errorf("read series: %w: it is another", ErrDamaged)
	}
	return content, nil
}

// Samples are those of the chunk, one of each uuid.
func (r *Reader) Samples(ctx context.Context, uid, name string) ([]health.Sample, error) {
	c, err := r.Chunk(ctx, uid, name)
	return c.Settled().Samples, err
}
