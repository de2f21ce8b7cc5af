package catalog

import (
	"math"
	"strings"
)

// A dimension is a set of units that convert into each other.
type dimension struct {
	units []unitScale // the most common spelling first: lookups scan
	// molar also takes HealthKit's moles of glucose, which cannot be listed.
	molar bool
	// round keeps so many decimals of a converted value, where the conversion
	// is one of decimal notation only; 0 does not round.
	round float64
}

// A unitScale says: value × scale + offset is the value in the dimension's base unit.
type unitScale struct {
	name          string
	scale, offset float64
}

func convert[U string | []byte](t *Type, value float64, unit U) (float64, error) {
	if t.units == nil {
		if len(unit) == 0 {
			return value, nil
		}
		return 0, ErrUnknownUnit
	}
	from, ok := scaleOf(t.units, unit)
	if !ok {
		return 0, ErrUnknownUnit
	}
	to := t.canonical
	if t.units.round != 0 {
		value *= from.scale
		if math.Abs(value) < 1e5 {
			value = math.Round(value*t.units.round) / t.units.round
		}
		return value, nil
	}
	if from.scale == to.scale && from.offset == to.offset {
		return value, nil
	}
	return (value*from.scale + from.offset - to.offset) / to.scale, nil
}

func scaleOf[U string | []byte](d *dimension, unit U) (unitScale, bool) {
	for i := range d.units {
		if d.units[i].name == string(unit) {
			return d.units[i], true
		}
	}
	if d.molar && len(unit) <= 32 {
		if scale, ok := glucoseMoles(string(unit)); ok {
			return unitScale{scale: scale}, true
		}
	}
	return unitScale{}, false
}

