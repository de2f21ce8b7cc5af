package charts_test

import (
	"fmt"
	"os"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// foreign is one of other people's kinds, in the short form of testdata/foreign.yaml.
type foreign struct {
	Group, Version, Kind, Plural, Scope string
	Spec                                map[string]any
}

// foreignKinds are their definitions, written out.
func foreignKinds() (string, error) {
	content, err := os.ReadFile("testdata/foreign.yaml")
	if err != nil {
		return "", err
	}
	var kinds []foreign
	if err := yaml.UnmarshalStrict(content, &kinds); err != nil {
		return "", err
	}
	var all strings.Builder
	for _, kind := range kinds {
		definition, err := yaml.Marshal(kind.definition())
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "---\n%s", definition)
	}
	return all.String(), nil
}

func (f foreign) definition() apiextensionsv1.CustomResourceDefinition {
	scope := apiextensionsv1.NamespaceScoped
	if f.Scope != "" {
		scope = apiextensionsv1.ResourceScope(f.Scope)
	}
	return apiextensionsv1.CustomResourceDefinition{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        f.Plural + "." + f.Group,
			Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, for a test"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: f.Group, Scope: scope,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: f.Kind, Plural: f.Plural},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: f.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", Required: []string{"spec"},
					Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": schemaOf(f.Spec)},
				}},
			}},
		},
	}
}

// schemaOf writes a type out: a map is an object, a list of one is a list, a
// word is a type, and words divided by | are all that is allowed.
func schemaOf(short any) apiextensionsv1.JSONSchemaProps {
	switch s := short.(type) {
	case map[string]any:
		schema := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{}}
		for field, of := range s {
			name, required := strings.CutSuffix(field, "*")
			if required {
				schema.Required = append(schema.Required, name)
			}
			schema.Properties[name] = schemaOf(of)
		}
		return schema
	case []any:
		items := schemaOf(s[0])
		return apiextensionsv1.JSONSchemaProps{Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &items}}
	case string:
		return wordOf(s)
	}
	panic(fmt.Sprintf("testdata/foreign.yaml: %v is no type", short))
}

func wordOf(s string) apiextensionsv1.JSONSchemaProps {
	switch {
	case s == "labels":
		return apiextensionsv1.JSONSchemaProps{Type: "object", AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{
			Allows: true, Schema: &apiextensionsv1.JSONSchemaProps{Type: "string"},
		}}
	case s == "int-or-string":
		return apiextensionsv1.JSONSchemaProps{XIntOrString: true}
	case strings.Contains(s, "|"):
		schema := apiextensionsv1.JSONSchemaProps{Type: "string"}
		for word := range strings.SplitSeq(s, "|") {
			schema.Enum = append(schema.Enum, apiextensionsv1.JSON{Raw: fmt.Appendf(nil, "%q", word)})
		}
		return schema
	default:
		return apiextensionsv1.JSONSchemaProps{Type: s}
	}
}
