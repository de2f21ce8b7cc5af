package kube

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

// A Kind is one of the two kinds that people apply.
type Kind string

// The kinds.
const (
	ModelVersion Kind = "modelversion"
	AnalysisJob  Kind = "analysisjob"
)

// A Target is one object.
type Target struct {
	Kind Kind
	Name string
}

// String is kind/name, as it may be typed.
func (t Target) String() string { return string(t.Kind) + "/" + t.Name }

// Resource is the kind's plural.
func (k Kind) Resource() string { return string(k) + "s" }

// Short is the kind's short name.
func (k Kind) Short() string {
	if k == ModelVersion {
		return "mv"
	}
	return "ajob"
}

// ParseTarget reads KIND/NAME, or KIND and NAME, as kubectl does.
func ParseTarget(args []string, kinds ...Kind) (Target, error) {
	var word, name string
	switch len(args) {
	case 1:
		word, name, _ = strings.Cut(args[0], "/")
	case 2:
		word, name = args[0], args[1]
	}
	want := make([]string, len(kinds))
	for i, k := range kinds {
		want[i] = k.Short() + "/NAME"
	}
	usage := strings.Join(want, " or ")
	if word == "" || name == "" || len(args) == 2 && strings.Contains(word, "/") {
		return Target{}, fault.New(fault.Usage, "kubectl get "+kinds[0].Resource(), "say which object: %s, not %q", usage, strings.Join(args, " "))
	}
	for _, k := range kinds {
		switch strings.TrimSuffix(strings.ToLower(word), ".clarityloop.dev") {
		case string(k), k.Resource(), k.Short():
			if why := validation.IsDNS1123Subdomain(name); len(why) > 0 {
				return Target{}, fault.New(fault.Usage, "", "%q cannot be an object's name: %s", name, why[0])
			}
			return Target{k, name}, nil
		}
	}
	return Target{}, fault.New(fault.Usage, "", "this command takes %s, not %q", usage, word)
}
