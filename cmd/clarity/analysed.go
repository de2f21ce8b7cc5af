package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
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
	days, err := pages[struct{ Date, Digest string }](ctx, client, "/v1/days")
	if err != nil {
		return nil, false, err
	}
	held := map[string]string{}
	for _, d := range days {
		held[d.Date] = d.Digest
	}
	results, err := pages[struct {
		Date   string
		Result analysis.Result
	}](ctx, client, "/v1/weeks")
	if err != nil {
		return nil, false, err
	}
	used := map[string][]analysis.ChunkOrigin{}
	for _, r := range results {
		used[r.Date] = r.Result.Lineage.Chunks
	}
	weeks = []string{}
	for _, end := range slices.Sorted(maps.Keys(weeksOf(touched))) {
		if held[end.String()] == "" {
			continue // no week ends on a day without data
		}
		chunks, there := used[end.String()]
		if !there || !restsOnNow(chunks, held, end) {
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
	days, err := pages[struct{ Date, Digest string }](ctx, client, "/v1/days")
	if err != nil {
		return "", false, err
	}
	held := map[string]string{}
	for _, d := range days {
		held[d.Date] = d.Digest
	}
	var week struct{ Result analysis.Result }
	if err := client.Get(ctx, "/v1/weeks/"+end, &week); err != nil {
		return "", false, fmt.Errorf("get the week that ends on %s: %w", end, err)
	}
	lineage := week.Result.Lineage
	return lineage.InputDigest, restsOnNow(lineage.Chunks, held, day), nil
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

// restsOnNow compares the digests a result names with those of the days held.
func restsOnNow(chunks []analysis.ChunkOrigin, held map[string]string, end health.Day) bool {
	used := map[string]string{}
	for _, c := range chunks {
		used[c.Day.String()] = c.Digest
	}
	first, last := analysis.Request{End: end}.Reads()
	for day := first; day <= last; day++ {
		if held[day.String()] != used[day.String()] {
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
