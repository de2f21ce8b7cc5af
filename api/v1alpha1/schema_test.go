package v1alpha1_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// kinds are the generated definitions.
func kinds(t *testing.T) map[string]*apiextensionsv1.JSONSchemaProps {
	t.Helper()
	files, err := filepath.Glob("../../config/crd/clarityloop.dev_*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*apiextensionsv1.JSONSchemaProps{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &definition); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, version := range definition.Spec.Versions {
			found[definition.Spec.Names.Kind] = version.Schema.OpenAPIV3Schema
		}
	}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, []string{"AnalysisJob", "ModelVersion"}) {
		t.Fatalf("config/crd defines %v", got)
	}
	return found
}

// An object's size is bounded by its schema, and so is what its rules cost. A
// number that a person may write fits its Go type: an object that cannot be
// decoded would stop the operator's watch of all of them.
func TestEveryListStringMapAndNumberIsBounded(t *testing.T) {
	for kind, schema := range kinds(t) {
		for _, part := range []string{"spec", "status"} {
			unbounded(kind+"."+part, schema.Properties[part], func(path, what string) {
				if part == "status" && what == "number" {
					return // written by the operator alone
				}
				t.Errorf("%s: %s has no bound", path, what)
			})
		}
	}
}

// The walk finds what it looks for.
func TestAnUnboundedSchemaIsFound(t *testing.T) {
	anything := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
		"text":     {Type: "string"},
		"list":     {Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &apiextensionsv1.JSONSchemaProps{Type: "string"}}},
		"map":      {Type: "object", AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Schema: &apiextensionsv1.JSONSchemaProps{Type: "string"}}},
		"open":     {Type: "object", XPreserveUnknownFields: new(true)},
		"quantity": {XIntOrString: true},
		"word":     {Type: "string", Enum: []apiextensionsv1.JSON{{Raw: []byte(`"a"`)}}},
		"time":     {Type: "string", Format: "date-time"},
		"count":    {Type: "integer", Minimum: new(0.0)},
		"short":    {Type: "string", MaxLength: new(int64(8))},
	}}
	var got []string
	unbounded("x", anything, func(path, what string) { got = append(got, path+" "+what) })
	slices.Sort(got)
	want := []string{"x.count number", "x.list list", "x.list[] string", "x.map map", "x.map{} string", "x.open open object", "x.quantity string", "x.text string"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// unbounded tells every list, string, map and number of the schema that may be of any
// size. A word of a list and a time are bounded by what they are.
func unbounded(path string, schema apiextensionsv1.JSONSchemaProps, tell func(path, what string)) {
	if schema.XPreserveUnknownFields != nil && *schema.XPreserveUnknownFields {
		tell(path, "open object")
	}
	text := schema.Type == "string" || schema.XIntOrString
	if text && schema.MaxLength == nil && len(schema.Enum) == 0 && schema.Format != "date-time" {
		tell(path, "string")
	}
	if schema.Type == "number" || schema.Type == "integer" && (schema.Minimum == nil || schema.Maximum == nil) {
		tell(path, "number")
	}
	if schema.Type == "array" {
		if schema.MaxItems == nil {
			tell(path, "list")
		}
		unbounded(path+"[]", *schema.Items.Schema, tell)
	}
	for name, property := range schema.Properties {
		unbounded(fmt.Sprintf("%s.%s", path, name), property, tell)
	}
	if more := schema.AdditionalProperties; more != nil {
		if schema.MaxProperties == nil {
			tell(path, "map")
		}
		if more.Schema != nil {
			unbounded(path+"{}", *more.Schema, tell)
		}
	}
}

// The page of the API leaves nothing out that a person may write.
func TestThePageOfTheAPINamesEveryField(t *testing.T) {
	page, err := os.ReadFile("../../docs/api/clarityloop.dev_v1alpha1.md")
	if err != nil {
		t.Fatal(err)
	}
	var named func(path string, schema apiextensionsv1.JSONSchemaProps)
	named = func(path string, schema apiextensionsv1.JSONSchemaProps) {
		if schema.Items != nil {
			named(path, *schema.Items.Schema)
		}
		for name, property := range schema.Properties {
			if !strings.HasSuffix(path, ".conditions") && !strings.Contains(string(page), "| `"+name+"` _") {
				t.Errorf("%s.%s is not on the page", path, name)
			}
			named(path+"."+name, property)
		}
	}
	for kind, schema := range kinds(t) {
		named(kind+".spec", schema.Properties["spec"])
		named(kind+".status", schema.Properties["status"])
	}
}
