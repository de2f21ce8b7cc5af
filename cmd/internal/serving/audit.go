package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/audit"
)

// verifyAudit reads the whole audit log that the configuration names, with the keys that
// it names, and says what is wrong with it. Others may write to it meanwhile.
func (b Binary) verifyAudit(ctx context.Context, s *said, stdout io.Writer) (err error) {
	var closers []io.Closer
	defer func() {
		for _, c := range slices.Backward(closers) {
			err = errors.Join(err, c.Close())
		}
	}()
	env := platform.Env{Now: time.Now, Log: s.log, Version: buildinfo.Of(b.Version).Line(b.Name),
		Closing: func(_ string, c io.Closer) { closers = append(closers, c) }}
	o, err := b.Drivers.Open(ctx, s.config.Backends, capability.Audit|b.needs()&capability.Keys, env)
	if err != nil {
		return err
	}
	entries, err := o.Audit.Verify(ctx)
	var bad *audit.BadEntry
	if errors.As(err, &bad) {
		return fmt.Errorf("the audit log is not as it was written: %w", err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "ok: %d entries\n", entries)
	return err
}
