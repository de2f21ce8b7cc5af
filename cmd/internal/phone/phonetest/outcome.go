package phonetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/news"
)

// An Outcome is all that a person's uploads came to, but for the times at which.
type Outcome struct {
	Uploads  int // that are merged
	Samples  int
	Days     map[string]string // digest by date
	Weeks    map[string]string // result document by last day
	Insights map[string]string
}

// Read reads what there is now. That a list names a date twice is an error.
func Read(ctx context.Context, c *phone.Client) (out Outcome, err error) {
	uploads, err := phone.Pages[phone.Status](ctx, c, "/v1/uploads")
	if err != nil {
		return out, err
	}
	for _, u := range uploads {
		if u.State == "merged" {
			out.Uploads++
		}
	}
	days, err := phone.Pages[struct {
		Date, Digest string
		Samples      int
	}](ctx, c, "/v1/days")
	if err != nil {
		return out, err
	}
	out.Days = map[string]string{}
	for _, d := range days {
		out.Days[d.Date] = d.Digest
		out.Samples += d.Samples
	}
	if out.Weeks, err = documents(ctx, c, "/v1/weeks", "result"); err != nil {
		return out, err
	}
	out.Insights, err = documents(ctx, c, "/v1/insights", "insight")
	return out, err
}

// documents are the named members of a list's items, as they are, by date.
func documents(ctx context.Context, c *phone.Client, path, member string) (map[string]string, error) {
	items, err := phone.Pages[map[string]json.RawMessage](ctx, c, path)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, item := range items {
		var date string
		if err := json.Unmarshal(item["date"], &date); err != nil || len(item[member]) == 0 {
			return nil, fmt.Errorf("an item of %s has no date or no %s", path, member)
		}
		if _, twice := out[date]; twice {
			return nil, fmt.Errorf("%s has two of one date", path)
		}
		out[date] = string(item[member])
	}
	return out, nil
}

// ToldOnce reads the person's events from the first until a second of quiet: none comes
// twice, as far as repetitions are recognised, and there is one of a result. It returns
// their ids.
func ToldOnce(t *testing.T, c *phone.Client) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	quiet := time.AfterFunc(10*time.Second, cancel)
	seen, results := map[string]uint64{}, 0
	err := c.Events(ctx, phone.FromTheFirst, func(e phone.Event) error {
		quiet.Reset(time.Second)
		var body struct{ Ref, Version string }
		if err := json.Unmarshal([]byte(e.Data), &body); err != nil {
			return err
		}
		key := e.Name + " " + body.Ref + " " + body.Version
		id, _, _ := strings.Cut(e.ID, "-")
		number, err := strconv.ParseUint(id, 16, 64)
		if err != nil {
			return fmt.Errorf("event %q has no number: %w", e.ID, err)
		}
		// A withdrawal has no version of its own: a window that comes and goes is withdrawn
		// more than once, and one that a process died over is told of again.
		if first, twice := seen[key]; twice && body.Version != "withdrawn" && number-first <= news.Recent {
			t.Errorf("%q is told twice, in events %d and %d", key, first, number)
		}
		seen[key] = number
		ids = append(ids, e.ID)
		if e.Name == string(flow.ResultStored) {
			results++
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("read the events: %v", err)
	}
	if results == 0 {
		t.Error("no result was told of")
	}
	return ids
}
