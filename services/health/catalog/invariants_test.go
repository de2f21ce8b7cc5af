package catalog

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCatalogIsWellFormed(t *testing.T) {
	loinc := map[string]string{}
	code := regexp.MustCompile(`^\d{3,6}-\d$`)
	kinds := map[Kind]int{}
	for _, kind := range All() {
		kinds[kind.Kind]++
		if found, ok := LookupBytes([]byte(kind.Identifier)); !ok || found != kind {
			t.Errorf("%s is not found by its identifier", kind.Identifier)
		}
		if kind.Display == "" || kind.MaxDuration < 24*time.Hour || kind.Min > kind.Max {
			t.Errorf("%s: name %q, longest %v, range %v to %v", kind.Identifier, kind.Display, kind.MaxDuration, kind.Min, kind.Max)
		}
		switch {
		case kind.Kind == Quantity && (kind.Unit == "" || kind.Aggregation == "" || kind.Values != nil || !strings.HasPrefix(kind.Identifier, "HKQuantityTypeIdentifier")):
			t.Errorf("%s is no quantity", kind.Identifier)
		case kind.Kind == Category && (kind.Unit != "" || kind.Aggregation != "" || len(kind.Values) == 0 || !strings.HasPrefix(kind.Identifier, "HKCategoryTypeIdentifier")):
			t.Errorf("%s is no category", kind.Identifier)
		}
		if kind.LOINC == "" {
			continue
		}
		if !code.MatchString(kind.LOINC) || !luhn(kind.LOINC) {
			t.Errorf("%s: %s is no LOINC code", kind.Identifier, kind.LOINC)
		}
		if other, twice := loinc[kind.LOINC]; twice {
			t.Errorf("%s and %s have the code %s", other, kind.Identifier, kind.LOINC)
		}
		loinc[kind.LOINC] = kind.Identifier
	}
	if kinds[Quantity] != 120 || kinds[Category] != 69 {
		t.Errorf("the catalog has %v", kinds)
	}
}

// luhn checks the last digit of a LOINC code (mod 10).
func luhn(code string) bool {
	digits, check, _ := strings.Cut(code, "-")
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return (10-sum%10)%10 == int(check[0]-'0')
}

// Every spelling of a dimension converts there and back: the factor of a unit
// and of the canonical one belong to the same dimension.
func TestEverySpellingConverts(t *testing.T) {
	for _, kind := range All() {
		if kind.Kind == Category {
			continue
		}
		if v, err := kind.Convert(kind.Max, kind.Unit); err != nil || v != kind.Max && kind.Unit != "%" {
			t.Errorf("%s: the canonical unit %s changes %v into %v, %v", kind.Identifier, kind.Unit, kind.Max, v, err)
		}
		for _, u := range kind.units.units {
			one, err := kind.Convert(1, u.name)
			two, _ := kind.Convert(2, u.name)
			three, _ := kind.Convert(3, u.name)
			if err != nil || math.Abs((three-two)-(two-one)) > 1e-9*math.Max(1, math.Abs(three)) || two <= one {
				t.Errorf("%s in %s: %v, %v, %v, %v", kind.Identifier, u.name, one, two, three, err)
			}
		}
	}
}

// A fraction that is written per hundred has no digits that nobody sent: 0.57
// times 100 is 56.99999999999999.
func TestAPercentageHasTheDigitsOfItsFraction(t *testing.T) {
	kind, _ := Lookup("HKQuantityTypeIdentifierOxygenSaturation")
	for fraction, want := range map[float64]float64{0.07: 7, 0.29: 29, 0.57: 57, 0.974: 97.4, 1.1: 110, 0: 0, -0.57: -57} {
		if got, err := kind.Convert(fraction, "%"); err != nil || got != want {
			t.Errorf("%v is %v, %v; want %v", fraction, got, err, want)
		}
	}
}

func TestNoSpellingStandsTwiceInADimension(t *testing.T) {
	for _, kind := range All() {
		if kind.units == nil {
			continue
		}
		seen := map[string]bool{}
		for _, u := range kind.units.units {
			if seen[u.name] {
				t.Errorf("%s has the unit %s twice", kind.Identifier, u.name)
			}
			seen[u.name] = true
		}
	}
}

func TestInRange(t *testing.T) {
	for name, tc := range map[string]struct {
		kind  string
		value float64
		want  bool
	}{
		"a calm heart":                       {"HKQuantityTypeIdentifierHeartRate", 48, true},
		"no heart beats a thousand times":    {"HKQuantityTypeIdentifierHeartRate", 1000, false},
		"a negative rate":                    {"HKQuantityTypeIdentifierHeartRate", -1, false},
		"not a number":                       {"HKQuantityTypeIdentifierHeartRate", math.NaN(), false},
		"infinity":                           {"HKQuantityTypeIdentifierStepCount", math.Inf(1), false},
		"all of the blood is saturated":      {"HKQuantityTypeIdentifierOxygenSaturation", 100, true},
		"more than all":                      {"HKQuantityTypeIdentifierOxygenSaturation", 100.1, false},
		"a stage of sleep":                   {"HKCategoryTypeIdentifierSleepAnalysis", 5, true},
		"a stage that does not exist":        {"HKCategoryTypeIdentifierSleepAnalysis", 6, false},
		"half a stage":                       {"HKCategoryTypeIdentifierSleepAnalysis", 2.5, false},
		"an enumeration that begins at one":  {"HKCategoryTypeIdentifierMenstrualFlow", 0, false},
		"a depth a little above the surface": {"HKQuantityTypeIdentifierUnderwaterDepth", -0.2, true},
	} {
		t.Run(name, func(t *testing.T) {
			kind, _ := Lookup(tc.kind)
			if got := kind.InRange(tc.value); got != tc.want {
				t.Errorf("InRange(%v) = %v", tc.value, got)
			}
		})
	}
}

