package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
)

var (
	importYears = flag.Int("import.years", 5, "how much of their past a person of BenchmarkImport sends")
	importAsks  = flag.Int("import.asks", 10, "how often the fifth person of BenchmarkImport uploads while the four import")
)

// What a watch writes: an import has it type by type, and within one by time.
var imported = []struct {
	kind, unit string
	aDay       int
	value      float64
}{
	{"HKQuantityTypeIdentifierHeartRate", "count/min", 300, 62},
	{"HKQuantityTypeIdentifierStepCount", "count", 90, 80},
	{"HKQuantityTypeIdentifierActiveEnergyBurned", "kcal", 60, 4},
	{"HKQuantityTypeIdentifierDistanceWalkingRunning", "m", 20, 200},
	{"HKCategoryTypeIdentifierSleepAnalysis", "", 8, 3},
	{"HKQuantityTypeIdentifierHeartRateVariabilitySDNN", "ms", 2, 45},
	{"HKQuantityTypeIdentifierRestingHeartRate", "count/min", 1, 55},
	{"HKQuantityTypeIdentifierVO2Max", "ml/min/kg", 1, 40},
}

// An importer is one person's phone, or their `clarity upload`.
type importer struct {
	client *phone.Client
	user   string
	last   time.Time // midnight after the last day
}

