package envelope

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// seriesSchema describes a sample that is many points: each type has its member.
func seriesSchema() *huma.Schema {
	kinds := make([]any, 0, len(series.Types()))
	for _, t := range series.Types() {
		kinds = append(kinds, t)
	}
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"uuid", "type", "start", "end"},
		Description: "a sample that is many points: it lies in its day and is deleted as any other; at most 200,000 points",
		Properties: map[string]*huma.Schema{
			"uuid":  uuidSchema(),
			"type":  {Type: huma.TypeString, Description: "HealthKit's identifier; another is kept as it was sent", MaxLength: ptr(upload.MaxTextBytes), Examples: kinds},
			"start": moment("RFC 3339 with an offset"), "end": moment("RFC 3339 with an offset; not before start"),
			"parent": {Type: huma.TypeString, Format: "uuid", Description: "the sample that it is of, a route's workout: who deletes that deletes the series"},
			"source": Ref("Source"),
			"metadata": {Type: huma.TypeObject, AdditionalProperties: true,
				Description: "as HealthKit has it; HKTimeZone goes before the envelope's timeZone"},
			"locations":         list("of a workout route (CLLocation)", locationSchema()),
			"beats":             list("of a heartbeat series, in turn (HKHeartbeatSeriesQuery)", beatSchema()),
			"electrocardiogram": ecgSchema(),
		},
		AdditionalProperties: true,
	}
}

func list(detail string, of *huma.Schema) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, MaxItems: ptr(series.MaxPoints), Description: detail, Items: of}
}

func moment(detail string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: detail}
}

func number(detail string, least, most float64) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Format: "double", Description: detail, Minimum: &least, Maximum: &most}
}

func locationSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"time", "latitude", "longitude"}, AdditionalProperties: true,
		Properties: map[string]*huma.Schema{
			"time":     moment("within the series, give or take a minute"),
			"latitude": number("degrees", -90, 90), "longitude": number("degrees", -180, 180),
			"altitude": number("metres", -12_000, 100_000), "horizontalAccuracy": number("metres; -1 where it is not known", -1, 1e7),
			"verticalAccuracy": number("metres; -1 where it is not known", -1, 1e7), "speed": number("metres a second; -1 where it is not known", -1, 1000),
			"speedAccuracy": number("metres a second; -1 where it is not known", -1, 1000), "course": number("degrees from north; -1 where it is not known", -1, 360),
			"courseAccuracy": number("degrees; -1 where it is not known", -1, 360),
		},
	}
}

func beatSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"time", "precededByGap"}, AdditionalProperties: true,
		Properties: map[string]*huma.Schema{
			"time":          {Type: huma.TypeNumber, Format: "double", Description: "seconds since the series began, kept to the digit: behind that of the beat before", Minimum: ptr(0.0)},
			"precededByGap": {Type: huma.TypeBoolean, Description: "beats were missed before it: no interval can be told"},
		},
	}
}

func ecgSchema() *huma.Schema {
	word := func(detail string, known ...any) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: detail + "; others may come", MaxLength: ptr(upload.MaxTextBytes), Examples: known}
	}
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"classification", "samplingFrequency", "unit", "leads"}, AdditionalProperties: true,
		Description: "of an electrocardiogram (HKElectrocardiogram): what the watch says of it, and its voltages",
		Properties: map[string]*huma.Schema{
			"classification":    word("what the watch made of it", "sinusRhythm", "atrialFibrillation", "inconclusivePoorReading"),
			"symptomsStatus":    word("whether the person had symptoms", "notSet", "none", "present"),
			"averageHeartRate":  number("beats a minute", 10, 400),
			"samplingFrequency": number("voltages a second", 1, 100_000),
			"unit":              {Type: huma.TypeString, Enum: []any{"uV", "mV", "V"}, Description: "of the voltages"},
			"leads": {Type: huma.TypeArray, MinItems: ptr(1), MaxItems: ptr(15), Items: &huma.Schema{
				Type: huma.TypeObject, Required: []string{"lead", "voltages"}, AdditionalProperties: true,
				Properties: map[string]*huma.Schema{
					"lead":     word("which one", "appleWatchSimilarToLeadI"),
					"voltages": list("null is one that was not measured", &huma.Schema{Type: huma.TypeNumber, Format: "double", Nullable: true}),
				},
			}},
		},
	}
}
