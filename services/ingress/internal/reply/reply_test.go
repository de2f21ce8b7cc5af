package reply_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// Each error, however deep, has its reply; what is not the client's doing is logged.
func TestWhatAnErrorBecomes(t *testing.T) {
	tests := map[string]struct {
		err    error
		want   problem.Code
		logged bool
	}{
		"a problem":                  {problem.New(problem.TooLarge, "x"), problem.TooLarge, false},
		"a document that is not":     {store.ErrNotFound, problem.NotFound, false},
		"an object that is not":      {blob.ErrNotFound, problem.NotFound, false},
		"a key that is none":         {store.ErrKey, problem.NotFound, false},
		"a key that is destroyed":    {keyring.ErrDestroyed, problem.AccountErased, false},
		"a person who was erased":    {analysis.ErrErased, problem.AccountErased, false},
		"a key that is missing":      {keyring.Fault("open", keyring.ErrNoKey), problem.Unavailable, true},
		"no consent":                 {analysis.ErrNoConsent, problem.ConsentRequired, false},
		"another version":            {store.ErrConflict, problem.VersionConflict, false},
		"a verifier that is away":    {identity.ErrUnavailable, problem.Unavailable, false},
		"a deadline":                 {context.DeadlineExceeded, problem.Unavailable, true},
		"a request that was cut off": {context.Canceled, problem.Unavailable, true},
		"a backend that is away":     {&fault.Error{Room: "queue", Op: "publish", Class: fault.Unavailable}, problem.Unavailable, true},
		"nobody knows if it is done": {store.Fault("write", store.ErrUnknown), problem.Unavailable, true},
		"a full disk":                {store.Fault("write", syscall.ENOSPC), problem.Unavailable, true},
		"a broken disk":              {store.Fault("write", syscall.EIO), problem.Internal, true},
		"a later release's":          {&fault.Error{Room: "timeline", Op: "decode", Class: fault.Newer}, problem.Internal, true},
		"anything else":              {errors.New("disk full"), problem.Internal, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			f := reply.Failures{Log: slog.New(slog.NewTextHandler(&log, nil))}
			got := f.Problem(t.Context(), fmt.Errorf("do: %w", tt.err))
			if got.Code != tt.want.Reason() || got.Status != tt.want.Status() {
				t.Errorf("%d %s, want %s", got.Status, got.Code, tt.want)
			}
			if (log.Len() > 0) != tt.logged {
				t.Errorf("logged %q", log.String())
			}
			if waits := got.GetHeaders().Get("Retry-After") == "1"; waits != (tt.want == problem.Unavailable) {
				t.Errorf("Retry-After %v", got.GetHeaders())
			}
			if strings.Contains(string(got.JSON()), "disk") {
				t.Errorf("the reply quotes the error: %s", got.JSON())
			}
		})
	}
	if p := reply.ConsentRequired("narrative"); !strings.Contains(p.Detail, "PUT /v1/consents/narrative") {
		t.Errorf("%q", p.Detail)
	}
}

