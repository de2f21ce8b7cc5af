package history

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/health"
)

// batch is how many samples the phone puts into one upload.
const batch = 2000

type source int

const (
	watch source = iota
	iPhone
)

// A sample is one record of the phone's database.
type sample struct {
	uuid        health.UUID
	kind        string
	start, end  time.Time
	value       float64
	unit        string
	source      source
	userEntered bool
	metadata    map[string]any
	sync        int // the day it is sent; set by schedule
	order       int
	broken      bool
}

type deletion struct {
	uuid health.UUID
	kind string
	sync int
}

// add gives a sample its uuid: the same one whatever else the history holds.
func (p *person) add(s sample) {
	s.order = len(p.samples)
	id := health.Sample{Type: s.kind, Start: health.InstantOf(s.start), End: health.InstantOf(s.end), OriginalUnit: s.unit,
		OriginalValue: s.value, Source: health.Source{ProductType: fmt.Sprint(s.source)}, Raw: fmt.Sprint(p.seed, s.order)}
	s.uuid = health.DeriveUUID(&id)
	s.uuid[6] = s.uuid[6]&0x0f | 0x40 // HealthKit's are random ones
	p.samples = append(p.samples, s)
}

// recordOddities adds the phantom walks, and the one broken sample.
func (p *person) recordOddities() {
	for _, day := range []int{dayPhantom, dayLate} {
		at := p.clock(day, 3*60, p.home)
		p.add(sample{kind: "HKQuantityTypeIdentifierStepCount", start: at, end: at.Add(20 * time.Minute), value: 2400, unit: "count", source: watch})
		p.deletions = append(p.deletions, deletion{p.samples[len(p.samples)-1].uuid, "HKQuantityTypeIdentifierStepCount", dayDeletes})
	}
	at := p.clock(dayDeletes, 15*60, p.home)
	p.add(sample{kind: "HKQuantityTypeIdentifierHeartRate", start: at, end: at.Add(-time.Minute), value: 71, unit: "count/min", source: watch, broken: true})
}

// schedule decides the day on which each sample is sent; a sample that ends
// after the last sync is not.
func (p *person) schedule() {
	lateFrom, lateTo := p.clock(dayLate, 12*60, p.home), p.clock(dayLate, 18*60, p.home)
	phantom := p.deletions[1].uuid
	for i := range p.samples {
		s := &p.samples[i]
		s.sync = dayInstalled
		for s.sync < Days && s.end.After(p.syncTime(s.sync)) {
			s.sync++
		}
		if s.source == watch && s.start.Before(lateTo) && s.end.After(lateFrom) || s.uuid == phantom {
			s.sync = dayLateArrives
		}
	}
}

func (p *person) syncTime(i int) time.Time {
	if i == Days-1 {
		return p.clock(i, 24*60-1, p.home)
	}
	return p.clock(i, 22*60+40, p.home)
}

// sync is everything the phone puts, in order.
func (p *person) sync() ([]Upload, error) {
	p.schedule()
	var uploads []Upload
	for i := dayInstalled; i < Days; i++ {
		var due []sample
		for _, s := range p.samples {
			if s.sync == i {
				due = append(due, s)
			}
		}
		if i == dayInstalled { // anchored queries go type by type
			slices.SortStableFunc(due, func(a, b sample) int { return cmp.Or(cmp.Compare(a.kind, b.kind), a.start.Compare(b.start)) })
		} else {
			slices.SortStableFunc(due, func(a, b sample) int { return cmp.Or(a.end.Compare(b.end), cmp.Compare(a.order, b.order)) })
		}
		if i == dayPhantom { // yesterday's last forty once more: the reply was lost
			due = append(p.lastOf(i-1, 40), due...)
		}
		made, err := p.bodies(i, due)
		if err != nil {
			return nil, err
		}
		uploads = append(uploads, made...)
	}
	return uploads, nil
}

func (p *person) lastOf(sync, n int) []sample {
	var out []sample
	for _, s := range p.samples {
		if s.sync == sync && !s.broken {
			out = append(out, s)
		}
	}
	return slices.Clone(out[max(0, len(out)-n):])
}

// bodies cuts one sync into uploads.
func (p *person) bodies(i int, due []sample) ([]Upload, error) {
	var deleted []deletion
	for _, d := range p.deletions {
		if d.sync == i {
			deleted = append(deleted, d)
		}
	}
	stage := "daily"
	if i == dayInstalled {
		stage = "historical"
	}
	var uploads []Upload
	anchors := map[string]int{}
	for part := range slices.Chunk(due, batch) {
		env := envelope{Schema: "clarity.upload/1", InstallationID: "demo-iphone", TimeZone: p.zoneAt(p.syncTime(i)).String(), Stage: stage, Cursor: map[string]string{}}
		u := Upload{Stage: stage, SentOn: p.day(i), Samples: len(part), Deleted: len(deleted)}
		for _, s := range part {
			env.Samples = append(env.Samples, p.wire(s))
			anchors[s.kind]++
			env.Cursor[s.kind] = fmt.Sprintf("anchor-%d-%d", i, anchors[s.kind])
			if s.broken {
				u.Rejected++
			}
		}
		for _, d := range deleted {
			env.Deleted = append(env.Deleted, wireDeletion{d.uuid.String(), d.kind})
		}
		deleted = nil
		env.Final = len(uploads) == (len(due)-1)/batch
		body, err := json.Marshal(env)
		if err != nil {
			return nil, fmt.Errorf("encode upload %d of day %d: %w", len(uploads), i, err)
		}
		u.Body = body
		uploads = append(uploads, u)
	}
	return uploads, nil
}

// The envelope of clarity.upload/1.
type envelope struct {
	Schema         string            `json:"schema"`
	InstallationID string            `json:"installationId"`
	TimeZone       string            `json:"timeZone"`
	Samples        []wireSample      `json:"samples"`
	Deleted        []wireDeletion    `json:"deleted,omitempty"`
	Cursor         map[string]string `json:"cursor"`
	Stage          string            `json:"stage"`
	Final          bool              `json:"final"`
}

type wireSample struct {
	UUID     string         `json:"uuid"`
	Type     string         `json:"type"`
	Start    string         `json:"start"`
	End      string         `json:"end"`
	Value    float64        `json:"value"`
	Unit     string         `json:"unit,omitempty"`
	Source   wireSource     `json:"source"`
	Metadata map[string]any `json:"metadata"`
}

type wireSource struct {
	BundleID    string `json:"bundleId"`
	Name        string `json:"name"`
	ProductType string `json:"productType"`
	OSVersion   string `json:"osVersion"`
}

type wireDeletion struct {
	UUID string `json:"uuid"`
	Type string `json:"type"`
}

func (p *person) wire(s sample) wireSample {
	loc := p.zoneAt(s.start)
	metadata := map[string]any{"HKTimeZone": loc.String()}
	for k, v := range s.metadata {
		metadata[k] = v
	}
	if s.userEntered {
		metadata["HKWasUserEntered"] = true
	}
	src := wireSource{"com.apple.health.7C4E2A90", "Demo's Apple Watch", "Watch7,5", "12.1"}
	if s.source == iPhone {
		src = wireSource{"com.apple.health.19D3B6F1", "Demo's iPhone", "iPhone16,1", "19.1"}
	}
	return wireSample{UUID: s.uuid.String(), Type: s.kind, Start: s.start.In(loc).Format(time.RFC3339), End: s.end.In(loc).Format(time.RFC3339),
		Value: s.value, Unit: s.unit, Source: src, Metadata: metadata}
}
