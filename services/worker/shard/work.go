package shard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// batch is how many subjects share the checkpoint that says they are begun.
const batch = 32

// tries is how often a window is tried where another writer is in the way.
const tries = 5

// work does the subjects behind the cursor until the lease is over; finished
// says that none is left.
func (r *Runner) work(ctx context.Context, data Data) (finished bool, err error) {
	for {
		first, found := slices.BinarySearchFunc(r.people, r.state.Cursor, func(p person, cursor string) int {
			return cmp.Compare(p.pseudonym, cursor)
		})
		if found {
			first++
		}
		todo := r.people[first:min(first+batch, len(r.people))]
		if len(todo) == 0 {
			r.state.Begun = nil // of people who are gone since
			return true, nil
		}
		classes, err := r.begin(ctx, data, todo)
		if err != nil {
			return false, err
		}
		for i, p := range todo {
			if err := r.subject(ctx, data, p, classes[i]); err != nil {
				return false, err
			}
			if r.Now().Sub(r.begun) >= r.Lease {
				return false, nil
			}
		}
	}
}

// A classification is what is to be done with a subject: it is counted as it stands,
// or each window is analysed.
type classification struct {
	windows []health.Day // to analyse; none: count as it stands
	mark    string       // of the Results before the run touched them
	again   bool         // an attempt before this one may have begun
	reason  string       // why the subject fails as it stands; "" is skipped
}

// begin looks at a batch of subjects, and puts on record which of them are
// begun before anything of them is touched.
func (r *Runner) begin(ctx context.Context, data Data, todo []person) ([]classification, error) {
	classes, news := make([]classification, len(todo)), false
	for i, p := range todo {
		v, err := r.classify(ctx, data, p)
		if err != nil {
			return nil, err
		}
		classes[i] = v
		if len(v.windows) > 0 && !v.again {
			if r.state.Begun == nil {
				r.state.Begun = map[string]string{}
			}
			r.state.Begun[p.pseudonym], news = v.mark, true
		}
	}
	if news {
		return classes, r.save(ctx, data)
	}
	return classes, nil
}

// classify reads, and changes nothing.
func (r *Runner) classify(ctx context.Context, data Data, p person) (classification, error) {
	if p.uid == "" {
		return classification{reason: ReasonUnknownSubject}, nil
	}
	fail := func(err error) (classification, error) {
		if reason, ok := reasonOf(err); ok {
			return classification{reason: reason}, nil
		}
		return classification{}, r.backendError("look at a subject", err)
	}
	ends, err := data.Stage.Ends(ctx, p.uid, r.task.Start, r.task.End)
	if err != nil {
		return fail(err)
	}
	if len(ends) == 0 {
		return classification{reason: ReasonNoData}, nil
	}
	if mark, begun := r.state.Begun[p.pseudonym]; begun {
		return classification{windows: ends, mark: mark, again: true}, nil
	}
	versions, current := make([]int64, len(ends)), true
	for i, end := range ends {
		s, err := data.Stage.Look(ctx, analysis.Request{UID: p.uid, End: end})
		if err != nil {
			return fail(err)
		}
		versions[i], current = s.Version, current && s.Current
	}
	if current && !r.task.Replace {
		return classification{}, nil
	}
	return classification{windows: ends, mark: markOf(ends, versions)}, nil
}

// markForm is a mark as markOf makes it.
var markForm = regexp.MustCompile(`^[0-9a-f]{16}$`)

// markOf tells one state of a subject's Results from the next: a record's
// version changes whenever it is written.
func markOf(ends []health.Day, versions []int64) string {
	h := sha256.New()
	for i, end := range ends {
		_, _ = fmt.Fprintln(h, end, versions[i])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// subject does what its classification says and moves the cursor behind the subject.
// A subject that is stopped in the middle is not counted, and stays begun.
func (r *Runner) subject(ctx context.Context, data Data, p person, v classification) error {
	reason, succeeded, err := v.reason, false, ctx.Err()
	if err == nil && len(v.windows) > 0 {
		reason, succeeded, err = r.windows(ctx, data, p, v)
	}
	if err != nil {
		return err
	}
	r.state.Cursor = p.pseudonym
	maps.DeleteFunc(r.state.Begun, func(pseudonym, _ string) bool { return pseudonym <= p.pseudonym })
	switch {
	case reason != "":
		if r.state.Failed == nil {
			r.state.Failed = map[string]int64{}
		}
		r.state.Failed[reason]++
	case succeeded:
		r.state.Succeeded++
	default:
		r.state.Skipped++
	}
	return nil
}

// windows analyses a subject's windows, the earliest first: later weeks are
// compared with them. A window that fails does not cost the others theirs.
func (r *Runner) windows(ctx context.Context, data Data, p person, v classification) (reason string, succeeded bool, err error) {
	versions, held := make([]int64, len(v.windows)), false
	for i, end := range v.windows {
		if err := ctx.Err(); err != nil {
			return "", false, err
		}
		outcome, version, err := r.window(ctx, data, analysis.Request{UID: p.uid, End: end}, v.again)
		if err != nil {
			why, own := reasonOf(err)
			if !own {
				return "", false, r.backendError("analyse a window", err)
			}
			reason = cmp.Or(reason, why)
			continue
		}
		versions[i], held = version, held || outcome != analyse.NoData
	}
	if reason == "" && !held {
		reason = ReasonNoData
	}
	return reason, markOf(v.windows, versions) != v.mark, nil
}

func (r *Runner) window(ctx context.Context, data Data, req analysis.Request, again bool) (outcome analyse.Outcome, version int64, err error) {
	for n := range tries {
		if n > 0 {
			if err := pause(ctx, n); err != nil {
				return outcome, 0, err
			}
		}
		outcome, version, err = data.Stage.Analyse(ctx, req, analyse.Order{Again: again, Replace: r.task.Replace})
		if err == nil || !analyse.Passing(err) {
			return outcome, version, err
		}
		again = true // the other writer may have been an attempt of this shard
	}
	return outcome, version, err
}

// pause leaves another writer the time to be done, more of it each time: with all
// tries half a second.
func pause(ctx context.Context, try int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond << try):
		return nil
	}
}

// A BackendError is why an attempt cannot go on: something else than the
// subject failed. It holds the cause for errors.Is, and does not tell it, since
// an error of a driver may name an object, and the object a person.
type BackendError struct {
	doing string
	cause error
}

// Error says what was being done, and of a backend's fault which and of which class.
func (e *BackendError) Error() string { return e.doing + ": " + fault.Text(e.cause) }

// Unwrap is the cause.
func (e *BackendError) Unwrap() error { return e.cause }

func (r *Runner) backendError(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, context.Canceled)
	}
	return &BackendError{doing, err}
}
