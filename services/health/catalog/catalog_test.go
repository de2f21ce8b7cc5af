package catalog

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestConvert(t *testing.T) {
	for name, tc := range map[string]struct {
		kind, unit string
		value      float64
		want       float64
	}{
		"the canonical unit changes nothing":      {"BodyMass", "kg", 71.3, 71.3},
		"HealthKit's beats are UCUM's per minute": {"HeartRate", "count/min", 61, 61},
		"a rate in hertz":                         {"HeartRate", "Hz", 1.5, 90},
		"pounds":                                  {"BodyMass", "lb", 150, 68.0388555},
		"stones":                                  {"BodyMass", "st", 10, 63.5029318},
		"inches":                                  {"Height", "in", 70, 177.8},
		"UCUM inches":                             {"Height", "[in_i]", 70, 177.8},
		"feet":                                    {"Height", "ft", 6, 182.88},
		"miles":                                   {"DistanceWalkingRunning", "mi", 1, 1609.344},
		"kilometres":                              {"DistanceCycling", "km", 20.5, 20500},
		"yards":                                   {"DistanceSwimming", "yd", 25, 22.86},
		"kilojoules":                              {"ActiveEnergyBurned", "kJ", 4.184, 1},
		"large calories":                          {"ActiveEnergyBurned", "Cal", 350, 350},
		"small calories":                          {"ActiveEnergyBurned", "cal", 350000, 350},
		"joules":                                  {"ActiveEnergyBurned", "J", 4184, 1},
		"HealthKit's percent is a fraction":       {"OxygenSaturation", "%", 0.97, 97},
		"a fraction keeps its decimals without noise": {"OxygenSaturation", "%", 0.57, 57},
		"a fraction with many decimals":               {"BodyFatPercentage", "%", 0.1234567, 12.34567},
		"Fahrenheit":                                  {"BodyTemperature", "degF", 98.6, 37},
		"UCUM Fahrenheit":                             {"BodyTemperature", "[degF]", 98.6, 37},
		"Celsius":                                     {"BodyTemperature", "degC", 37.2, 37.2},
		"kelvin":                                      {"BodyTemperature", "K", 310.15, 37},
		"kilopascals":                                 {"BloodPressureSystolic", "kPa", 16, 120.0098521353},
		"millimoles with a molar mass":                {"BloodGlucose", "mmol<180.1558800000541>/L", 5.5, 99.085734},
		"millimoles as newer systems print the mass":  {"BloodGlucose", "mmol<180.15588000005408>/l", 5.5, 99.085734},
		"millimoles alone":                            {"BloodGlucose", "mmol/L", 5.5, 99.085734},
		"micrograms as HealthKit spells them":         {"DietaryVitaminD", "mcg", 12, 12},
		"micrograms as grams":                         {"DietaryVitaminD", "g", 0.000012, 12},
		"US fluid ounces":                             {"DietaryWater", "fl_oz_us", 8, 0.2365882365},
		"millilitres":                                 {"DietaryWater", "mL", 250, 0.25},
		"oxygen uptake as export.xml spells it":       {"VO2Max", "mL/min·kg", 41.2, 41.2},
		"oxygen uptake as HAE spells it":              {"VO2Max", "ml/(kg·min)", 41.2, 41.2},
		"oxygen uptake as FHIR spells it":             {"VO2Max", "mL/kg/min", 41.2, 41.2},
		"effort in METs":                              {"PhysicalEffort", "MET", 3, 3},
		"effort as HealthKit spells it":               {"PhysicalEffort", "kcal/hr·kg", 3, 3},
		"an effort score":                             {"WorkoutEffortScore", "appleEffortScore", 7, 7},
		"kilometres an hour":                          {"RunningSpeed", "km/hr", 36, 10},
		"miles an hour":                               {"WalkingSpeed", "mi/hr", 3, 1.34112},
		"hours as minutes":                            {"TimeInDaylight", "hr", 1.5, 90},
		"seconds as milliseconds":                     {"HeartRateVariabilitySDNN", "s", 0.0425, 42.5},
		"sound":                                       {"EnvironmentalAudioExposure", "dBASPL", 71, 71},
		"a reduction of sound":                        {"EnvironmentalSoundReduction", "dBHL", 12, 12},
		"microsiemens":                                {"ElectrodermalActivity", "mcS", 2.5, 2.5e-6},
		"insulin":                                     {"InsulinDelivery", "IU", 3, 3},
		"the body mass index is a count to HealthKit": {"BodyMassIndex", "count", 22.5, 22.5},
		"a flow in litres a second":                   {"PeakExpiratoryFlowRate", "L/s", 8, 480},
		"a depth":                                     {"UnderwaterDepth", "ft", 10, 3.048},
		"zero degrees Fahrenheit, where an offset would show": {"WaterTemperature", "degF", 32, 0},
	} {
		t.Run(name, func(t *testing.T) {
			kind, ok := Lookup("HKQuantityTypeIdentifier" + tc.kind)
			if !ok {
				t.Fatalf("no type %s", tc.kind)
			}
			got, err := kind.Convert(tc.value, tc.unit)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got-tc.want) > 1e-9*math.Max(1, math.Abs(tc.want)) {
				t.Errorf("%v %s = %v %s, want %v", tc.value, tc.unit, got, kind.Unit, tc.want)
			}
			fromBytes, err := kind.ConvertBytes(tc.value, []byte(tc.unit))
			if err != nil || fromBytes != got {
				t.Errorf("ConvertBytes: %v, %v; Convert: %v", fromBytes, err, got)
			}
		})
	}
}

