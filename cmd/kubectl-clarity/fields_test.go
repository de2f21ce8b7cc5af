package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// schemaOf is the schema of a kind's definition.
func schemaOf(t *testing.T, resource string) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	content, err := os.ReadFile("../../config/crd/clarityloop.dev_" + resource + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(content, &crd); err != nil {
		t.Fatal(err)
	}
	return *crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// fieldsPage tells every field of a spec, in the order in which the type has
// them, with what the schema says of it.
func fieldsPage[Spec any](t *testing.T, resource string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| field | meaning | default | bounds |\n|---|---|---|---|\n")
	schema := schemaOf(t, resource).Properties["spec"]
	fields(t, &b, "", reflect.TypeFor[Spec](), schema)
	return b.String()
}

func fields(t *testing.T, b *strings.Builder, path string, of reflect.Type, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" { // inlined
			fields(t, b, path, field.Type, schema)
			continue
		}
		s, ok := schema.Properties[name]
		if !ok {
			t.Fatalf("the definition has no field %s%s: make generate", path, name)
		}
		inner, suffix := field.Type, ""
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		properties := s
		if inner.Kind() == reflect.Slice {
			inner, suffix, properties = inner.Elem(), "[]", *s.Items.Schema
		}
		description, _, _ := strings.Cut(s.Description, "\n\n")
		fmt.Fprintf(b, "| `%s%s%s` | %s | %s | %s |\n", path, name, suffix, tableCell(meaning(name, description)), defaultOf(s), tableCell(boundsOf(schema, name, s)))
		if len(properties.Properties) > 0 {
			fields(t, b, path+name+suffix+".", inner, properties)
		}
	}
}

// meaning is the description without the field's own name before it.
func meaning(name, description string) string {
	description = strings.TrimPrefix(description, name+" ")
	for _, verb := range []string{"is ", "are "} {
		description = strings.TrimPrefix(description, verb)
	}
	return strings.TrimSuffix(description, ".")
}

func defaultOf(s apiextensionsv1.JSONSchemaProps) string {
	if s.Default == nil || string(s.Default.Raw) == "{}" {
		return ""
	}
	return "`" + strings.Trim(string(s.Default.Raw), `"`) + "`"
}

// boundsOf words what the schema lets the field be.
func boundsOf(parent apiextensionsv1.JSONSchemaProps, name string, s apiextensionsv1.JSONSchemaProps) string {
	var words []string
	if slices.Contains(parent.Required, name) {
		words = append(words, "required")
	}
	for _, e := range append(s.Enum, itemsOf(s).Enum...) {
		words = append(words, strings.Trim(string(e.Raw), `"`))
	}
	number := func(least, most *float64, unit string) {
		switch {
		case least != nil && most != nil:
			words = append(words, fmt.Sprintf("%.0f to %.0f%s", *least, *most, unit))
		case most != nil:
			words = append(words, fmt.Sprintf("at most %.0f%s", *most, unit))
		}
	}
	number(s.Minimum, s.Maximum, "")
	number(itemsOf(s).Minimum, itemsOf(s).Maximum, " each")
	number(float(s.MinItems), float(s.MaxItems), " items")
	number(float(s.MinLength), float(s.MaxLength), " characters")
	if s.Pattern != "" && !s.XIntOrString {
		words = append(words, "`"+s.Pattern+"`")
	}
	for _, rule := range append(s.XValidations, itemsOf(s).XValidations...) {
		if !strings.Contains(rule.Rule, "oldSelf") {
			words = append(words, rule.Message)
		}
	}
	return strings.Join(words, ", ")
}

func itemsOf(s apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
	if s.Items == nil || s.Items.Schema == nil {
		return apiextensionsv1.JSONSchemaProps{}
	}
	return *s.Items.Schema
}

func float(n *int64) *float64 {
	if n == nil {
		return nil
	}
	return new(float64(*n))
}

func tableCell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
}