func TestNobodyIsNamedInTheLog(t *testing.T) {
	var log bytes.Buffer
	f := reply.Failures{Log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx := reply.WithSubject(t.Context(), identity.Subject{UID: "anna-7", Tenant: "t"})
	if reply.UID(ctx) != "anna-7" || reply.Subject(ctx).Tenant != "t" || reply.UID(t.Context()) != "" {
		t.Error("the subject is another")
	}
	cause := fmt.Errorf("open %sx: anna-7 is not there", blob.PersonPrefix(blob.KindUploads, "anna-7"))
	f.Tell(ctx, "request failed", fmt.Errorf("%w: %w", cause, &fault.Error{Room: "blob", Op: "get", Class: fault.Limit, Code: "quota"}))
	for _, want := range []string{"request failed", "is not there", "room=blob", "op=get", "class=limit", "code=quota"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "anna-7") || strings.Contains(log.String(), strings.Trim(blob.PersonPrefix("", "anna-7"), "/")) {
		t.Errorf("the person is named: %s", log.String())
	}
}

func TestRanges(t *testing.T) {
	tests := map[string]struct {
		in   reply.RangeInput
		want store.Query
		ok   bool
	}{
		"open":            {reply.RangeInput{}, store.Query{Descending: true}, true},
		"from":            {reply.RangeInput{From: "2026-11-01"}, store.Query{From: "2026-11-01", Descending: true}, true},
		"to is inclusive": {reply.RangeInput{To: "2026-11-30"}, store.Query{To: "2026-12-01", Descending: true}, true},
		"to is no date":   {reply.RangeInput{To: "2026-11-31"}, store.Query{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.in.Query()
			if (err == nil) != tt.ok {
				t.Fatal(err)
			}
			if !tt.ok {
				var p *problem.Problem
				if !errors.As(err, &p) || p.Code != "invalid_request" || p.Errors[0].Location != "query.to" {
					t.Errorf("%v", err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSmallThings(t *testing.T) {
	if got := reply.OrEmpty[int](nil); got == nil || len(got) != 0 {
		t.Errorf("%#v", got)
	}
	if diff := cmp.Diff([]int{1}, reply.OrEmpty([]int{1})); diff != "" {
		t.Error(diff)
	}
	if a, b := reply.NewID(), reply.NewID(); len(a) != 32 || a == b || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("%q %q", a, b)
	}
}

// listDriver is a store of documents with the keys given.
type listDriver struct {
	store.Driver
	keys  []string
	err   error
	asked []store.Query
}

func (d *listDriver) List(_ context.Context, q store.Query) ([]store.Document, error) {
	d.asked = append(d.asked, q)
	var found []store.Document
	for _, k := range d.keys {
		if k > q.After && len(found) < q.Limit {
			found = append(found, store.Document{Key: store.Key{UID: q.UID, Key: k}, Data: []byte("{}")})
		}
	}
	return found, d.err
}

type openKeys struct{}

func (openKeys) Seal(_ context.Context, _, _ string, p []byte) ([]byte, error) { return p, nil }
func (openKeys) Open(_ context.Context, _, _ string, c []byte) ([]byte, error) { return c, nil }

func keys(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%04d", i))
	}
	return all
}

func TestListIsAPage(t *testing.T) {
	ctx := reply.WithSubject(t.Context(), identity.Subject{UID: "anna"})
	d := &listDriver{keys: keys(5)}
	days := store.New(d, openKeys{}).Days
	key := func(r store.Record[record.Day]) string { return r.Key }
	for cursor, want := range map[string]reply.Page[string]{
		"":     {Items: []string{"0000", "0001"}, Next: "0001"},
		"0002": {Items: []string{"0003", "0004"}},
		"0003": {Items: []string{"0004"}},
		"0004": {Items: []string{}},
	} {
		got, err := reply.List(ctx, days, reply.PageInput{Limit: 2, Cursor: cursor}, store.Query{}, func(string) bool { return true }, nil, key)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Body); diff != "" {
			t.Errorf("behind %q (-want +got):\n%s", cursor, diff)
		}
	}
	got, err := reply.ListRange(ctx, days, reply.RangeInput{Limit: 2, Cursor: "2026-11-02", From: "0001", To: "2026-11-30"}, nil, key)
	if err != nil {
		t.Fatalf("%+v %v", got, err)
	}
	q := d.asked[len(d.asked)-1]
	if q.UID != "anna" || q.From != "0001" || q.To != "2026-12-01" || !q.Descending || q.After != "2026-11-02" || q.Limit != 3 {
		t.Errorf("asked %+v", q)
	}
	for _, bad := range []reply.RangeInput{{To: "x"}, {Cursor: "0002"}} {
		if _, err := reply.ListRange(ctx, days, bad, nil, key); err == nil {
			t.Errorf("%+v is a range", bad)
		}
	}
	for last, want := range map[string]string{"9999-12-30": "9999-12-31", "9999-12-31": "", "2026-12-31": "2027-01-01"} {
		if q, err := (reply.RangeInput{To: last}).Query(); err != nil || q.To != want {
			t.Errorf("up to %s: %q %v, want %q", last, q.To, err, want)
		}
	}
	d.err = errors.New("down")
	if _, err := reply.List(ctx, days, reply.PageInput{Limit: 2}, store.Query{}, func(string) bool { return true }, nil, key); !errors.Is(err, d.err) {
		t.Errorf("a store that is down: %v", err)
	}
}

func TestExportedRecordsComeInPages(t *testing.T) {
	for _, n := range []int{0, 1, 99, 100, 101, 250} {
		d := &listDriver{keys: keys(n)}
		part := reply.Exported(store.New(d, openKeys{}).Days, "day", func(r store.Record[record.Day]) string { return "v" + r.Key })
		var got []string
		err := part.Each(t.Context(), "anna", "", func(kind, key string, value any) error {
			if kind != "day" || value != "v"+key {
				t.Errorf("%s %s %v", kind, key, value)
			}
			got = append(got, key)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d.keys, got); diff != "" {
			t.Errorf("%d records (-want +got):\n%s", n, diff)
		}
		if want := n/100 + 1; len(d.asked) != want {
			t.Errorf("%d records were asked for in %d pages, want %d", n, len(d.asked), want)
		}
		stop := errors.New("gone")
		if err := part.Each(t.Context(), "anna", "", func(string, string, any) error { return stop }); n > 0 && !errors.Is(err, stop) {
			t.Errorf("a line that fails: %v", err)
		}
		d.err = errors.New("down")
		if err := part.Each(t.Context(), "anna", "", func(string, string, any) error { return nil }); !errors.Is(err, d.err) {
			t.Errorf("a store that is down: %v", err)
		}
	}
}