func newImporter(b *testing.B, url, dir, user string) *importer {
	b.Helper()
	token, err := issuer.Token(issuer.Request{Dir: dir, User: user, TTL: 24 * time.Hour, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	c := phone.New(url, token, time.Minute, nil)
	b.Cleanup(c.Close)
	if err := grantConsent(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	return &importer{c, user, time.Now().UTC().Truncate(24 * time.Hour)}
}

// past sends what the person has of the years, as `clarity upload` does, and returns
// the uploads.
func (p *importer) past(ctx context.Context, years int) (ids []string, samples int, err error) {
	batch := phone.NewBatcher("import-"+p.user, "UTC", func(u phone.Upload) error {
		ids = append(ids, u.ID)
		samples += u.Samples
		_, err := p.client.Put(ctx, u)
		return err
	})
	first := p.last.AddDate(-years, 0, 0)
	for _, k := range imported {
		for day := first; day.Before(p.last); day = day.AddDate(0, 0, 1) {
			for n := range k.aDay {
				at := day.Add(time.Duration(n) * 24 * time.Hour / time.Duration(k.aDay))
				s := health.Sample{Type: k.kind, Start: health.InstantOf(at), End: health.InstantOf(at.Add(time.Minute)), OriginalUnit: k.unit,
					OriginalValue: k.value + float64(n%7), Source: health.Source{BundleID: "com.apple.health." + p.user, ProductType: "Watch7,5", OSVersion: "12.1"}}
				if k.unit == "" {
					s.OriginalValue = k.value + float64(n%3)
				}
				s.UUID = health.DeriveUUID(&s)
				if err := batch.Add(&s); err != nil {
					return ids, samples, err
				}
			}
		}
	}
	return ids, samples, batch.Close()
}

// today uploads 500 samples of the day before, and returns how long after the ack
// they were merged, and were in the week that ends on that day.
func (p *importer) today(ctx context.Context, nth int) (merged, analysed time.Duration, err error) {
	day := p.last.AddDate(0, 0, -1)
	var samples []phonetest.Sample
	for n := range 500 {
		at := day.Add(time.Duration(n)*150*time.Second + time.Duration(nth)*time.Second)
		id := health.Sample{Type: "today", Start: health.InstantOf(at)}
		samples = append(samples, phonetest.Sample{UUID: health.DeriveUUID(&id).String(), Type: imported[0].kind, Start: at.Format(time.RFC3339), End: at.Format(time.RFC3339),
			Value: 60 + float64(n%20), Unit: imported[0].unit, Source: map[string]any{"bundleId": "com.apple.health.today", "productType": "Watch7,5"}})
	}
	body, err := json.Marshal(map[string]any{"schema": upload.Schema, "installationId": "today", "timeZone": "UTC", "samples": samples, "deleted": []any{}, "cursor": map[string]string{}, "stage": "daily"})
	if err != nil {
		return 0, 0, err
	}
	u, err := phone.Pack(body, len(samples), 0)
	if err == nil {
		_, err = p.client.Put(ctx, u)
	}
	if err != nil {
		return 0, 0, err
	}
	acked := time.Now()
	if s, err := p.client.Merged(ctx, u.ID); err != nil || s.State != "merged" {
		return 0, 0, fmt.Errorf("the upload is %q: %w", s.State, err)
	}
	merged = time.Since(acked)
	for ; ; time.Sleep(20 * time.Millisecond) {
		_, current, err := weekIsCurrent(ctx, p.client, day.Format(time.DateOnly))
		var none *phone.RefusalError
		if err != nil && !errors.As(err, &none) {
			return merged, 0, err
		}
		if current {
			return merged, time.Since(acked), nil
		}
	}
}

// BenchmarkImport is what a person's past costs: alone, and to another who uploads
// what is of today while four import.
func BenchmarkImport(b *testing.B) {
	b.Run("alone", func(b *testing.B) {
		for range b.N {
			importAlone(b)
		}
	})
	b.Run("beside four", func(b *testing.B) {
		for range b.N {
			besideFour(b)
		}
	})
}

func importAlone(b *testing.B) {
	dir := b.TempDir()
	p := startPlatform(b, dir, "--unlimited", "--log-level", "warn")
	phone := newImporter(b, p.url, dir, "alone")
	began := time.Now()
	ids, samples, err := phone.past(b.Context(), *importYears)
	if err != nil {
		b.Fatal(err)
	}
	acked := time.Since(began)
	for _, id := range ids {
		if s, err := phone.client.Merged(b.Context(), id); err != nil || s.State != "merged" {
			b.Fatalf("an upload is %q, %v", s.State, err)
		}
	}
	merged := time.Since(began)
	all := &uploader{client: phone.client}
	if _, err := all.waitUntilAnalysed(b.Context(), ids, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(samples), "samples")
	b.ReportMetric(float64(len(ids)), "uploads")
	b.ReportMetric(acked.Seconds(), "acked-s")
	b.ReportMetric(merged.Seconds(), "merged-s")
	b.ReportMetric(time.Since(began).Seconds(), "analysed-s")
	b.ReportMetric(processCPU(b, p.cmd.Process.Pid).Seconds(), "cpu-s")
	b.ReportMetric(processMemory(b, p.cmd.Process.Pid, "VmHWM"), "peak-rss-MB")
	b.ReportMetric(onDisk(b, dir), "disk-MB")
}

// onDisk is what the files of a directory hold, in MB.
func onDisk(b *testing.B, dir string) float64 {
	b.Helper()
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		total += info.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(total) / 1e6
}

func besideFour(b *testing.B) {
	dir := b.TempDir()
	p := startPlatform(b, dir, "--unlimited", "--log-level", "warn")
	fifth := newImporter(b, p.url, dir, "fifth")
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	ended := make(chan error, 4)
	var sending atomic.Int64
	for i := range cap(ended) {
		phone := newImporter(b, p.url, dir, fmt.Sprint("importer-", i))
		sending.Add(1)
		go func() {
			defer sending.Add(-1)
			_, _, err := phone.past(ctx, *importYears)
			ended <- err
		}()
	}
	time.Sleep(10 * time.Second) // what they sent first is merged by now, and analysed
	var merged, analysed []time.Duration
	for nth := range *importAsks {
		m, a, err := fifth.today(ctx, nth)
		if err != nil {
			b.Fatal(err)
		}
		merged, analysed = append(merged, m), append(analysed, a)
		time.Sleep(2 * time.Second)
	}
	b.ReportMetric(float64(sending.Load()), "still-importing")
	cancel()
	for range cap(ended) {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	}
	slices.Sort(merged)
	slices.Sort(analysed)
	b.ReportMetric(merged[len(merged)/2].Seconds(), "merged-p50-s")
	b.ReportMetric(merged[len(merged)-1].Seconds(), "merged-max-s")
	b.ReportMetric(analysed[len(analysed)/2].Seconds(), "week-p50-s")
	b.ReportMetric(analysed[len(analysed)-1].Seconds(), "week-max-s")
	b.ReportMetric(processMemory(b, p.cmd.Process.Pid, "VmHWM"), "peak-rss-MB")
}
