package ingress_test

import (
	"encoding/json"
	"testing"

	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/metric/catalog"
)

// A client of the document has a member for every metric, which may be null, and
// no enumeration that a later version could outgrow.
func TestTheDocumentNamesEveryMetric(t *testing.T) {
	var d struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Ref  string `json:"$ref"`
					Type any
					Enum []any
				}
			}
		}
	}
	if err := json.Unmarshal(ingresstest.New(t).Server.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	schemas := d.Components.Schemas
	for family, name := range map[string]string{"wear": "WearMetrics", "sleep": "SleepMetrics", "circadian": "CircadianMetrics", "activity": "ActivityMetrics", "cardio": "CardioMetrics"} {
		if got := schemas["Result"].Properties[family].Ref; got != "#/components/schemas/"+name {
			t.Errorf("%s is %q", family, got)
		}
		for _, m := range catalog.Definitions() {
			if m.Family != family {
				continue
			}
			kinds, _ := schemas[name].Properties[m.Name].Type.([]any)
			if len(kinds) != 2 || kinds[0] != "number" || kinds[1] != "null" {
				t.Errorf("%s is %v", m.ID(), schemas[name].Properties[m.Name].Type)
			}
		}
	}
	for _, name := range []string{"Problem", "Rejection"} {
		if code := schemas[name].Properties["code"]; code.Type != "string" || len(code.Enum) > 0 {
			t.Errorf("the code of a %s is %+v", name, code)
		}
	}
}
