package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record/held"
)

// waitUntilAnalysed waits until the uploads are merged and each day they touched is in
// the result of its week as it is now.
func (u *uploader) waitUntilAnalysed(ctx context.Context, ids []string) (*mergeReport, error) {
	report := &mergeReport{Weeks: []string{}}
	touched := map[health.Day]bool{}
	for _, id := range ids {
		s, err := u.client.Merged(ctx, id)
		if err != nil {
			return report, err
		}
		if s.State != "merged" {
			return report, fmt.Errorf("upload %s is %s: %s", id, s.State, s.Reason)
		}
		report.Added += s.Added
		report.Replaced += s.Replaced
		report.Duplicates += s.Duplicates
		report.Deleted += s.Deleted
		for _, d := range s.Days {
			touched[d] = true
		}
	}
	report.Days = len(touched)
	for pause := 50 * time.Millisecond; ; pause = min(pause*3/2, 2*time.Second) {
		weeks, current, err := analysed(ctx, u.client, touched)
		if err != nil || current {
			report.Weeks = weeks
			return report, err
		}
		select {
		case <-ctx.Done():
			return report, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// analysed says whether each week that holds a touched day rests on what is
// held of its days now, and lists those weeks by their last day.
func analysed(ctx context.Context, client *phone.Client, touched map[health.Day]bool) (weeks []string, current bool, err error) {
	days, err := heldDays(ctx, client)
	if err != nil {
		return nil, false, err
	}
	results, err := pages[struct {
		Date   string
		Result analysis.Result
	}](ctx, client, "/v1/weeks")
	if err != nil {
		return nil, false, err
	}
	there := map[string]analysis.Result{}
	for _, r := range results {
		there[r.Date] = r.Result
	}
	weeks = []string{}
	for _, end := range slices.Sorted(maps.Keys(weeksOf(touched))) {
		if days[end.String()].Digest == "" {
			continue // no week ends on a day without data
		}
		result, is := there[end.String()]
		if !is || !restsOnNow(result, days, end) {
			return nil, false, nil
		}
		weeks = append(weeks, end.String())
	}
	return weeks, true, nil
}

// weekIsCurrent says whether the week that ends on the day rests on what is held
// of its days now, and returns the digest of its input.
func weekIsCurrent(ctx context.Context, client *phone.Client, end string) (input string, current bool, err error) {
	day, err := health.ParseDay(end)
	if err != nil {
		return "", false, err
	}
	days, err := heldDays(ctx, client)
	if err != nil {
		return "", false, err
	}
	var week struct{ Result analysis.Result }
	if err := client.Get(ctx, "/v1/weeks/"+end, &week); err != nil {
		return "", false, fmt.Errorf("get the week that ends on %s: %w", end, err)
	}
	return week.Result.Lineage.InputDigest, restsOnNow(week.Result, days, day), nil
}

// A heldDay is what the platform holds of a day.
type heldDay struct {
	Date, Digest, Measured string

	Samples int
	Types   map[string]struct {
		Count int
		First time.Time
	}
}

func heldDays(ctx context.Context, client *phone.Client) (map[string]heldDay, error) {
	days, err := pages[heldDay](ctx, client, "/v1/days")
	if err != nil {
		return nil, err
	}
	byDate := make(map[string]heldDay, len(days))
	for _, d := range days {
		byDate[d.Date] = d
	}
	return byDate, nil
}

// begins is when the day's first sample does.
func (d heldDay) begins() health.Instant {
	first, counted := held.Never, 0
	for kind, t := range d.Types {
		if d.Measured == "" || analysis.Measures(kind) {
			first = min(first, health.InstantOf(t.First))
		}
		counted += t.Count
	}
	if counted != d.Samples {
		return held.Ever
	}
	return first
}

// weeksOf is the last days of the weeks that read one of the days.
func weeksOf(days map[health.Day]bool) map[health.Day]bool {
	ends := map[health.Day]bool{}
	for d := range days {
		first, last := analysis.Touching(d)
		for end := first; end <= last; end++ {
			ends[end] = true
		}
	}
	return ends
}

// restsOnNow compares the digests a result names with those of the days held, as far
// as the week is made of them.
func restsOnNow(r analysis.Result, days map[string]heldDay, end health.Day) bool {
	used := map[string]string{}
	for _, c := range r.Lineage.Chunks {
		used[c.Day.String()] = c.Basis()
	}
	zone, err := health.LoadZone(r.Window.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	week := analysis.Request{End: end}
	first, last := week.Reads()
	for day := first; day <= last; day++ {
		there := days[day.String()]
		basis := cmp.Or(there.Measured, there.Digest)
		if basis != "" && !week.Needs(day, there.begins(), zone) {
			basis = ""
		}
		if basis != used[day.String()] {
			return false
		}
	}
	return true
}

// pages reads a list to its end.
func pages[T any](ctx context.Context, client *phone.Client, path string) ([]T, error) {
	var all []T
	for query := "?limit=200"; ; {
		var page struct {
			Items []T
			Next  string
		}
		if err := client.Get(ctx, path+query, &page); err != nil {
			return nil, fmt.Errorf("list %s: %w", path, err)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		query = "?limit=200&cursor=" + url.QueryEscape(page.Next)
	}
}
