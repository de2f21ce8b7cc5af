package embedded_test

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// A drawer opens drivers, and closes those that asked for it.
type drawer struct {
	platform.Env
	asked []string
	close []func() error
}

func newDrawer() *drawer {
	d := &drawer{}
	d.Env = platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Closing: func(what string, c io.Closer) {
		d.asked, d.close = append(d.asked, what), append(d.close, c.Close)
	}}
	return d
}

// shut closes what is open.
func (d *drawer) shut() error {
	var errs []error
	for _, c := range d.close {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// fill opens each driver in dir and leaves something there, or finds what was left.
func fill(t *testing.T, d *drawer, dir string, find bool) error {
	t.Helper()
	ctx := t.Context()
	documents, err := embedded.Store(ctx, dir, d.Env)
	if err != nil {
		return err
	}
	blobs, err := embedded.Blobs(ctx, filepath.Join(dir, "blobs"), d.Env)
	if err != nil {
		return err
	}
	messages, err := embedded.Queue(ctx, dir, d.Env)
	if err != nil {
		return err
	}
	log, err := embedded.Audit(ctx, filepath.Join(dir, "audit"), d.Env)
	if err != nil {
		return err
	}
	key := store.Key{Collection: "days", UID: "anna", Key: "1"}
	if !find {
		_, err := documents.Batch(ctx, []store.Write{{Key: key, Data: []byte("day")}})
		logged := log.Append(ctx, audit.Event{Action: audit.UploadAccepted, UID: "anna", Outcome: "ok"})
		_, put := blobs.Put(ctx, "a/b", []byte("blob"))
		return errors.Join(err, logged, put,
			messages.Publish(ctx, queue.Message{Topic: flow.TopicUploads, Key: "anna", Body: []byte("{}")}))
	}
	document, err := documents.Get(ctx, key)
	object, got := blobs.Get(ctx, "a/b")
	depth, counted := messages.Depth(ctx, flow.TopicUploads, flow.Intake)
	entries, verified := log.Verify(ctx)
	if string(document.Data) != "day" || string(object) != "blob" || depth.Waiting != 1 || entries != 1 {
		t.Errorf("found %q, %q, %+v and %d entries", document.Data, object, depth, entries)
	}
	return errors.Join(err, got, counted, verified)
}

// What one process leaves in a relative directory, the next one finds, and each
// driver that holds something asks to be closed.
func TestADirectoryIsGoneOnWith(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, find := range []bool{false, true} {
		d := newDrawer()
		if err := fill(t, d, "data", find); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"the store", "the blobs", "the queue", "the audit log"}, d.asked); diff != "" {
			t.Errorf("what asks to be closed (-want +got):\n%s", diff)
		}
		if err := d.shut(); err != nil {
			t.Error(err)
		}
	}
	if n, err := embedded.VerifyAudit(t.Context(), filepath.Join("data", "audit")); err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
	keys, err := embedded.Keys(t.Context(), filepath.Join("data", "keys"), platform.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if name, err := keys.Pseudonym(t.Context(), "anna"); err != nil || name == "" || name == "anna" {
		t.Errorf("anna is %q, %v", name, err)
	}
}

// A file where a directory has to be is told, and nothing is left open.
func TestAPlaceThatIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(platform.Env) (any, error){
		"store": func(e platform.Env) (any, error) { return embedded.Store(t.Context(), file, e) },
		"blobs": func(e platform.Env) (any, error) { return embedded.Blobs(t.Context(), file, e) },
		"queue": func(e platform.Env) (any, error) { return embedded.Queue(t.Context(), file, e) },
		"keys":  func(e platform.Env) (any, error) { return embedded.Keys(t.Context(), file, e) },
		"audit": func(e platform.Env) (any, error) { return embedded.Audit(t.Context(), file, e) },
	}
	for name, open := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDrawer()
			opened, err := open(d.Env)
			if err == nil || len(d.asked) > 0 {
				t.Errorf("%v, %v; asks to close %v", opened, err, d.asked)
			}
		})
	}
}

// The directory belongs to one process: a second opening is refused, and the
// audit log can be checked nevertheless.
func TestASecondOpeningIsRefused(t *testing.T) {
	dir, first, second := t.TempDir(), newDrawer(), newDrawer()
	if err := fill(t, first, dir, false); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"store": func() error { _, err := embedded.Store(t.Context(), dir, second.Env); return err },
		"blobs": func() error {
			_, err := embedded.Blobs(t.Context(), filepath.Join(dir, "blobs"), second.Env)
			return err
		},
		"queue": func() error { _, err := embedded.Queue(t.Context(), dir, second.Env); return err },
	} {
		if err := open(); err == nil {
			t.Errorf("the %s is open twice", name)
		}
	}
	if n, err := embedded.VerifyAudit(t.Context(), filepath.Join(dir, "audit")); err != nil || n != 1 {
		t.Errorf("beside a platform: %d entries, %v", n, err)
	}
	if err := errors.Join(first.shut(), second.shut()); err != nil {
		t.Error(err)
	}
}
