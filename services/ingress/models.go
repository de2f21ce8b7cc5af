package ingress

import (
	"context"

	"github.com/clarity-loop/clarity/api/traffic"
)

const listModelsDetail = `The versions of the model that are asked about a week, as the traffic plan divides the people among them; one version for
everybody has a weight of 100. A person stays with a version while the weights do not change. Empty where no model is configured or no plan
has come yet: results then rest on published formulas alone.`

// A modelView is a version of a model that is asked.
type modelView struct {
	Name    string `json:"name" doc:"the model's"`
	Version string `json:"version"`
	Digest  string `json:"digest" doc:"SHA-256 of the bundle: its identity"`
	State   string `json:"state" enum:"shadow,canary,active" doc:"active: serves; canary: serves some people, and is to replace the active one; shadow: is asked too, and its answers are only compared"`
	Weight  int32  `json:"weight" minimum:"1" maximum:"100" doc:"percent of the people whom it serves; of a shadow, of the people for whom it is asked, too"`
}

type modelsView struct {
	Items []modelView `json:"items" nullable:"false" doc:"in the order of the plan: a canary before the active one, a shadow last"`
}

type modelsOutput struct{ Body modelsView }

func (s *Server) listModels(context.Context, *struct{}) (*modelsOutput, error) {
	out := &modelsOutput{modelsView{Items: []modelView{}}}
	if s.Plan == nil {
		return out, nil
	}
	if plan, ok := s.Plan(); ok {
		out.Body.Items = asked(plan)
	}
	return out, nil
}

// asked are the versions of the plan: the candidate stands first in it.
func asked(p traffic.Plan) []modelView {
	versions := make([]modelView, 0, len(p.Entries)+1)
	for i, e := range p.Entries {
		state := "active"
		if i == 0 && len(p.Entries) > 1 {
			state = "canary"
		}
		versions = append(versions, modelView{Name: p.Model, Version: e.Version, Digest: e.Digest, State: state, Weight: e.Weight})
	}
	if s := p.Shadow; s != nil {
		versions = append(versions, modelView{Name: p.Model, Version: s.Version, Digest: s.Digest, State: "shadow", Weight: s.Percent})
	}
	return versions
}
