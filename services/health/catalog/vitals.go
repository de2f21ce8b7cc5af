package catalog

import "time"

// vitalsTypes: heart, breath, body and blood.
func vitalsTypes() []quantityRow {
	return []quantityRow{
		{name: "HeartRate", display: "Heart Rate", units: rates, unit: "/min", loinc: "8867-4", how: Discrete, min: 10, max: 400},
		{name: "RestingHeartRate", display: "Resting Heart Rate", units: rates, unit: "/min", loinc: "40443-4", how: Discrete, min: 10, max: 300},
		{name: "WalkingHeartRateAverage", display: "Walking Heart Rate Average", units: rates, unit: "/min", how: Discrete, min: 10, max: 350},
		{name: "HeartRateVariabilitySDNN", display: "Heart Rate Variability SDNN", units: times, unit: "ms", loinc: "80404-7", how: Discrete, min: 0.1, max: 2000},
		{name: "HeartRateRecoveryOneMinute", display: "Heart Rate Recovery One Minute", units: rates, unit: "/min", how: Discrete, min: -200, max: 250},
		{name: "AtrialFibrillationBurden", display: "Atrial Fibrillation Burden", units: percents, unit: "%", how: Discrete, max: 100, longest: 31 * 24 * time.Hour},
		{name: "PeripheralPerfusionIndex", display: "Peripheral Perfusion Index", units: percents, unit: "%", loinc: "61006-3", how: Discrete, min: 0.01, max: 100},
		{name: "VO2Max", display: "VO2 Max", units: oxygenUptakes, unit: "mL/kg/min", how: Discrete, min: 1, max: 120},
		{name: "OxygenSaturation", display: "Oxygen Saturation", units: percents, unit: "%", loinc: "59408-5", how: Discrete, min: 10, max: 100},
		{name: "RespiratoryRate", display: "Respiratory Rate", units: rates, unit: "/min", loinc: "9279-1", how: Discrete, min: 1, max: 200},
		{name: "AppleSleepingBreathingDisturbances", display: "Apple Sleeping Breathing Disturbances", units: counts, unit: "{count}", how: Discrete, max: 1000},
		{name: "ForcedExpiratoryVolume1", display: "Forced Expiratory Volume 1", units: volumes, unit: "L", loinc: "20150-9", how: Discrete, min: 0.01, max: 15},
		{name: "ForcedVitalCapacity", display: "Forced Vital Capacity", units: volumes, unit: "L", loinc: "19870-5", how: Discrete, min: 0.01, max: 20},
		{name: "PeakExpiratoryFlowRate", display: "Peak Expiratory Flow Rate", units: flows, unit: "L/min", loinc: "19935-6", how: Discrete, min: 1, max: 2000},
		{name: "InhalerUsage", display: "Inhaler Usage", units: counts, unit: "{count}", how: Cumulative, max: 1000},
		{name: "BloodPressureSystolic", display: "Blood Pressure Systolic", units: pressures, unit: "mm[Hg]", loinc: "8480-6", how: Discrete, min: 10, max: 400},
		{name: "BloodPressureDiastolic", display: "Blood Pressure Diastolic", units: pressures, unit: "mm[Hg]", loinc: "8462-4", how: Discrete, min: 1, max: 300},
		{name: "BloodGlucose", display: "Blood Glucose", units: glucoses, unit: "mg/dL", loinc: "41653-7", how: Discrete, min: 1, max: 3000},
		{name: "BloodAlcoholContent", display: "Blood Alcohol Content", units: percents, unit: "%", loinc: "74859-0", how: Discrete, max: 5},
		{name: "InsulinDelivery", display: "Insulin Delivery", units: internationalUnits, unit: "[iU]", how: Cumulative, max: 2000},
		{name: "BodyTemperature", display: "Body Temperature", units: temperatures, unit: "Cel", loinc: "8310-5", how: Discrete, min: 10, max: 50},
		{name: "BasalBodyTemperature", display: "Basal Body Temperature", units: temperatures, unit: "Cel", how: Discrete, min: 10, max: 50},
		{name: "AppleSleepingWristTemperature", display: "Apple Sleeping Wrist Temperature", units: temperatures, unit: "Cel", how: Discrete, min: 5, max: 60},
		{name: "BodyMass", display: "Body Mass", units: masses, unit: "kg", loinc: "29463-7", how: Discrete, min: 0.1, max: 700},
		{name: "LeanBodyMass", display: "Lean Body Mass", units: masses, unit: "kg", loinc: "91557-9", how: Discrete, min: 0.1, max: 500},
		{name: "BodyMassIndex", display: "Body Mass Index", units: bodyMassIndexes, unit: "kg/m2", loinc: "39156-5", how: Discrete, min: 1, max: 250},
		{name: "BodyFatPercentage", display: "Body Fat Percentage", units: percents, unit: "%", loinc: "41982-0", how: Discrete, min: 0.5, max: 100},
		{name: "Height", display: "Height", units: lengths, unit: "cm", loinc: "8302-2", how: Discrete, min: 10, max: 300},
		{name: "WaistCircumference", display: "Waist Circumference", units: lengths, unit: "cm", loinc: "8280-0", how: Discrete, min: 5, max: 500},
	}
}
