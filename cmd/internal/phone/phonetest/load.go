// Package phonetest is phones for tests of the whole platform: what they send, and what is
// to become of it.
package phonetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/health"
)

// A Load is what one simulated phone, of that number, sends: upload n is the same each
// time it is asked for. Its samples fall on ten days; now and then it deletes what it
// sent before or will send later, and sends something twice.
type Load int

// Samples are how many an upload adds, but for what it sends twice.
const Samples = 40

// A Sample is one as it is sent.
type Sample struct {
	UUID   string         `json:"uuid"`
	Type   string         `json:"type"`
	Start  string         `json:"start"`
	End    string         `json:"end"`
	Value  float64        `json:"value"`
	Unit   string         `json:"unit,omitempty"`
	Source map[string]any `json:"source"`
}

// A Deletion is one as it is sent.
type Deletion struct {
	UUID string `json:"uuid"`
	Type string `json:"type"`
}

func (l Load) sample(n, k int) Sample {
	id := health.Sample{Type: "load", Start: health.Instant(n), End: health.Instant(k), OriginalValue: float64(l)}
	day := time.Date(2025, 6, 1+(n+k/10)%10, 0, 0, 0, 0, time.UTC)
	at := day.Add(time.Duration((n*37+k*101)%1380) * time.Minute)
	s := Sample{UUID: health.DeriveUUID(&id).String(), Start: at.Format(time.RFC3339), End: at.Add(time.Minute).Format(time.RFC3339),
		Source: map[string]any{"bundleId": "com.apple.health.load", "productType": "Watch7,5", "osVersion": "12.1"}}
	switch k % 4 {
	case 0:
		s.Type, s.Value, s.Unit, s.End = "HKQuantityTypeIdentifierHeartRate", float64(50+(n+k)%60), "count/min", s.Start
	case 1:
		s.Type, s.Value, s.Unit = "HKQuantityTypeIdentifierStepCount", float64(10+(n*k)%90), "count"
	case 2:
		s.Type, s.Value, s.Unit = "HKQuantityTypeIdentifierActiveEnergyBurned", float64(1+(n+k)%7), "kcal"
	default:
		at = day.Add(time.Duration((n*13+k*7)%360) * time.Minute)
		s.Type, s.Value, s.Start, s.End = "HKCategoryTypeIdentifierSleepAnalysis", float64(3+(n+k)%3), at.Format(time.RFC3339), at.Add(10*time.Minute).Format(time.RFC3339)
	}
	return s
}

// Content is the samples and deletions of upload n.
func (l Load) Content(n int) (samples []Sample, deleted []Deletion) {
	deleted = []Deletion{}
	for k := range Samples {
		samples = append(samples, l.sample(n, k))
	}
	if n%6 == 5 { // a reply was lost, so the phone thought
		for k := range 5 {
			samples = append(samples, l.sample(n-1, k))
		}
	}
	forget := func(n, k int) {
		s := l.sample(n, k)
		deleted = append(deleted, Deletion{s.UUID, s.Type})
	}
	if n%5 == 4 {
		forget(n-3, 1)
		forget(n-3, 7)
	}
	if n%7 == 3 {
		forget(n+2, 11) // before it is added
	}
	return samples, deleted
}

// Upload is upload n, as a phone puts it.
func (l Load) Upload(t testing.TB, n int) phone.Upload {
	t.Helper()
	samples, deleted := l.Content(n)
	body, err := json.Marshal(map[string]any{"schema": "clarity.upload/1", "installationId": fmt.Sprintf("phone-%d", int(l)), "timeZone": "UTC",
		"samples": samples, "deleted": deleted, "cursor": map[string]string{"HKQuantityTypeIdentifierHeartRate": fmt.Sprint("anchor-", n)}, "stage": "daily"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := phone.Pack(body, len(samples), len(deleted))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Alive is how many samples exist after the first n uploads.
func (l Load) Alive(n int) int {
	there, gone := map[string]bool{}, map[string]bool{}
	for i := range n {
		samples, deleted := l.Content(i)
		for _, s := range samples {
			there[s.UUID] = true
		}
		for _, d := range deleted {
			gone[d.UUID] = true
		}
	}
	for id := range gone {
		delete(there, id)
	}
	return len(there)
}
