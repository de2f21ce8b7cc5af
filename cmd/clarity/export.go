package main

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/worker/analyse"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

// export reads the file twice: once to find the window, once to take what lies
// in it, so that memory is that of a week and not of the file.
func (a *analyzer) export(ctx context.Context, f *source) (study, error) {
	if a.start != "" {
		return study{}, usagef("--start is for recordings; a health export has --end and --days")
	}
	days := a.days
	if days == 0 {
		days = actigraphy.WindowDays
	}
	found, err := a.survey(ctx, f)
	if err != nil {
		return study{}, err
	}
	if a.end == "" && len(found) == 0 {
		return study{}, errors.New("there is no movement, heart rate or sleep in it")
	}
	end := a.last
	if a.end == "" {
		end = slices.Max(slices.Collect(maps.Keys(found)))
	}
	in := analyse.Input{Start: end - health.Day(days) + 1, End: end, Zone: a.loc}
	if in.Zone == nil {
		if in.Zone, err = health.LoadZone(mostZone(found, in.Start, in.End)); err != nil {
			return study{}, err
		}
	}
	if err := a.collect(ctx, f, &in); err != nil {
		return study{}, err
	}
	result, err := analyse.Compute(in)
	return study{result, analyse.Epochs(in)}, err
}

// surveyed says whether a sample's day counts as one with data.
func surveyed(s *health.Sample) bool {
	switch s.Type {
	case "HKQuantityTypeIdentifierStepCount", "HKQuantityTypeIdentifierActiveEnergyBurned", "HKQuantityTypeIdentifierHeartRate", "HKCategoryTypeIdentifierSleepAnalysis":
		return !s.UserEntered
	}
	return false
}

// survey counts the samples of each day and zone.
func (a *analyzer) survey(ctx context.Context, f *source) (map[health.Day]map[string]int, error) {
	found := map[health.Day]map[string]int{}
	calendar := timeline.NewCalendar()
	_, err := a.each(ctx, f, func(s *health.Sample) error {
		if !surveyed(s) {
			return nil
		}
		day, err := calendar.Day(s)
		if err != nil {
			return err
		}
		if found[day] == nil {
			found[day] = map[string]int{}
		}
		found[day][s.Zone]++
		return nil
	})
	return found, err
}

// mostZone is the zone of most samples of the window, the first by name of equals.
func mostZone(found map[health.Day]map[string]int, start, end health.Day) string {
	counts := map[string]int{}
	for day, zones := range found {
		if day < start || day > end {
			continue
		}
		for zone, n := range zones {
			counts[zone] += n
		}
	}
	most := "UTC"
	for _, zone := range slices.Sorted(maps.Keys(counts)) {
		if counts[zone] > counts[most] {
			most = zone
		}
	}
	return most
}

// collect fills in the samples of the window and of a day around it, merged
// into days as the platform does, and where they come from.
func (a *analyzer) collect(ctx context.Context, f *source, in *analyse.Input) error {
	byDay := map[health.Day][]health.Sample{}
	calendar := timeline.NewCalendar()
	deleted, err := a.each(ctx, f, func(s *health.Sample) error {
		day, err := calendar.Day(s)
		if err == nil && day >= in.Start-1 && day <= in.End+1 {
			byDay[day] = append(byDay[day], *s)
		}
		return err
	})
	if err != nil {
		return err
	}
	uuids := make([]health.UUID, len(deleted))
	for i, d := range deleted {
		uuids[i] = d.UUID
	}
	tombstones, _, err := timeline.Tombstones{}.Add(uuids)
	if err != nil {
		return err
	}
	var chunks []timeline.Chunk
	for _, day := range slices.Sorted(maps.Keys(byDay)) {
		chunk, _, err := timeline.Merge(timeline.Chunk{Day: day}, byDay[day], tombstones)
		if err != nil {
			return err
		}
		measured := intake.Measured(chunk)
		if !(analysis.Request{End: in.End}).Needs(day, measured.Begins, in.Zone) {
			continue
		}
		chunks = append(chunks, chunk)
		in.Chunks = append(in.Chunks, held.Day{Day: day, Digest: timeline.Digest(chunk), Measured: *measured}.Origin())
	}
	in.View = timeline.NewView(chunks...)
	return nil
}

// each calls visit for every sample of the file until ctx is done, and returns
// what the file deletes.
func (a *analyzer) each(ctx context.Context, f *source, visit func(*health.Sample) error) ([]upload.Deletion, error) {
	zone := a.zone
	if zone == "" {
		zone = "UTC"
	}
	return f.samples(zone, health.InstantOf(a.now()), func(s *health.Sample) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return visit(s)
	})
}
