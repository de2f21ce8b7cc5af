package settings

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// inWords is what YAML says of a file, without the names that only the code knows.
func inWords(err error) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return err
	}
	var faults []string
	for _, fault := range wrong.Errors {
		faults = append(faults, faultInWords(fault))
	}
	return errors.New(strings.Join(faults, "; "))
}

func faultInWords(fault string) string {
	if known, _, ok := strings.Cut(fault, " in type "); ok { // line 1: field x not found
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

// asked says what a flag asks for.
func asked(f *flag.Flag) string {
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
