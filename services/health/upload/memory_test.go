package upload_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Bodies made to take memory or time take neither.
func TestHostileBodiesTakeNoMemory(t *testing.T) {
	million := numbered(1_000_000, `"k%d":1`)
	escaped := strings.Repeat(`\u0061`, 2<<20)
	tests := map[string]string{
		"a million members of an envelope":  with(`,` + million),
		"a million types in the cursor":     with(`,"cursor":{` + strings.ReplaceAll(million, ":1", `:"1"`) + `}`),
		"a million members of a sample":     string(bodyOf(`{` + million + `}`)),
		"a million names in metadata":       string(bodyOf(members(id, heart, times, sixtyOne, `"metadata":{`+million+`}`))),
		"a million names in a source":       string(bodyOf(members(id, heart, times, sixtyOne, `"source":{`+million+`}`))),
		"a million names in an unknown":     string(bodyOf(members(id, workout, times, `"x":{`+million+`}`))),
		"a name of 12 MiB of escapes":       string(bodyOf(`{"` + escaped + `":1}`)),
		"a string of 12 MiB of escapes":     string(bodyOf(`{"uuid":"` + escaped + `"}`)),
		"a metadata name of 12 MiB":         string(bodyOf(members(id, heart, times, `"metadata":{"`+escaped+`":1}`))),
		"a number of 12 MiB":                string(bodyOf(`{"value":` + strings.Repeat("1", 12<<20) + `}`)),
		"many escaped names":                string(bodyOf(`{"uuid":1,"x":{` + strings.Repeat(`"\u0061bcdefgh":1,`, 500_000) + `"y":1}}`)),
		"a type for each of 10,000 samples": string(bodyOf(numberedSamples())),
		"a zone for each of 10,000 samples": string(bodyOf(strings.ReplaceAll(numberedSamples(), `"type"`, `"metadata":{"HKTimeZone":"Etc/Nowhere"},"type"`))),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			data := []byte(body)
			took := allocated(func() { _, _ = upload.Decode(data, now, nil) })
			if took > 6<<20 {
				t.Errorf("took %d bytes of memory for a body of %d", took, len(data))
			}
		})
	}
}

func numberedSamples() string {
	list := make([]string, 10_000)
	for i := range list {
		list[i] = members(id, fmt.Sprintf(`"type":"HKUnknown%d"`, i), times)
	}
	return strings.Join(list, ",")
}

// Only so many zones are looked up for one upload.
func TestAnUploadHasFewZones(t *testing.T) {
	var list []string
	for i := range 200 {
		list = append(list, members(id, heart, times, sixtyOne, fmt.Sprintf(`"metadata":{"HKTimeZone":"Nowhere/A%d"}`, i)))
	}
	list = append(list, members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"Asia/Tokyo"}`), members(id, heart, times, sixtyOne))
	e, err := upload.Decode(bodyOf(list...), now, nil)
	if err != nil || e.Accepted != 202 || len(e.Warnings) != 1 || e.Warnings[0].Code != reject.UnreadZone || e.Warnings[0].Count != 201 {
		t.Errorf("%d accepted, warnings %+v, %v", e.Accepted, e.Warnings, err)
	}
	for _, zone := range []string{"Asia/Seoul", "Asia/Tokyo", "Africa/Cairo"} { // the next upload has its own
		e, err := upload.Decode(bodyOf(members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"`+zone+`"}`)), now, nil)
		if err != nil || len(e.Warnings) != 0 {
			t.Errorf("%s in the next upload: %v, %+v", zone, err, e)
		}
	}
}

// Verdicts alone cost no allocation a sample.
func TestVerdictsAllocateNothingASample(t *testing.T) {
	few, many := uploadtest.Body(10, uploadtest.Options{}), uploadtest.Body(1000, uploadtest.Options{})
	count := func(body []byte) float64 {
		return testing.AllocsPerRun(20, func() {
			if _, err := upload.Decode(body, now, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	if a, b := count(few), count(many); b > a+50 { // 990 samples more; a pool forgets now and then, and at random under the race detector
		t.Errorf("%v allocations for 10 samples, %v for 1,000", a, b)
	}
}

// What the decoder hands out lives on when the body and the decoder are used
// for something else.
func TestSamplesOutliveTheBody(t *testing.T) {
	body := uploadtest.Body(30, uploadtest.Options{})
	read := func(body []byte) (samples []health.Sample) {
		if _, err := upload.Decode(body, now, func(s *health.Sample) { samples = append(samples, *s) }); err != nil {
			t.Fatal(err)
		}
		return samples
	}
	first := read(body)
	before := fmt.Sprint(first)
	read(uploadtest.Body(40, uploadtest.Options{Seed: 2, Zone: "Asia/Tokyo"}))
	clear(body)
	if fmt.Sprint(first) != before {
		t.Error("the samples changed")
	}
}

func TestMetadataIsCanonical(t *testing.T) {
	s := members(id, heart, times, sixtyOne, `"metadata": { "b" : [ 1 , "x y" , { } ] , "HKTimeZone" : "Asia/Tokyo" , "a\"\n" : "\u00e9\\ " , "HKWasUserEntered" : true }`)
	var got health.Sample
	if _, err := upload.Decode(bodyOf(s), now, func(s *health.Sample) { got = *s }); err != nil {
		t.Fatal(err)
	}
	const want = `{"a\"\u000a":"\u00e9\\ ","b":[1,"x y",{}]}`
	if got.Metadata != want || got.Zone != "Asia/Tokyo" || !got.UserEntered {
		t.Errorf("metadata %s\nwant     %s\nzone %q, user entered %v", got.Metadata, want, got.Zone, got.UserEntered)
	}
}
