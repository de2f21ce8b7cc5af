package fhir

import (
	"strings"

	"github.com/clarity-loop/clarity/services/health/catalog"
)

const loincSystem = "http://loinc.org"

// isHealthKit says whether a coding system is Apple's, as Stanford's
// HealthKitOnFHIR and Microsoft's HealthKit to FHIR name it.
func isHealthKit(system string) bool {
	switch strings.TrimPrefix(strings.TrimPrefix(system, "https://"), "http://") {
	case "developer.apple.com/documentation/healthkit", "com.apple.health":
		return true
	}
	return false
}

// typeOf finds the type that a concept means: by HealthKit's identifier, which
// is exact, else by LOINC.
func typeOf(c concept) *catalog.Type {
	for _, code := range c.Coding {
		if t, ok := catalog.Lookup(code.Code); ok {
			return t
		}
	}
	for _, code := range c.Coding {
		if code.System != loincSystem || code.Code == "" {
			continue
		}
		wanted := code.Code
		if general, ok := otherLOINC[wanted]; ok {
			wanted = general
		}
		for _, t := range catalog.All() {
			if t.LOINC == wanted {
				return t
			}
		}
	}
	return nil
}

// otherLOINC are codes that mean what a type of the catalog measures, beside
// the one code the catalog gives it.
var otherLOINC = map[string]string{
	"2708-6":  "59408-5", // oxygen saturation in arterial blood
	"3141-9":  "29463-7", // body weight, measured
	"8328-7":  "8310-5",  // axillary temperature
	"8331-1":  "8310-5",  // oral temperature
	"3137-7":  "8302-2",  // body height, measured
	"2339-0":  "41653-7", // glucose in blood
	"41950-7": "55423-8", // steps in 24 hours
}