func TestCodeOf(t *testing.T) {
	for name, tc := range map[string]struct {
		kind, value string
		want        int
		ok          bool
	}{
		"a constant of an export":                 {"SleepAnalysis", "HKCategoryValueSleepAnalysisAsleepCore", 3, true},
		"REM keeps its capitals":                  {"SleepAnalysis", "HKCategoryValueSleepAnalysisAsleepREM", 5, true},
		"the constant before iOS 16":              {"SleepAnalysis", "HKCategoryValueSleepAnalysisAsleep", 1, true},
		"the name in Swift":                       {"SleepAnalysis", "inBed", 0, true},
		"a value of another enumeration":          {"SleepAnalysis", "HKCategoryValueSeverityMild", 0, false},
		"a name of no value":                      {"SleepAnalysis", "napping", 0, false},
		"nothing":                                 {"SleepAnalysis", "", 0, false},
		"standing":                                {"AppleStandHour", "HKCategoryValueAppleStandHourStood", 0, true},
		"idling":                                  {"AppleStandHour", "HKCategoryValueAppleStandHourIdle", 1, true},
		"no value but the sample":                 {"MindfulSession", "HKCategoryValueNotApplicable", 0, true},
		"a severity":                              {"Headache", "HKCategoryValueSeverityModerate", 3, true},
		"the flow until iOS 18":                   {"MenstrualFlow", "HKCategoryValueMenstrualFlowHeavy", 4, true},
		"the flow since iOS 18":                   {"MenstrualFlow", "HKCategoryValueVaginalBleedingHeavy", 4, true},
		"a test until iOS 13":                     {"OvulationTestResult", "HKCategoryValueOvulationTestResultPositive", 2, true},
		"loud surroundings until iOS 14":          {"AudioExposureEvent", "HKCategoryValueAudioExposureEventLoudEnvironment", 1, true},
		"loud surroundings":                       {"AudioExposureEvent", "HKCategoryValueEnvironmentalAudioExposureEventMomentaryLimit", 1, true},
		"a presence":                              {"SleepChanges", "HKCategoryValuePresenceNotPresent", 1, true},
		"the prefix alone is no value of a class": {"SleepAnalysis", "HKCategoryValue", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			kind, ok := Lookup("HKCategoryTypeIdentifier" + tc.kind)
			if !ok {
				t.Fatal("no such type")
			}
			if got, ok := kind.CodeOf(tc.value); got != tc.want || ok != tc.ok {
				t.Errorf("CodeOf(%q) = %v, %v", tc.value, got, ok)
			}
		})
	}
}

func TestUnknownTypesAreNotInTheCatalog(t *testing.T) {
	for _, id := range []string{"", "HKWorkoutTypeIdentifier", "HKQuantityTypeIdentifier", "hkquantitytypeidentifierheartrate"} {
		if kind, ok := Lookup(id); ok {
			t.Errorf("%q is %+v", id, kind)
		}
	}
}

// mayBeZero are the discrete quantities of which a device measures 0 where there
// is none of it, or at rest. No vital sign is among them.
var mayBeZero = []string{
	"AppleSleepingBreathingDisturbances", "AppleWalkingSteadiness", "AtrialFibrillationBurden", "BloodAlcoholContent", "CrossCountrySkiingSpeed",
	"CyclingCadence", "CyclingPower", "CyclingSpeed", "ElectrodermalActivity", "EnvironmentalAudioExposure", "EnvironmentalSoundReduction",
	"EstimatedWorkoutEffortScore", "HeadphoneAudioExposure", "HeartRateRecoveryOneMinute", "PaddleSportsSpeed", "PhysicalEffort", "RowingSpeed",
	"RunningPower", "RunningSpeed", "RunningVerticalOscillation", "SixMinuteWalkTestDistance", "UVExposure", "UnderwaterDepth",
	"WalkingAsymmetryPercentage", "WalkingDoubleSupportPercentage", "WaterTemperature", "WorkoutEffortScore",
}

func TestZeroIsAMeasurementOnlyWhereItCanBeOne(t *testing.T) {
	var zero []string
	for _, kind := range All() {
		switch {
		case kind.Kind != Quantity:
		case kind.Aggregation == Cumulative:
			if kind.Min != 0 {
				t.Errorf("%s: of what is summed there may be none; the least is %v", kind.Identifier, kind.Min)
			}
		case kind.InRange(0):
			zero = append(zero, strings.TrimPrefix(kind.Identifier, "HKQuantityTypeIdentifier"))
		}
	}
	slices.Sort(zero)
	if diff := cmp.Diff(mayBeZero, zero); diff != "" {
		t.Errorf("discrete quantities that take 0 (-want +got):\n%s", diff)
	}
}
