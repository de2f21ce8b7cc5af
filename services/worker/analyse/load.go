package analyse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/store"
)

// errDigest says that a chunk opened, and holds something else than its record says.
var errDigest = errors.New("digest differs")

// samples reads the days' chunks.
func (s *Stage) samples(ctx context.Context, uid string, records []store.Record[store.Day]) ([]health.Sample, error) {
	var samples []health.Sample
	for _, r := range records {
		if r.Value.Chunk == "" {
			continue
		}
		sealed, err := s.Blobs.Get(ctx, r.Value.Chunk)
		if errors.Is(err, blob.ErrCorrupt) {
			return nil, fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
		}
		if err != nil {
			return nil, fmt.Errorf("get chunk: %w", err)
		}
		plain, err := s.Keys.Open(ctx, uid, r.Value.Chunk, sealed)
		if err != nil {
			return nil, fmt.Errorf("open chunk: %w", personal(err))
		}
		if sum := sha256.Sum256(plain); hex.EncodeToString(sum[:]) != r.Value.Digest {
			return nil, fmt.Errorf("check chunk: %w: %w", analysis.ErrUnreadable, errDigest)
		}
		decoded, err := s.Decode(plain)
		if err != nil {
			return nil, fmt.Errorf("decode chunk: %w: %w", analysis.ErrUnreadable, err)
		}
		samples = append(samples, decoded...)
	}
	return samples, nil
}

// zone is where most of the window's samples were recorded, the latest of
// equals; UTC where no day tells a zone that is known here.
func zone(in Input, records []store.Record[store.Day]) *time.Location {
	samples := map[string]int{}
	for _, r := range records {
		if r.Key >= in.Start.String() && r.Key <= in.End.String() {
			samples[r.Value.Zone] += r.Value.Samples
		}
	}
	best, most := time.UTC, 0
	for i := len(records) - 1; i >= 0; i-- {
		if n := samples[records[i].Value.Zone]; n > most {
			if loc, err := time.LoadLocation(records[i].Value.Zone); err == nil && records[i].Value.Zone != "Local" {
				best, most = loc, n
			}
		}
	}
	return best
}
