package fhir

import (
	"encoding/json"
	"strings"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/internal/jsontext"
	"github.com/clarity-loop/clarity/services/health/formats/record"
)

// An extension of Stanford's HealthKitOnFHIR: nested, named by its URL.
type extension struct {
	URL          string
	Extension    []extension
	ValueString  *string
	ValueBoolean *bool
	ValueDecimal *json.Number
	ValueInteger *json.Number
	ValueCoding  *coding
	ValueQty     json.RawMessage `json:"valueQuantity"`
	ValueTime    *string         `json:"valueDateTime"`
}

// extensions is what they say of a sample.
type extensions struct {
	source      health.Source
	zone        string // of the sample
	uploadZone  string
	userEntered bool
	metadata    []jsontext.Member
}

func readExtensions(list []extension) extensions {
	var e extensions
	for i := range list {
		e.read(&list[i], 0)
	}
	if e.source.ProductType == "" {
		e.source.ProductType = record.ProductOfName(e.source.Name)
	}
	return e
}

// read takes one extension and what is nested in it, by the end of its URL.
// The sourceRevision wins over the sourceDevice: it is what HealthKit merges by.
func (e *extensions) read(x *extension, depth int) {
	if depth > 4 {
		return
	}
	if _, key, ok := strings.Cut(x.URL, "/metadata/"); ok {
		e.meta(key, x)
		return
	}
	if x.ValueString != nil {
		value := *x.ValueString
		switch {
		case strings.HasSuffix(x.URL, "/sourceRevision/source/name"):
			e.source.Name = value
		case strings.HasSuffix(x.URL, "/sourceRevision/source/bundleIdentifier"):
			e.source.BundleID = value
		case strings.HasSuffix(x.URL, "/sourceRevision/productType"):
			e.source.ProductType = value
		case strings.HasSuffix(x.URL, "/sourceRevision/OSVersion"):
			e.source.OSVersion = value
		case strings.HasSuffix(x.URL, "/sourceDevice/hardwareVersion") && e.source.ProductType == "":
			e.source.ProductType = value
		case strings.HasSuffix(x.URL, "/sampleUploadTimeZone"):
			e.uploadZone = value
		}
	}
	for i := range x.Extension {
		e.read(&x.Extension[i], depth+1)
	}
}

func (e *extensions) meta(key string, x *extension) {
	switch {
	case key == "HKTimeZone" && x.ValueString != nil:
		e.zone = *x.ValueString
		return
	case key == "HKWasUserEntered":
		e.userEntered = x.ValueBoolean != nil && *x.ValueBoolean || x.ValueDecimal != nil && *x.ValueDecimal == "1" ||
			x.ValueInteger != nil && *x.ValueInteger == "1"
		return
	}
	value := ""
	switch {
	case x.ValueString != nil:
		value = string(jsontext.AppendString(nil, *x.ValueString))
	case x.ValueTime != nil:
		value = string(jsontext.AppendString(nil, *x.ValueTime))
	case x.ValueBoolean != nil && *x.ValueBoolean:
		value = "true"
	case x.ValueBoolean != nil:
		value = "false"
	case x.ValueDecimal != nil:
		value = x.ValueDecimal.String()
	case x.ValueInteger != nil:
		value = x.ValueInteger.String()
	case x.ValueCoding != nil:
		value = jsontext.MetadataValue(key, x.ValueCoding.Code)
	case len(x.ValueQty) > 0:
		value = jsontext.Compact(x.ValueQty)
	}
	if value != "" {
		e.metadata = append(e.metadata, jsontext.Member{Name: key, JSON: value})
	}
}
