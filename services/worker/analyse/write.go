package analyse

import (
	"context"
	"errors"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/store"
)

// writeTries is how often a write is tried while others merge what is not of the window.
const writeTries = 8

// write writes what was made of a window, while its days are as they were read: who
// changes one of them asks for the window anew, and another process may have answered
// that by now, so that nobody would look again at what is written afterwards. Where
// one is another it is a conflict; what was merged of other days is in nobody's way.
func (s *Stage) write(ctx context.Context, req analysis.Request, f *found, c store.Change) (version int64, err error) {
	at := &f.reading.holding
	for range writeTries {
		versions, err := s.Store.Batch(ctx, req.UID, c, s.Store.StillHolding(*at))
		if err == nil {
			at.Version = versions[1]
			return versions[0], nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return 0, erasedError(err)
		}
		now, looked := s.read(ctx, req.UID, req.End, req.End, true)
		if looked != nil {
			return 0, looked
		}
		if now.holding.Version == at.Version || !f.same(now, req) {
			return 0, err
		}
		at = &now.holding
	}
	return 0, store.ErrConflict
}

// same says whether the window would be made of the same days and Result by what was
// read now.
func (f *found) same(now *reading, req analysis.Request) bool {
	in, _, _ := now.input(req)
	in.Model, in.Weeks = f.in.Model, f.in.Weeks
	return now.results[req.End.String()].Version == f.before.Version && Digest(in) == Digest(f.in)
}
