package catalog

import "time"

// quantityGroups lists the quantity tables in catalog order.
func quantityGroups() [][]quantityRow {
	return [][]quantityRow{activityTypes(), vitalsTypes(), mobilityTypes(), nutritionTypes()}
}

// An enumeration is one of HealthKit's HKCategoryValue types.
type enumeration struct {
	name   string // after HKCategoryValue
	values []Value
}

// presentWithoutValue is HKCategoryValueNotApplicable: that there is a sample
// says it all.
var presentWithoutValue = enumeration{"", []Value{{0, "notApplicable"}}}

// The enumerations that more than one type uses.
var (
	severity = enumeration{"Severity", []Value{
		{0, "unspecified"}, {1, "notPresent"}, {2, "mild"}, {3, "moderate"}, {4, "severe"},
	}}
	presence = enumeration{"Presence", []Value{{0, "present"}, {1, "notPresent"}}}
	bleeding = enumeration{"VaginalBleeding", []Value{
		{1, "unspecified"}, {2, "light"}, {3, "medium"}, {4, "heavy"}, {5, "none"},
	}}
)

// renamedConstants maps a constant that HealthKit gave up to the present one
// (both without HKCategoryValue).
var renamedConstants = map[string]string{
	"SleepAnalysisAsleep":               "SleepAnalysisAsleepUnspecified",                // until iOS 16
	"OvulationTestResultPositive":       "OvulationTestResultLuteinizingHormoneSurge",    // until iOS 13
	"AudioExposureEventLoudEnvironment": "EnvironmentalAudioExposureEventMomentaryLimit", // until iOS 14
	"MenstrualFlowUnspecified":          "VaginalBleedingUnspecified",                    // until iOS 18
	"MenstrualFlowLight":                "VaginalBleedingLight",
	"MenstrualFlowMedium":               "VaginalBleedingMedium",
	"MenstrualFlowHeavy":                "VaginalBleedingHeavy",
	"MenstrualFlowNone":                 "VaginalBleedingNone",
}

func category(name, display string, e enumeration, longest time.Duration) Type {
	return Type{
		Identifier: "HKCategoryTypeIdentifier" + name, Display: display, Kind: Category, Values: e.values, enum: e.name,
		Min: float64(e.values[0].Code), Max: float64(e.values[len(e.values)-1].Code), MaxDuration: longest,
	}
}

// Durations of states that last: HealthKit bounds none of these; we do, so
// that a wrong year is found.
const (
	oneYear    = 366 * 24 * time.Hour
	manyYears  = 30 * oneYear
	shortEvent = healthKitLimit
)

// categoryTypes are all of HealthKit's category types.
func categoryTypes() []Type {
	return append(append(dailyCategories(), reproductiveCategories()...), symptomCategories()...)
}

func dailyCategories() []Type {
	return []Type{
		category("SleepAnalysis", "Sleep Analysis", enumeration{"SleepAnalysis", []Value{
			{0, "inBed"}, {1, "asleepUnspecified"}, {2, "awake"}, {3, "asleepCore"}, {4, "asleepDeep"}, {5, "asleepREM"},
		}}, shortEvent),
		category("AppleStandHour", "Apple Stand Hour", enumeration{"AppleStandHour", []Value{{0, "stood"}, {1, "idle"}}}, shortEvent),
		category("MindfulSession", "Mindful Session", presentWithoutValue, shortEvent),
		category("HandwashingEvent", "Handwashing Event", presentWithoutValue, shortEvent),
		category("ToothbrushingEvent", "Toothbrushing Event", presentWithoutValue, shortEvent),
		category("HighHeartRateEvent", "High Heart Rate Event", presentWithoutValue, shortEvent),
		category("LowHeartRateEvent", "Low Heart Rate Event", presentWithoutValue, shortEvent),
		category("IrregularHeartRhythmEvent", "Irregular Heart Rhythm Event", presentWithoutValue, shortEvent),
		category("LowCardioFitnessEvent", "Low Cardio Fitness Event", enumeration{"LowCardioFitnessEvent", []Value{{1, "lowFitness"}}}, oneYear),
		category("HypertensionEvent", "Hypertension Event", presentWithoutValue, oneYear),
		category("SleepApneaEvent", "Sleep Apnea Event", presentWithoutValue, oneYear),
		category("AppleWalkingSteadinessEvent", "Apple Walking Steadiness Event", enumeration{"AppleWalkingSteadinessEvent", []Value{
			{1, "initialLow"}, {2, "initialVeryLow"}, {3, "repeatLow"}, {4, "repeatVeryLow"},
		}}, oneYear),
		category("AudioExposureEvent", "Environmental Audio Exposure Event", enumeration{"EnvironmentalAudioExposureEvent", []Value{{1, "momentaryLimit"}}}, shortEvent),
		category("HeadphoneAudioExposureEvent", "Headphone Audio Exposure Event", enumeration{"HeadphoneAudioExposureEvent", []Value{{1, "sevenDayLimit"}}}, oneYear),
	}
}