func TestConvertRefusesForeignUnits(t *testing.T) {
	for name, tc := range map[string][2]string{
		"a heart rate in kilograms":        {"HKQuantityTypeIdentifierHeartRate", "kg"},
		"no unit":                          {"HKQuantityTypeIdentifierHeartRate", ""},
		"a spelling in another case":       {"HKQuantityTypeIdentifierBodyMass", "KG"},
		"moles of something else":          {"HKQuantityTypeIdentifierBloodGlucose", "mmol<96.1>/L"},
		"moles without an end":             {"HKQuantityTypeIdentifierBloodGlucose", "mmol<180.1558"},
		"a category value with a unit":     {"HKCategoryTypeIdentifierSleepAnalysis", "min"},
		"a very long unit":                 {"HKQuantityTypeIdentifierBloodGlucose", "mmol<180.15588000005408000000000000000000>/L"},
		"a body mass index in plain metre": {"HKQuantityTypeIdentifierBodyMassIndex", "m"},
	} {
		t.Run(name, func(t *testing.T) {
			kind, _ := Lookup(tc[0])
			if got, err := kind.Convert(1, tc[1]); !errors.Is(err, ErrUnknownUnit) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestLookupAndConvertBytesAllocateNothing(t *testing.T) {
	id, unit := []byte("HKQuantityTypeIdentifierBodyMass"), []byte("lb")
	glucose, moles := []byte("HKQuantityTypeIdentifierBloodGlucose"), []byte("mmol<180.1558800000541>/L")
	allocs := testing.AllocsPerRun(100, func() {
		kind, _ := LookupBytes(id)
		if _, err := kind.ConvertBytes(1, unit); err != nil {
			t.Fatal(err)
		}
		kind, _ = LookupBytes(glucose)
		if _, err := kind.ConvertBytes(1, moles); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestMolesOfGlucose(t *testing.T) {
	const molar = 180.15588000005408 // g/mol, as HealthKit has it
	glucose, _ := Lookup("HKQuantityTypeIdentifierBloodGlucose")
	for unit, want := range map[string]float64{ // of 5.5, in mg/dL; 0: no unit
		"mmol<180.1558800000541>/L": 5.5 * molar / 10, "mmol<180.15588>/l": 5.5 * molar / 10, "mmol<180.15>/L": 5.5 * molar / 10,
		"mmol<180.1558800000541>/dL": 5.5 * molar, "mmol<180.15588>/dl": 5.5 * molar,
		"mmol<180.1558800000541>/mL": 5.5 * molar * 100, "mmol<180.15588>/ml": 5.5 * molar * 100,
		"mmol<180.15" + digits(17) + ">/mL": 5.5 * molar * 100, "mmol<180.15" + digits(18) + ">/mL": 0, // 32 bytes, and one more
		"mmol<180.15588>/kg": 0, "mmol<180.15588": 0, "mmol<180.15x>/L": 0, "mmol<180.16>/L": 0, "mmol<18>/L": 0, "mmol/m": 0,
	} {
		got, err := glucose.Convert(5.5, unit)
		if want == 0 {
			if !errors.Is(err, ErrUnknownUnit) {
				t.Errorf("%s is taken: %v, %v", unit, got, err)
			}
			continue
		}
		if err != nil || math.Abs(got-want) > 1e-9*want {
			t.Errorf("5.5 %s are %v, %v; want %v", unit, got, err, want)
		}
	}
	if _, err := mass().Convert(1, "mmol<180.15588>/L"); !errors.Is(err, ErrUnknownUnit) {
		t.Errorf("a mass in moles: %v", err)
	}
}

func digits(n int) string { return strings.Repeat("1", n) }

func mass() *Type {
	t, _ := Lookup("HKQuantityTypeIdentifierBodyMass")
	return t
}

func TestARangeHasBothItsEnds(t *testing.T) {
	temperature, _ := Lookup("HKQuantityTypeIdentifierBodyTemperature") // 10 to 50 °C
	for value, want := range map[float64]bool{9.999: false, 10: true, 50: true, 50.001: false} {
		if got := temperature.InRange(value); got != want {
			t.Errorf("%v is in range: %v", value, got)
		}
	}
}

// What a code is called may have another first letter, and nothing else.
func TestNamesThatAreNoCode(t *testing.T) {
	sleep, _ := Lookup("HKCategoryTypeIdentifierSleepAnalysis")
	for name, want := range map[string]bool{
		"inBed": true, "InBed": true, "HKCategoryValueSleepAnalysisInBed": true, "HKCategoryValueSleepAnalysis": false, "HKCategoryValue": false,
		"": false, "inbed": false, "nBed": false, "HKCategoryValueSeverityMild": false, "H": false,
	} {
		if _, ok := sleep.CodeOf(name); ok != want {
			t.Errorf("%q is a code: %v", name, ok)
		}
	}
}
