package healthautoexport

import (
	"strings"

	"github.com/clarity-loop/clarity/services/health/catalog"
)

// A metric is what its points have in common.
type metric struct {
	name, unit string
	hasUnit    bool
	key        string // name in snake_case
	kind       *catalog.Type
}

// unitOf is the unit of a point: the metric's, or in an archive its own.
func (m *metric) unitOf(p point) string {
	for _, name := range [...]string{"units", "unit"} {
		if unit, ok := p.text(name); ok {
			return unit
		}
	}
	return m.unit
}

// resolve finds the type of a name: "resting_heart_rate", or an archive's
// "Resting Heart Rate".
func (m *metric) resolve() {
	m.key = strings.NewReplacer(" & ", "_", " ", "_", "-", "_").Replace(strings.ToLower(m.name))
	name := m.key
	if other, ok := otherNames[name]; ok {
		name = other
	}
	m.kind = typeNamed(name)
}

// typeNamed finds a quantity by HealthKit's name in snake_case.
func typeNamed(snake string) *catalog.Type {
	squeezed := strings.ReplaceAll(snake, "_", "")
	if squeezed == "" {
		return nil
	}
	for _, t := range catalog.All() {
		if suffix, ok := strings.CutPrefix(t.Identifier, "HKQuantityTypeIdentifier"); ok && strings.EqualFold(suffix, squeezed) {
			return t
		}
	}
	return nil
}

// otherNames are the metrics that the app calls otherwise than HealthKit.
var otherNames = map[string]string{
	"active_energy":                    "active_energy_burned",
	"resting_energy":                   "basal_energy_burned",
	"basal_energy":                     "basal_energy_burned",
	"steps":                            "step_count",
	"walking_running_distance":         "distance_walking_running",
	"walking_+_running_distance":       "distance_walking_running",
	"cycling_distance":                 "distance_cycling",
	"swimming_distance":                "distance_swimming",
	"swim_distance":                    "distance_swimming",
	"wheelchair_distance":              "distance_wheelchair",
	"distance_downhill_snowsports":     "distance_downhill_snow_sports",
	"swimming_strokes":                 "swimming_stroke_count",
	"heart_rate_variability":           "heart_rate_variability_sdnn",
	"cardio_recovery":                  "heart_rate_recovery_one_minute",
	"blood_oxygen_saturation":          "oxygen_saturation",
	"blood_oxygen":                     "oxygen_saturation",
	"weight_body_mass":                 "body_mass",
	"weight":                           "body_mass",
	"weight_&_body_mass":               "body_mass",
	"walking_heart_rate":               "walking_heart_rate_average",
	"stair_speed_up":                   "stair_ascent_speed",
	"stair_speed_down":                 "stair_descent_speed",
	"stair_speed:_up":                  "stair_ascent_speed",
	"stair_speed:_down":                "stair_descent_speed",
	"six_minute_walking_test_distance": "six_minute_walk_test_distance",
	"breathing_disturbances":           "apple_sleeping_breathing_disturbances",
	"wrist_temperature":                "apple_sleeping_wrist_temperature",
	"underwater_temperature":           "water_temperature",
	"alcohol_consumption":              "number_of_alcoholic_beverages",
	"forced_expiratory_volume_1":       "forced_expiratory_volume1",
	"mindful_minutes":                  "", // minutes, where HealthKit has a session
	"dietary_energy":                   "dietary_energy_consumed",
	"dietary_biotin":                   "dietary_biotin",
	"biotin":                           "dietary_biotin",
	"caffeine":                         "dietary_caffeine",
	"dietary_caffeine":                 "dietary_caffeine",
	"calcium":                          "dietary_calcium",
	"carbohydrates":                    "dietary_carbohydrates",
	"chloride":                         "dietary_chloride",
	"cholesterol":                      "dietary_cholesterol",
	"chromium":                         "dietary_chromium",
	"copper":                           "dietary_copper",
	"fiber":                            "dietary_fiber",
	"folate":                           "dietary_folate",
	"iodine":                           "dietary_iodine",
	"iron":                             "dietary_iron",
	"magnesium":                        "dietary_magnesium",
	"manganese":                        "dietary_manganese",
	"molybdenum":                       "dietary_molybdenum",
	"monounsaturated_fat":              "dietary_fat_monounsaturated",
	"niacin":                           "dietary_niacin",
	"pantothenic_acid":                 "dietary_pantothenic_acid",
	"phosphorus":                       "dietary_phosphorus",
	"polyunsaturated_fat":              "dietary_fat_polyunsaturated",
	"potassium":                        "dietary_potassium",
	"protein":                          "dietary_protein",
	"riboflavin":                       "dietary_riboflavin",
	"saturated_fat":                    "dietary_fat_saturated",
	"selenium":                         "dietary_selenium",
	"sodium":                           "dietary_sodium",
	"sugar":                            "dietary_sugar",
	"thiamin":                          "dietary_thiamin",
	"total_fat":                        "dietary_fat_total",
	"vitamin_a":                        "dietary_vitamin_a",
	"vitamin_b12":                      "dietary_vitamin_b12",
	"vitamin_b6":                       "dietary_vitamin_b6",
	"vitamin_c":                        "dietary_vitamin_c",
	"vitamin_d":                        "dietary_vitamin_d",
	"vitamin_e":                        "dietary_vitamin_e",
	"vitamin_k":                        "dietary_vitamin_k",
	"water":                            "dietary_water",
	"zinc":                             "dietary_zinc",
}