// The dimensions. Spellings are HealthKit's (HKUnit unitString), UCUM's, and
// those that exporters write. Factors are exact where the definition is
// (international yard and pound 1959; thermochemical calorie 4.184 J).
var (
	counts = &dimension{units: []unitScale{
		{"count", 1, 0}, {"{count}", 1, 0}, {"{score}", 1, 0}, {"appleEffortScore", 1, 0}, {"1", 1, 0},
		{"steps", 1, 0}, {"{steps}", 1, 0}, {"{tot}", 1, 0}, {"{#}", 1, 0}, {"flights", 1, 0}, {"strokes", 1, 0},
		{"falls", 1, 0}, {"beverages", 1, 0}, {"effort", 1, 0}, {"wheelchair pushes", 1, 0},
	}}
	// percents: HealthKit's "%" is a fraction, see Convert. Rounding undoes the
	// noise of 0.57 × 100 = 56.99999999999999.
	percents = &dimension{units: []unitScale{{"%", 100, 0}, {"1", 100, 0}}, round: 1e10}
	rates    = &dimension{units: []unitScale{
		{"count/min", 1, 0}, {"/min", 1, 0}, {"bpm", 1, 0}, {"{count}/min", 1, 0}, {"1/min", 1, 0},
		{"beats/minute", 1, 0}, {"beats/min", 1, 0}, {"{beats}/min", 1, 0}, {"{beat}/min", 1, 0},
		{"breaths/minute", 1, 0}, {"breaths/min", 1, 0}, {"{breaths}/min", 1, 0}, {"rpm", 1, 0}, {"r/min", 1, 0},
		{"spm", 1, 0}, {"count/s", 60, 0}, {"/s", 60, 0}, {"Hz", 60, 0},
		{"count/hr", 1. / 60, 0}, {"count/h", 1. / 60, 0}, {"/h", 1. / 60, 0},
	}}
	energies = &dimension{units: []unitScale{ // base: joule
		{"kcal", 4184, 0}, {"Cal", 4184, 0}, {"kJ", 1000, 0}, {"cal", 4.184, 0}, {"J", 1, 0}, {"[Cal]", 4184, 0},
	}}
	lengths = &dimension{units: []unitScale{ // base: metre
		{"m", 1, 0}, {"km", 1000, 0}, {"cm", 0.01, 0}, {"mi", 1609.344, 0}, {"ft", 0.3048, 0}, {"in", 0.0254, 0},
		{"yd", 0.9144, 0}, {"mm", 0.001, 0}, {"dm", 0.1, 0},
		{"[mi_i]", 1609.344, 0}, {"[ft_i]", 0.3048, 0}, {"[in_i]", 0.0254, 0}, {"[yd_i]", 0.9144, 0},
		{"meters", 1, 0},
	}}
	masses = &dimension{units: []unitScale{ // base: gram
		{"g", 1, 0}, {"mg", 1e-3, 0}, {"mcg", 1e-6, 0}, {"kg", 1000, 0}, {"lb", 453.59237, 0}, {"ug", 1e-6, 0},
		{"oz", 28.349523125, 0}, {"st", 6350.29318, 0}, {"µg", 1e-6, 0}, {"μg", 1e-6, 0}, {"ng", 1e-9, 0},
		{"lbs", 453.59237, 0}, {"[lb_av]", 453.59237, 0}, {"[oz_av]", 28.349523125, 0}, {"[stone_av]", 6350.29318, 0},
	}}
	times = &dimension{units: []unitScale{ // base: millisecond
		{"min", 60e3, 0}, {"ms", 1, 0}, {"s", 1e3, 0}, {"hr", 3600e3, 0}, {"h", 3600e3, 0}, {"sec", 1e3, 0},
		{"d", 86400e3, 0}, {"us", 1e-3, 0},
	}}
	temperatures = &dimension{units: []unitScale{ // base: kelvin
		{"degC", 1, 273.15}, {"degF", 5. / 9, 459.67 * 5 / 9}, {"Cel", 1, 273.15}, {"K", 1, 0}, {"[degF]", 5. / 9, 459.67 * 5 / 9},
		{"°C", 1, 273.15}, {"°F", 5. / 9, 459.67 * 5 / 9}, {"C", 1, 273.15}, {"F", 5. / 9, 459.67 * 5 / 9},
	}}
	pressures = &dimension{units: []unitScale{ // base: pascal
		{"mmHg", 133.322387415, 0}, {"mm[Hg]", 133.322387415, 0}, {"kPa", 1000, 0}, {"Pa", 1, 0}, {"hPa", 100, 0},
		{"cmAq", 98.0665, 0}, {"cm[H2O]", 98.0665, 0}, {"inHg", 3386.388640341, 0}, {"[in_i'Hg]", 3386.388640341, 0},
		{"atm", 101325, 0},
	}}
	glucoses = &dimension{units: []unitScale{ // base: mg/dL
		{"mg/dL", 1, 0}, {"mg/dl", 1, 0}, {"mmol/L", glucoseMolarMass / 10, 0}, {"mmol/l", glucoseMolarMass / 10, 0},
		{"mg/L", 0.1, 0}, {"g/L", 100, 0},
	}, molar: true}
	volumes = &dimension{units: []unitScale{ // base: litre
		{"L", 1, 0}, {"mL", 1e-3, 0}, {"l", 1, 0}, {"ml", 1e-3, 0}, {"dL", 0.1, 0}, {"cL", 0.01, 0},
		{"fl_oz_us", 0.0295735295625, 0}, {"[foz_us]", 0.0295735295625, 0}, {"fl_oz_imp", 0.0284130625, 0}, {"[foz_br]", 0.0284130625, 0},
		{"cup_us", 0.2365882365, 0}, {"[cup_us]", 0.2365882365, 0}, {"cup_imp", 0.284130625, 0},
		{"pt_us", 0.473176473, 0}, {"[pt_us]", 0.473176473, 0}, {"pt_imp", 0.56826125, 0}, {"[pt_br]", 0.56826125, 0},
	}}
	flows = &dimension{units: []unitScale{ // base: L/min
		{"L/min", 1, 0}, {"l/min", 1, 0}, {"mL/min", 1e-3, 0}, {"L/s", 60, 0}, {"l/s", 60, 0},
	}}
	oxygenUptakes = &dimension{units: []unitScale{
		{"mL/min·kg", 1, 0}, {"mL/kg/min", 1, 0}, {"mL/kg·min", 1, 0}, {"ml/(kg*min)", 1, 0}, {"mL/(kg*min)", 1, 0},
		{"ml/(kg·min)", 1, 0}, {"mL/(kg·min)", 1, 0}, {"mL/(min·kg)", 1, 0}, {"mL/(kg.min)", 1, 0}, {"mL/kg*min", 1, 0},
		{"mL/min*kg", 1, 0}, {"ml/kg/min", 1, 0}, {"ml/kg*min", 1, 0}, {"ml/kg·min", 1, 0}, {"ml/min·kg", 1, 0},
		{"mL/min/kg", 1, 0}, {"ml/min/kg", 1, 0}, {"ml/(kg.min)", 1, 0},
	}}
	// efforts: one MET is one kcal per kilogram and hour.
	efforts = &dimension{units: []unitScale{
		{"kcal/hr·kg", 1, 0}, {"kcal/h/kg", 1, 0}, {"kcal/hr*kg", 1, 0}, {"kcal/hr/kg", 1, 0}, {"kcal/kg·hr", 1, 0},
		{"kcal/(kg·hr)", 1, 0}, {"kcal/(kg*hr)", 1, 0}, {"kcal/(hr·kg)", 1, 0}, {"kcal/kg/h", 1, 0}, {"kcal/(kg.h)", 1, 0},
		{"MET", 1, 0}, {"[MET]", 1, 0}, {"kJ/hr·kg", 1 / 4.184, 0},
	}}
	soundLevels = &dimension{units: []unitScale{ // base: decibel
		{"dBASPL", 1, 0}, {"dB[SPL]", 1, 0}, {"dB(SPL)", 1, 0}, {"dB(A)", 1, 0}, {"dBA", 1, 0}, {"dB", 1, 0}, {"B[SPL]", 10, 0},
	}}
	soundReductions = &dimension{units: []unitScale{
		{"dBASPL", 1, 0}, {"dB", 1, 0}, {"dBHL", 1, 0}, {"dB(HL)", 1, 0}, {"dB[SPL]", 1, 0}, {"dB(SPL)", 1, 0},
	}}
	conductances = &dimension{units: []unitScale{ // base: microsiemens
		{"mcS", 1, 0}, {"S", 1e6, 0}, {"uS", 1, 0}, {"µS", 1, 0}, {"μS", 1, 0}, {"mS", 1e3, 0},
	}}
	powers = &dimension{units: []unitScale{{"W", 1, 0}, {"kW", 1000, 0}, {"watt", 1, 0}, {"mW", 1e-3, 0}}}
	speeds = &dimension{units: []unitScale{ // base: m/s
		{"m/s", 1, 0}, {"km/hr", 1 / 3.6, 0}, {"mi/hr", 0.44704, 0}, {"km/h", 1 / 3.6, 0}, {"mi/h", 0.44704, 0}, {"ft/s", 0.3048, 0},
		{"mph", 0.44704, 0}, {"kmph", 1 / 3.6, 0}, {"kph", 1 / 3.6, 0}, {"[mi_i]/h", 0.44704, 0}, {"[ft_i]/s", 0.3048, 0},
		{"cm/s", 0.01, 0}, {"m/min", 1. / 60, 0}, {"m/hr", 1. / 3600, 0},
	}}
	internationalUnits = &dimension{units: []unitScale{
		{"IU", 1, 0}, {"[iU]", 1, 0}, {"[IU]", 1, 0}, {"internationalUnit", 1, 0},
	}}
	// bodyMassIndexes: HealthKit writes the index as a bare count.
	bodyMassIndexes = &dimension{units: []unitScale{
		{"count", 1, 0}, {"kg/m2", 1, 0}, {"kg/m^2", 1, 0}, {"kg/m²", 1, 0}, {"kg/(m.m)", 1, 0},
	}}
)

// glucoseMolarMass is HealthKit's HKUnitMolarMassBloodGlucose in g/mol.
const glucoseMolarMass = 180.15588000005408

// glucoseMoles reads HealthKit's "mmol<180.1558800000541>/L", whatever number
// of digits of the molar mass it was printed with.
func glucoseMoles(unit string) (float64, bool) {
	rest, ok := strings.CutPrefix(unit, "mmol<180.15")
	if !ok {
		return 0, false
	}
	digits, volume, ok := strings.Cut(rest, ">/")
	if !ok || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	switch volume {
	case "L", "l":
		return glucoseMolarMass / 10, true
	case "dL", "dl":
		return glucoseMolarMass, true
	case "mL", "ml":
		return glucoseMolarMass * 100, true
	}
	return 0, false
}
