package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record/held"
)

// waitUntilAnalysed waits until the uploads are merged and each day they touched is in
// the result of its week as it is now. Of those that were there before everything was.
func (u *uploader) waitUntilAnalysed(ctx context.Context, ids []string, before map[string]bool) (*mergeReport, error) {
	report := &mergeReport{Weeks: []string{}}
	touched, news := map[health.Day]bool{}, map[health.Day]bool{}
	for _, id := range ids {
		s, err := u.client.Merged(ctx, id)
		if err != nil {
			return report, err
		}
		if s.State != "merged" {
			return report, fmt.Errorf("upload %s is %s: %s", id, s.State, s.Reason)
		}
		if before[id] {
			s.Added, s.Replaced, s.Duplicates, s.Deleted = 0, 0, s.Added+s.Replaced+s.Duplicates, 0
		}
		report.Added += s.Added
		report.Replaced += s.Replaced
		report.Duplicates += s.Duplicates
		report.Deleted += s.Deleted
		for _, d := range s.Days {
			touched[d] = true
			news[d] = news[d] || !before[id]
		}
	}
	maps.DeleteFunc(news, func(_ health.Day, is bool) bool { return !is })
	report.Days = len(news)
	for pause := 50 * time.Millisecond; ; pause = min(pause*3/2, 2*time.Second) {
		weeks, current, err := analysed(ctx, u.client, touched)
		if err != nil || current {
			for _, week := range weeks {
				if week.restsOn(news) {
					report.Weeks = append(report.Weeks, week.Date)
				}
			}
			return report, err
		}
		select {
		case <-ctx.Done():
			return report, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// A storedWeek is a result, by the week's last day.
type storedWeek struct {
	Date   string
	Result analysis.Result
}

// restsOn says whether the result is made of one of the days.
func (w storedWeek) restsOn(days map[health.Day]bool) bool {
	return slices.ContainsFunc(w.Result.Lineage.Chunks, func(c analysis.ChunkOrigin) bool { return days[c.Day] })
}

// analysed says whether each week that reads a touched day rests on what is
// held of its days now, and lists those that there are in order.
func analysed(ctx context.Context, client *phone.Client, touched map[health.Day]bool) (weeks []storedWeek, current bool, err error) {
	days, err := heldDays(ctx, client)
	if err != nil {
		return nil, false, err
	}
	results, err := phone.Pages[storedWeek](ctx, client, "/v1/weeks")
	if err != nil {
		return nil, false, err
	}
	there := map[string]storedWeek{}
	for _, r := range results {
		there[r.Date] = r
	}
	for _, end := range slices.Sorted(maps.Keys(weeksOf(touched))) {
		week, is := there[end.String()]
		if !is && !hasWeek(days, end) {
			continue
		}
		if !is || !restsOnNow(week.Result, days, end) {
			return nil, false, nil
		}
		weeks = append(weeks, week)
	}
	return weeks, true, nil
}

// hasWeek says whether there surely is, or will be, a week that ends on the day: one
// ends on each day of which something is measured, and on those behind it which it is still well within, up to
// the last day with data or today, wherever that may be.
func hasWeek(days map[string]heldDay, end health.Day) bool {
	if days[end.String()].measured() {
		return true
	}
	today := health.DayOf(health.InstantOf(time.Now()), time.FixedZone("", -12*60*60))
	if end > today {
		return false
	}
	for day := (analysis.Request{End: end}).Start() + 1; day < end; day++ {
		if days[day.String()].measured() {
			return true
		}
	}
	return false
}

// measured says whether results are made of something of the day.
func (d heldDay) measured() bool {
	for kind := range d.Types {
		if analysis.Measures(kind) {
			return true
		}
	}
	return false
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
	days, err := phone.Pages[heldDay](ctx, client, "/v1/days")
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
