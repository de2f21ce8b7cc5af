package health

import (
	"strings"
	"testing"
)

func TestParseUUID(t *testing.T) {
	const text = "bdac71f6-3398-4bdd-a56c-7bd50988d87a"
	for name, s := range map[string]string{"lower case": text, "upper case, as HealthKit writes it": strings.ToUpper(text)} {
		t.Run(name, func(t *testing.T) {
			u, err := ParseUUID(s)
			if err != nil || u.String() != text {
				t.Errorf("%v, %v", u, err)
			}
		})
	}
	for name, s := range map[string]string{
		"empty": "", "no dashes": strings.ReplaceAll(text, "-", ""), "braces": "{" + text + "}", "short": text[1:], "no hexadecimal digit": "g" + text[1:],
		"dashes elsewhere": "bdac71f63-398-4bdd-a56c-7bd50988d87a", "a space": " " + text[1:], "many bytes a rune": strings.Repeat("é", 18),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if u, err := ParseUUID(s); err == nil || (s != "" && strings.Contains(err.Error(), s)) {
				t.Errorf("%v, %v", u, err)
			}
		})
	}
}

func TestDeriveUUID(t *testing.T) {
	base := Sample{Type: "HKQuantityTypeIdentifierStepCount", Start: 1000, End: 2000, OriginalValue: 12, OriginalUnit: "count",
		Source: Source{BundleID: "com.apple.health", Name: "Watch", ProductType: "Watch7,5"}}
	id := DeriveUUID(&base)
	if id[6]>>4 != 8 || id[8]>>6 != 2 {
		t.Errorf("%s is not of version 8, variant 10", id)
	}
	// The identity of a sample is for ever: it is stored, and the next import
	// must find it again.
	if got := id.String(); got != "a52137c1-e6ad-86c6-aac4-36d74f0c8c59" {
		t.Errorf("the derivation changed: %s", got)
	}
	same := base
	same.Zone, same.Value, same.Metadata, same.Source.OSVersion, same.UserEntered = "Asia/Tokyo", 99, `{"a":1}`, "12.1", true
	if DeriveUUID(&same) != id {
		t.Error("the identity depends on more than the record's content")
	}
	for name, change := range map[string]func(*Sample){
		"type": func(s *Sample) { s.Type += "2" }, "start": func(s *Sample) { s.Start++ }, "end": func(s *Sample) { s.End++ },
		"value": func(s *Sample) { s.OriginalValue++ }, "unit": func(s *Sample) { s.OriginalUnit = "m" }, "raw": func(s *Sample) { s.Raw = "{}" },
		"bundle": func(s *Sample) { s.Source.BundleID = "x" }, "name": func(s *Sample) { s.Source.Name = "x" }, "product": func(s *Sample) { s.Source.ProductType = "x" },
		"a text that moves to its neighbour": func(s *Sample) { s.Type, s.OriginalUnit = s.Type+"c", "ount" },
	} {
		t.Run("another "+name, func(t *testing.T) {
			other := base
			change(&other)
			if DeriveUUID(&other) == id {
				t.Error("the same identity")
			}
		})
	}
}
