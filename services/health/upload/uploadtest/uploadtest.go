// Package uploadtest makes realistic upload bodies for tests and benchmarks:
// what a Watch and a phone record in a few hours, in the members and lengths
// that a phone sends.
package uploadtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/clarity-loop/clarity/services/health/upload"
)

// Options vary a body. The zero Options are a working default.
type Options struct {
	Seed    uint64    // another seed, other samples
	Start   time.Time // of the first sample; 2026-03-02 06:00 in Zone if zero
	Zone    string    // "Europe/Berlin" if ""
	Deleted int       // deletions besides
}

// Body is an upload of n samples, about 640 bytes each, all of which are
// accepted by a server whose clock is past them. The same arguments give the
// same bytes.
func Body(n int, o Options) []byte {
	if o.Zone == "" {
		o.Zone = "Europe/Berlin"
	}
	loc, err := time.LoadLocation(o.Zone)
	if err != nil {
		panic(fmt.Sprintf("uploadtest: zone %q: %v", o.Zone, err))
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 3, 2, 6, 0, 0, 0, loc)
	}
	r := rand.New(rand.NewPCG(o.Seed, 0x5eed))
	var b bytes.Buffer
	b.Grow(n*650 + 512)
	fmt.Fprintf(&b, `{"schema":%q,"installationId":"5C1F4F44-6F3B-4B7E-9D4E-2F1B7C6A0E11","timeZone":%q,"stage":"daily","final":true,`, upload.Schema, o.Zone)
	b.WriteString(`"cursor":{"HKQuantityTypeIdentifierHeartRate":"YnBsaXN0MDDUAQIDBAUGBwpYJHZlcnNpb25ZJGFyY2hpdmVy",` +
		`"HKQuantityTypeIdentifierStepCount":"YnBsaXN0MDDUAQIDBAUGBwpYJHZlcnNpb25ZJGFyY2hpdmVz"},"samples":[`)
	at := o.Start.In(loc)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		at = at.Add(time.Duration(5+r.IntN(20)) * time.Second)
		writeSample(&b, r, kinds[r.IntN(len(kinds))], at, o.Zone)
	}
	b.WriteString(`],"deleted":[`)
	for i := range o.Deleted {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"uuid":%q,"type":"HKQuantityTypeIdentifierStepCount"}`, uuid(r))
	}
	b.WriteString("]}")
	return b.Bytes()
}

// Gzip is the body as a phone sends it.
func Gzip(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		panic(err) // a buffer takes everything
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

type kind struct {
	name, unit string
	lasts      time.Duration
	value      func(r *rand.Rand) string
	metadata   string
}

func number(format string, from, to float64) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return fmt.Sprintf(format, from+r.Float64()*(to-from)) }
}

const heartRate = "HKQuantityTypeIdentifierHeartRate"

// kinds repeats what a Watch records most.
var kinds = []kind{
	{heartRate, "count/min", 0, number("%.0f", 48, 150), `"HKMetadataKeyHeartRateMotionContext":1,`},
	{heartRate, "count/min", 0, number("%.0f", 48, 150), `"HKMetadataKeyHeartRateMotionContext":0,`},
	{heartRate, "count/min", 0, number("%.3f", 48, 150), `"HKMetadataKeyHeartRateMotionContext":1,`},
	{"HKQuantityTypeIdentifierActiveEnergyBurned", "kcal", time.Minute, number("%.3f", 0.01, 9), ""},
	{"HKQuantityTypeIdentifierBasalEnergyBurned", "kcal", time.Minute, number("%.3f", 1, 2), ""},
	{"HKQuantityTypeIdentifierStepCount", "count", 40 * time.Second, number("%.0f", 1, 120), ""},
	{"HKQuantityTypeIdentifierDistanceWalkingRunning", "m", 40 * time.Second, number("%.4f", 1, 90), ""},
	{"HKQuantityTypeIdentifierHeartRateVariabilitySDNN", "ms", time.Minute, number("%.4f", 15, 120), `"HKAlgorithmVersion":2,`},
	{"HKCategoryTypeIdentifierSleepAnalysis", "", 5 * time.Minute, number("%.0f", 0, 5), ""},
	{"HKQuantityTypeIdentifierOxygenSaturation", "%", 15 * time.Second, number("%.2f", 0.9, 1), `"HKMetadataKeyBarometricPressure":"101.3 kPa",`},
}

func writeSample(b *bytes.Buffer, r *rand.Rand, k kind, at time.Time, zone string) {
	unit := ""
	if k.unit != "" {
		unit = fmt.Sprintf(`"unit":%q,`, k.unit)
	}
	product, name, system := "Watch7,5", "Alex’s Apple Watch", "12.1"
	if r.IntN(5) == 0 {
		product, name, system = "iPhone16,1", "Alex’s iPhone", "19.1"
	}
	fmt.Fprintf(b, `{"uuid":"%s","type":%q,"start":%q,"end":%q,"value":%s,%s`, uuid(r), k.name, at.Format(time.RFC3339), at.Add(k.lasts).Format(time.RFC3339), k.value(r), unit)
	fmt.Fprintf(b, `"source":{"bundleId":"com.apple.health.7C4E2A90-5E0B-4F0B-9A77-0D3C7B0C8E51","name":%q,"productType":%q,"osVersion":%q},`, name, product, system)
	fmt.Fprintf(b, `"metadata":{"HKTimeZone":%q,"HKWasUserEntered":false,%s"HKDeviceManufacturerName":"Apple Inc.","HKDeviceName":"Apple Watch",`+
		`"HKDeviceModel":"Watch","HKDeviceSoftwareVersion":"12.1","HKMetadataKeySyncIdentifier":"%012x","HKMetadataKeySyncVersion":1}}`, zone, k.metadata, r.Uint64()>>16)
}

func uuid(r *rand.Rand) string {
	high, low := r.Uint64()&^0xf000|0x4000, r.Uint64()&^(3<<62)|2<<62
	return fmt.Sprintf("%08X-%04X-%04X-%04X-%012X", high>>32, high>>16&0xffff, high&0xffff, low>>48, low&0xffffffffffff)
}
