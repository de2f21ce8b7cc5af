package timeline

import (
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
)

const (
	sleepType = "HKCategoryTypeIdentifierSleepAnalysis"
	newType   = "HKCategoryTypeIdentifierDaydreaming"
)

// tomorrow is a catalog that knows a stage of sleep and a type more than ours.
func tomorrow(identifier string) (*catalog.Type, bool) {
	known, ok := catalog.Lookup(identifier)
	if identifier == newType {
		known, ok = catalog.Lookup("HKCategoryTypeIdentifierMindfulSession")
	}
	if !ok {
		return nil, false
	}
	copied := *known
	if identifier == sleepType {
		copied.Values = append(append([]catalog.Value{}, known.Values...), catalog.Value{Code: 6, Name: "asleepDreaming"})
	}
	return &copied, true
}

func rawSample(id byte, kind string, value float64, raw string) health.Sample {
	return health.Sample{UUID: health.UUID{id}, Type: kind, Start: 1000, End: 2000, Zone: "UTC", Value: value, OriginalValue: value, Raw: raw}
}

func TestWhatWasKeptRawIsReadOnceItIsKnown(t *testing.T) {
	heart := rawSample(4, "HKQuantityTypeIdentifierHeartRate", 61, `{"value":61,"device":"x"}`)
	heart.OriginalUnit, heart.Unit = "count/min", "/min"
	long := rawSample(7, newType, 0, `{"value":0}`)
	long.End = long.Start + 40*24*3600*1000
	chunk, _, err := Merge(Chunk{}, []health.Sample{
		rawSample(1, sleepType, 3, ""),
		rawSample(2, sleepType, 6, `{"value":6}`),
		rawSample(3, sleepType, 7, `{"value":7}`),
		heart,
		rawSample(5, newType, 0, `{"value":0}`),
		rawSample(6, newType, 0, `{"value":{"vividness":3}}`),
		long,
	}, Tombstones{})
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := Encode(chunk)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		known                lookup
		sleep, daydreams, of int
	}{
		"a catalog without them": {catalog.Lookup, 1, 3, 5},
		"a later one":            {tomorrow, 2, 1, 4},
	} {
		t.Run(name, func(t *testing.T) {
			v := viewBy(tc.known, []Chunk{stored})
			sleep, daydreams, beats := v.Samples(sleepType), v.Samples(newType), v.Samples(heart.Type)
			if len(sleep) != tc.sleep || len(daydreams) != tc.daydreams || len(beats) != 1 || v.Len() != tc.of {
				t.Fatalf("%d of sleep, %d of the new type, %d beats; %d in all", len(sleep), len(daydreams), len(beats), v.Len())
			}
			if last := sleep[len(sleep)-1]; tc.sleep == 2 && last.Value != 6 {
				t.Errorf("the new stage is %+v", last)
			}
			if beats[0].Value != 61 || beats[0].Unit != "/min" {
				t.Errorf("a known value with an unknown member is %+v", beats[0])
			}
		})
	}
	if len(stored.Samples) != 7 {
		t.Errorf("the chunk keeps %d of 7", len(stored.Samples))
	}
}
