package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

// vouched is a line of the notary's: a writer's head, as the notary has seen it.
type vouched struct {
	Index  int64     `json:"index"`
	Time   time.Time `json:"time"`
	Writer string    `json:"writer"`
	Size   int64     `json:"size"`
	Root   tlog.Hash `json:"root"`
	From   int64     `json:"from"` // the number of the newest object
	Closed bool      `json:"closed,omitempty"`
}

// says whether the line is of that state of the chain.
func (v vouched) says(l link) bool {
	return v.Size == l.head.Size && v.Root == l.head.Root() && v.Closed == l.closed
}

// goesOn says whether the other may be of the same chain, later: not where it is of fewer
// entries, or of as many and others, or does not end any more.
func (v vouched) goesOn(other vouched) bool {
	same := v.Size == other.Size && v.Root == other.Root
	return v.Size < other.Size && !v.Closed || same && (other.Closed || !v.Closed)
}

// decodeHead reads a line of the notary's.
func decodeHead(entry []byte) (v vouched, err error) {
	if err := json.Unmarshal(entry, &v); err != nil {
		return v, errors.New("it is not of a writer's head")
	}
	return v, nil
}

// objects reads those of a chain that stand behind it, in order, and tells of each once it is
// taken. Where something is wrong it is an *audit.BadEntry, and the chain ends before it.
func (p place) objects(ctx context.Context, l *link, m *chain.MACs, see func(entry []byte) error, taken func() error) error {
	for {
		names, err := p.names(ctx, l.folder, l.behind(), page)
		if err != nil {
			return err
		}
		err = p.ahead(ctx, names, func(name string, object func() ([]byte, error)) error {
			if err := l.isNext(name); err != nil {
				return err
			}
			data, err := object()
			if errors.Is(err, errNone) {
				return l.bad(l.head.Size, "it is missing: its object is gone")
			}
			if err == nil {
				err = l.take(m, data, see)
			}
			if err != nil {
				return err
			}
			return taken()
		})
		if err != nil || len(names) < page {
			return err
		}
	}
}

// behind is the name from which on stands what is behind the chain.
func (l link) behind() string {
	switch {
	case l.head.Size == 0:
		return l.folder // whatever is there
	case l.closed:
		return l.object(l.head.Size) + "!" // not its end once more
	}
	return l.object(l.head.Size)
}

// isNext says what is wrong with an object of the name being the next.
func (l link) isNext(name string) error {
	n, is := l.number(name)
	switch {
	case !is:
		return l.bad(l.head.Size, "behind the entries before stands an object that is none of the log's")
	case n > l.head.Size:
		return l.bad(l.head.Size, "it is missing: the next object begins with entry %d", n)
	case n < l.head.Size:
		return l.bad(n, "a second object has it")
	}
	return nil
}

// ahead tells of each object in order, while those behind it are being read already.
func (p place) ahead(ctx context.Context, names []string, tell func(name string, object func() ([]byte, error)) error) error {
	type answer struct {
		data []byte
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	asked := make([]chan answer, len(names))
	ask := func(i int) {
		if i >= len(names) {
			return
		}
		asked[i] = make(chan answer, 1)
		reading.Go(func() {
			data, err := p.read(ctx, names[i])
			asked[i] <- answer{data, err}
		})
	}
	for i := range readAhead {
		ask(i)
	}
	for i, name := range names {
		err := tell(name, func() ([]byte, error) {
			got := <-asked[i]
			return got.data, got.err
		})
		if err != nil {
			return err
		}
		asked[i] = nil
		ask(i + readAhead)
	}
	return nil
}

// marked reads all that the notary has signed, in order, and tells of each object's lines.
func (p place) marked(ctx context.Context, tell func(signed []vouched)) error {
	m := p.keys.macs()
	l := p.keys.notaryOf(m)
	var signed []vouched // of one object, until it is taken
	see := func(entry []byte) error {
		v, err := decodeHead(entry)
		signed = append(signed, v)
		return err
	}
	if err := p.oldest(ctx, &l); err != nil {
		return err
	}
	return p.objects(ctx, &l, m, see, func() error {
		tell(signed)
		signed = signed[:0]
		return nil
	})
}

// oldest has the notary's chain begin where the oldest object ends, once those before
// have served their time. What that one vouched for goes with them.
func (p place) oldest(ctx context.Context, l *link) error {
	names, err := p.names(ctx, l.folder, "", 1)
	if err != nil || len(names) == 0 {
		return err
	}
	n, is := l.number(names[0])
	if !is || n == 0 {
		return nil // objects says what it is
	}
	data, err := p.read(ctx, names[0])
	if err != nil {
		return err
	}
	was, since := *l, p.now().Add(-kept)
	early := false
	err = was.resume(n, data, func(entry []byte) error {
		v, err := decodeHead(entry)
		early = v.Time.After(since)
		return err
	})
	if err == nil && early {
		err = l.bad(0, "it is missing: the oldest object begins with entry %d", n)
	}
	if err == nil {
		*l = was
	}
	return err
}

// writers are the names of those that began since, in that order.
func (p place) writers(ctx context.Context, since time.Time) (names []string, err error) {
	from := ""
	if !since.IsZero() {
		from = writersFolder + since.UTC().Format(nameTime)
	}
	folders, err := p.folders(ctx, writersFolder, from)
	for _, f := range folders {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(f, writersFolder), "/"))
	}
	return names, err
}

// isBad says whether the error is a finding.
func isBad(err error) bool {
	var bad *audit.BadEntry
	return errors.As(err, &bad)
}

// stranger is the finding of what is no writer's.
func stranger() error {
	return fmt.Errorf("%w", &audit.BadEntry{Detail: "among the writers stands something that is none"})
}
