// Package catalog is every HealthKit type that an upload is checked against:
// its unit and the units that convert into it, its LOINC code, its range, and
// the values of its enumeration. It is data, read-only, and knows no sample.
package catalog

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// A Kind says what a sample of a type holds.
type Kind string

// The two kinds of a catalogued type.
const (
	Quantity Kind = "quantity" // a number with a unit
	Category Kind = "category" // one value of an enumeration
)

// An Aggregation says how samples of a quantity combine over time.
type Aggregation string

// Cumulative quantities are summed over an interval (steps, energy), discrete
// ones are averaged or read as they are (heart rate, weight). A category has none.
const (
	Cumulative Aggregation = "cumulative"
	Discrete   Aggregation = "discrete"
)

// A Type is one entry of the catalog. The catalog is read-only: callers must
// not change what Lookup returns.
type Type struct {
	// Identifier is HealthKit's, e.g. "HKQuantityTypeIdentifierHeartRate".
	Identifier string
	// Display is the name for a person, e.g. "Heart Rate".
	Display string
	Kind    Kind
	// Unit is the canonical UCUM unit; "" for a category.
	Unit string
	// LOINC is the code of the observation, "" where LOINC has none.
	LOINC string
	// Aggregation is "" for a category.
	Aggregation Aggregation
	// Min and Max bound what a living person or a device can produce in one
	// sample, inclusive, in Unit; generous, since they guard against wrong
	// units and broken senders, not against unusual people. For a category
	// they are the smallest and the largest code.
	Min, Max float64
	// MaxDuration is the longest that one sample can last.
	MaxDuration time.Duration
	// Values are the enumeration of a category, by rising code.
	Values []Value

	units     *dimension
	canonical unitScale // of Unit
	enum      string    // HealthKit's name of the enumeration, after HKCategoryValue
}

// A Value is one value of a category's enumeration.
type Value struct {
	Code int
	Name string // HealthKit's name in Swift: "asleepCore"
}

// Lookup finds a type by its HealthKit identifier.
func Lookup(identifier string) (*Type, bool) {
	t, ok := byIdentifier[identifier]
	return t, ok
}

// LookupBytes is Lookup without an allocation.
func LookupBytes(identifier []byte) (*Type, bool) {
	t, ok := byIdentifier[string(identifier)]
	return t, ok
}

// All is the whole catalog, ordered: quantities by group, then categories.
// The slice is the caller's.
func All() []*Type {
	types := make([]*Type, len(catalog))
	copy(types, catalog)
	return types
}

// ErrUnknownUnit is the error of a unit that is not one of the type's dimension.
var ErrUnknownUnit = errors.New("the unit is not one of the type's dimension")

// Convert turns a value in unit, spelled as HealthKit or UCUM spell it, into
// the type's canonical unit. A category value has no unit and stays as it is.
//
// The unit "%" has HealthKit's meaning, a fraction (HKUnit.percent(): 0.97);
// the canonical "%" is UCUM's, per hundred (97). A format that writes percent
// per hundred divides by 100 before it calls Convert.
func (t *Type) Convert(value float64, unit string) (float64, error) {
	return convert(t, value, unit)
}

// ConvertBytes is Convert; it allocates only for an error.
func (t *Type) ConvertBytes(value float64, unit []byte) (float64, error) {
	return convert(t, value, unit)
}

// InRange says whether a canonical value is one that a living person or a
// device can produce; for a category, whether it is of the enumeration.
func (t *Type) InRange(value float64) bool {
	if t.Kind == Quantity {
		return value >= t.Min && value <= t.Max
	}
	for i := range t.Values {
		if float64(t.Values[i].Code) == value {
			return true
		}
	}
	return false
}

// MayCome says whether a value that a category's enumeration does not have is one
// that a later release of HealthKit may give it: a whole number, not negative.
func (t *Type) MayCome(value float64) bool {
	return t.Kind == Category && !t.InRange(value) && value >= 0 && value <= math.MaxInt32 && value == math.Trunc(value)
}

// CodeOf finds a category value by HealthKit's constant
// ("HKCategoryValueSleepAnalysisAsleepCore") or by its Name ("asleepCore").
func (t *Type) CodeOf(name string) (code int, ok bool) {
	if rest, isConstant := cutPrefix(name, "HKCategoryValue"); isConstant {
		// Apple renamed constants and moved types between enumerations over
		// the years; an export keeps the spelling of its day.
		if old, renamed := renamedConstants[rest]; renamed {
			rest = old
		}
		if rest, isConstant = cutPrefix(rest, t.enum); !isConstant {
			return 0, false
		}
		name = rest
	}
	for i := range t.Values {
		if equalButFirstCase(t.Values[i].Name, name) {
			return t.Values[i].Code, true
		}
	}
	return 0, false
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return s, false
	}
	return s[len(prefix):], true
}

// equalButFirstCase compares the Swift name (inBed) with the end of the
// Objective-C constant (InBed).
func equalButFirstCase(a, b string) bool {
	return len(a) == len(b) && len(a) > 0 && a[0]|0x20 == b[0]|0x20 && a[1:] == b[1:]
}

// The catalog is data: written out by group, joined once, never changed.
var (
	catalog      = joinCatalog(quantityGroups(), categoryTypes())
	byIdentifier = indexCatalog(catalog)
)

func joinCatalog(groups [][]quantityRow, categories []Type) []*Type {
	var types []*Type
	for _, group := range groups {
		for i := range group {
			types = append(types, group[i].build())
		}
	}
	for i := range categories {
		types = append(types, &categories[i])
	}
	return types
}

func indexCatalog(types []*Type) map[string]*Type {
	index := make(map[string]*Type, len(types))
	for _, t := range types {
		if _, twice := index[t.Identifier]; twice {
			panic(fmt.Sprintf("catalog: has %s twice", t.Identifier))
		}
		index[t.Identifier] = t
	}
	return index
}

// A quantityRow is a line of the written-out catalog.
type quantityRow struct {
	name     string // after HKQuantityTypeIdentifier
	display  string
	units    *dimension
	unit     string // canonical
	loinc    string
	how      Aggregation
	min, max float64
	longest  time.Duration // 0: HealthKit's own limit of four days
}

// healthKitLimit is how long HealthKit lets most samples be.
const healthKitLimit = 4 * 24 * time.Hour

func (r *quantityRow) build() *Type {
	t := &Type{
		Identifier: "HKQuantityTypeIdentifier" + r.name, Display: r.display, Kind: Quantity,
		Unit: r.unit, LOINC: r.loinc, Aggregation: r.how,
		Min: r.min, Max: r.max, MaxDuration: r.longest, units: r.units,
	}
	if t.MaxDuration == 0 {
		t.MaxDuration = healthKitLimit
	}
	scale, ok := scaleOf(r.units, r.unit)
	if !ok {
		panic(fmt.Sprintf("catalog: gives %s the unit %q of another dimension", r.name, r.unit))
	}
	t.canonical = scale
	return t
}
