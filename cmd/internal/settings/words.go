package settings

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// inWords is what YAML says of a file for into, without the names that only the
// code knows.
func inWords(err error, into any) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return err
	}
	fields := map[string][]string{}
	fieldsOf(reflect.TypeOf(into), fields)
	var faults []string
	for _, fault := range wrong.Errors {
		faults = append(faults, faultInWords(fault, fields))
	}
	_, second, _ := strings.Cut(err.Error(), wrong.Error())
	if second = strings.TrimSpace(second); second != "" {
		faults = append(faults, second)
	}
	return errors.New(strings.Join(faults, "; "))
}

// fieldsOf adds the fields that a table in the file may have, by the name of the
// table's type, and returns those of t.
func fieldsOf(t reflect.Type, tables map[string][]string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var fields []string
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || len(f.Index) > 1 {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" { // it is not for files
			continue
		}
		below := fieldsOf(f.Type, tables)
		if options == "inline" {
			fields = append(fields, below...)
			continue
		}
		fields = append(fields, cmp.Or(name, strings.ToLower(f.Name)))
	}
	tables[t.String()] = fields
	return fields
}

func faultInWords(fault string, fields map[string][]string) string {
	if known, table, ok := strings.Cut(fault, " in type "); ok { // line 1: field x not found
		if there := fields[table]; len(there) > 0 {
			known += ", which is one of " + strings.Join(there, ", ")
		}
		return known
	}
	parts := regexp.MustCompile(`(?s)^(line \d+): cannot unmarshal !!(\w+)(?: (` + "`.*`" + `))? into (.+)$`).FindStringSubmatch(fault)
	if parts == nil {
		return fault
	}
	line, tag, value, wanted := parts[1], parts[2], parts[3], parts[4]
	switch {
	case value != "":
	case tag == "seq":
		value = "a list"
	case tag == "map":
		value = "a table of keys"
	}
	return line + ": " + value + " is not " + kind(wanted)
}

// why is what an error of a flag's value says beyond that the value is none.
func why(err error) string {
	if err.Error() == "parse error" {
		return ""
	}
	return ": " + err.Error()
}

// Asked says what a flag asks for: "a duration such as 3s".
func Asked(f *flag.Flag) string {
	if g, ok := f.Value.(flag.Getter); ok {
		return kind(fmt.Sprintf("%T", g.Get()))
	}
	return "what it asks for"
}

// kind says what a type of Go asks for.
func kind(of string) string {
	switch {
	case of == "time.Duration":
		return "a duration such as 3s"
	case of == "bool":
		return "true or false"
	case of == "string":
		return "a text"
	case strings.HasPrefix(of, "[]"):
		return "a list"
	case strings.HasPrefix(of, "float"):
		return "a number"
	case strings.HasPrefix(of, "int"), strings.HasPrefix(of, "uint"):
		return "a whole number"
	}
	return "a table of keys"
}