func reproductiveCategories() []Type {
	pregnancyTest := []Value{{1, "negative"}, {2, "positive"}, {3, "indeterminate"}}
	return []Type{
		category("MenstrualFlow", "Menstrual Flow", bleeding, shortEvent),
		category("BleedingAfterPregnancy", "Bleeding After Pregnancy", bleeding, shortEvent),
		category("BleedingDuringPregnancy", "Bleeding During Pregnancy", bleeding, shortEvent),
		category("IntermenstrualBleeding", "Intermenstrual Bleeding", presentWithoutValue, shortEvent),
		category("InfrequentMenstrualCycles", "Infrequent Menstrual Cycles", presentWithoutValue, oneYear),
		category("IrregularMenstrualCycles", "Irregular Menstrual Cycles", presentWithoutValue, oneYear),
		category("PersistentIntermenstrualBleeding", "Persistent Intermenstrual Bleeding", presentWithoutValue, oneYear),
		category("ProlongedMenstrualPeriods", "Prolonged Menstrual Periods", presentWithoutValue, oneYear),
		category("CervicalMucusQuality", "Cervical Mucus Quality", enumeration{"CervicalMucusQuality", []Value{
			{1, "dry"}, {2, "sticky"}, {3, "creamy"}, {4, "watery"}, {5, "eggWhite"},
		}}, shortEvent),
		category("OvulationTestResult", "Ovulation Test Result", enumeration{"OvulationTestResult", []Value{
			{1, "negative"}, {2, "luteinizingHormoneSurge"}, {3, "indeterminate"}, {4, "estrogenSurge"},
		}}, shortEvent),
		category("PregnancyTestResult", "Pregnancy Test Result", enumeration{"PregnancyTestResult", pregnancyTest}, shortEvent),
		category("ProgesteroneTestResult", "Progesterone Test Result", enumeration{"ProgesteroneTestResult", pregnancyTest}, shortEvent),
		category("Pregnancy", "Pregnancy", presentWithoutValue, oneYear),
		category("Lactation", "Lactation", presentWithoutValue, manyYears),
		category("Contraceptive", "Contraceptive", enumeration{"Contraceptive", []Value{
			{1, "unspecified"}, {2, "implant"}, {3, "injection"}, {4, "intrauterineDevice"}, {5, "intravaginalRing"}, {6, "oral"}, {7, "patch"},
		}}, manyYears),
		category("SexualActivity", "Sexual Activity", presentWithoutValue, shortEvent),
	}
}

func symptomCategories() []Type {
	types := []Type{
		category("AppetiteChanges", "Appetite Changes", enumeration{"AppetiteChanges", []Value{
			{0, "unspecified"}, {1, "noChange"}, {2, "decreased"}, {3, "increased"},
		}}, oneYear),
		category("MoodChanges", "Mood Changes", presence, oneYear),
		category("SleepChanges", "Sleep Changes", presence, oneYear),
	}
	for _, s := range [...][2]string{
		{"AbdominalCramps", "Abdominal Cramps"}, {"Acne", "Acne"}, {"BladderIncontinence", "Bladder Incontinence"},
		{"Bloating", "Bloating"}, {"BreastPain", "Breast Pain"}, {"ChestTightnessOrPain", "Chest Tightness or Pain"},
		{"Chills", "Chills"}, {"Constipation", "Constipation"}, {"Coughing", "Coughing"}, {"Diarrhea", "Diarrhea"},
		{"Dizziness", "Dizziness"}, {"DrySkin", "Dry Skin"}, {"Fainting", "Fainting"}, {"Fatigue", "Fatigue"},
		{"Fever", "Fever"}, {"GeneralizedBodyAche", "Generalized Body Ache"}, {"HairLoss", "Hair Loss"},
		{"Headache", "Headache"}, {"Heartburn", "Heartburn"}, {"HotFlashes", "Hot Flashes"},
		{"LossOfSmell", "Loss of Smell"}, {"LossOfTaste", "Loss of Taste"}, {"LowerBackPain", "Lower Back Pain"},
		{"MemoryLapse", "Memory Lapse"}, {"Nausea", "Nausea"}, {"NightSweats", "Night Sweats"}, {"PelvicPain", "Pelvic Pain"},
		{"RapidPoundingOrFlutteringHeartbeat", "Rapid, Pounding or Fluttering Heartbeat"}, {"RunnyNose", "Runny Nose"},
		{"ShortnessOfBreath", "Shortness of Breath"}, {"SinusCongestion", "Sinus Congestion"},
		{"SkippedHeartbeat", "Skipped Heartbeat"}, {"SoreThroat", "Sore Throat"}, {"VaginalDryness", "Vaginal Dryness"},
		{"Vomiting", "Vomiting"}, {"Wheezing", "Wheezing"},
	} {
		types = append(types, category(s[0], s[1], severity, oneYear))
	}
	return types
}
