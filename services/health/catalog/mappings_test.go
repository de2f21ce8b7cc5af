package catalog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// referenceFolder finds the files nobody here made.
func referenceFolder(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("CLARITY_REFERENCE"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		for _, candidate := range []string{filepath.Join(dir, "shared", "reference"), filepath.Join(dir, "..", "shared", "reference")} {
			if _, err := os.Stat(candidate); err == nil {
				return candidate
			}
		}
	}
	t.Skip("the reference files are not here: set CLARITY_REFERENCE to their folder")
	return ""
}

// stanfordDifferences is where the catalog differs from HealthKitOnFHIR's
// table on purpose: type (after HKQuantityTypeIdentifier), theirs, ours, why.
var stanfordDifferences = []struct{ kind, theirs, ours, why string }{
	{"BodyMass", "[lb_av]", "kg", "one SI unit a dimension; pounds are converted"},
	{"LeanBodyMass", "[lb_av]", "kg", "one SI unit a dimension; pounds are converted"},
	{"Height", "[in_i]", "cm", "one SI unit a dimension; inches are converted"},
	{"WaistCircumference", "in", "cm", "one SI unit a dimension, and UCUM spells the inch [in_i]"},
	{"CyclingSpeed", "km/h", "m/s", "every speed in one unit"},
	{"RunningSpeed", "km/h", "m/s", "every speed in one unit"},
	{"DietaryWater", "l", "L", "UCUM has both; every volume in one spelling"},
	{"InsulinDelivery", "IU", "[iU]", "IU is not UCUM"},
	{"PhysicalEffort", "kcal/hr/kg", "kcal/h/kg", "UCUM spells the hour h"},
	{"EnvironmentalAudioExposure", "dB(SPL)", "dB[SPL]", "UCUM spells the sound pressure level in brackets"},
	{"HeadphoneAudioExposure", "dB(SPL)", "dB[SPL]", "UCUM spells the sound pressure level in brackets"},
	{"EnvironmentalSoundReduction", "dB(HL)", "dB", "a difference of levels has no reference level, and UCUM has no hearing level"},
	{"DietaryFiber", "LP203183-1", "", "a LOINC part, not the code of an observation"},
}

// microsoftDifferences is the same for Microsoft's HealthKit to FHIR table.
var microsoftDifferences = []struct{ kind, theirs, ours, why string }{
	{"BloodPressureSystolic", "mmHg", "mm[Hg]", "UCUM spells it mm[Hg]"},
	{"BloodPressureDiastolic", "mmHg", "mm[Hg]", "UCUM spells it mm[Hg]"},
	{"StepCount", "{tot}", "{count}", "one annotation for every count"},
	{"AppleExerciseTime", "ms", "min", "HealthKit writes minutes; every such time in one unit"},
	{"AppleStandTime", "ms", "min", "HealthKit writes minutes; every such time in one unit"},
	{"EnvironmentalAudioExposure", "B(SPL)", "dB[SPL]", "a decibel is not a bel, and UCUM has brackets"},
}

type mappedCoding struct{ System, Code string }

func loincCodes(codings []mappedCoding) (codes []string) {
	for _, c := range codings {
		if strings.Contains(c.System, "loinc") {
			codes = append(codes, c.Code)
		}
	}
	return codes
}

func readReference(t *testing.T, to any, path ...string) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(append([]string{referenceFolder(t)}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file, to); err != nil {
		t.Fatal(err)
	}
}

func TestCatalogAgreesWithHealthKitOnFHIR(t *testing.T) {
	var table struct {
		HKQuantitySamples map[string]struct {
			Codings []mappedCoding
			Unit    struct{ HKUnit, Code string }
		}
		HKCategorySamples map[string]struct{ Codings []mappedCoding }
	}
	readReference(t, &table, "health", "mappings", "HealthKitOnFHIR_HKSampleMapping.json")
	if len(table.HKQuantitySamples) != 119 || len(table.HKCategorySamples) != 68 {
		t.Fatalf("the table has %d quantities and %d categories", len(table.HKQuantitySamples), len(table.HKCategorySamples))
	}
	found := map[string]string{} // differences: kind+theirs → ours
	differs := func(kind, theirs, ours string) { found[kind+"|"+theirs] = ours }
	for id, row := range table.HKQuantitySamples {
		kind, ok := Lookup(id)
		if !ok {
			t.Errorf("%s is not in the catalog", id)
			continue
		}
		name := strings.TrimPrefix(id, "HKQuantityTypeIdentifier")
		if row.Unit.Code != "" && row.Unit.Code != kind.Unit {
			differs(name, row.Unit.Code, kind.Unit)
		}
		// Their HealthKit unit must convert, whatever their UCUM code is.
		if _, err := kind.Convert(1, row.Unit.HKUnit); err != nil {
			t.Errorf("%s does not take HealthKit's unit %q", id, row.Unit.HKUnit)
		}
		theirs := loincCodes(row.Codings)
		if (kind.LOINC == "") != (len(theirs) == 0) || kind.LOINC != "" && !slices.Contains(theirs, kind.LOINC) {
			differs(name, strings.Join(theirs, ","), kind.LOINC)
		}
	}
	for id := range table.HKCategorySamples {
		if kind, ok := Lookup(id); !ok || kind.Kind != Category {
			t.Errorf("%s is not in the catalog", id)
		}
	}
	for _, d := range stanfordDifferences {
		if got, ok := found[d.kind+"|"+d.theirs]; !ok || got != d.ours || d.why == "" {
			t.Errorf("the difference %+v is not there: %q", d, got)
		}
		delete(found, d.kind+"|"+d.theirs)
	}
	for kind, ours := range found {
		t.Errorf("an unexplained difference: %s, ours %q", kind, ours)
	}
}

func TestCatalogAgreesWithMicrosoft(t *testing.T) {
	var table map[string]struct {
		Code          struct{ Coding []mappedCoding }
		ValueQuantity struct{ Unit, Code string }
	}
	readReference(t, &table, "health", "mappings", "microsoft_DefaultObservationFactoryConfig.json")
	found := map[string]string{}
	for id, row := range table {
		name, isQuantity := strings.CutPrefix(id, "HKQuantityTypeIdentifier")
		if !isQuantity {
			continue // the blood pressure panel; fhir reads its components
		}
		kind, ok := Lookup(id)
		if !ok {
			t.Errorf("%s is not in the catalog", id)
			continue
		}
		if row.ValueQuantity.Code != kind.Unit {
			found[name+"|"+row.ValueQuantity.Code] = kind.Unit
		}
		if _, err := kind.Convert(1, row.ValueQuantity.Unit); err != nil {
			t.Errorf("%s does not take the unit %q", id, row.ValueQuantity.Unit)
		}
		if theirs := loincCodes(row.Code.Coding); kind.LOINC != "" && len(theirs) > 0 && !slices.Contains(theirs, kind.LOINC) {
			t.Errorf("%s: LOINC %s, theirs %v", id, kind.LOINC, theirs)
		}
	}
	for _, d := range microsoftDifferences {
		if got, ok := found[d.kind+"|"+d.theirs]; !ok || got != d.ours || d.why == "" {
			t.Errorf("the difference %+v is not there: %q", d, got)
		}
		delete(found, d.kind+"|"+d.theirs)
	}
	for kind, ours := range found {
		t.Errorf("an unexplained difference: %s, ours %q", kind, ours)
	}
}
