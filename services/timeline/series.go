package timeline

import (
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/series"
)

// EncodeSeries is the object that holds a series: its JSON, as it was sent.
func EncodeSeries(of health.UUID, content []byte) []byte {
	return seal(kindSeries, of[:], content)
}

func countSeries(samples []health.Sample) (n int) {
	for i := range samples {
		if samples[i].Raw == "" {
			continue
		}
		if _, ok := series.Of(&samples[i]); ok {
			n++
		}
	}
	return n
}
