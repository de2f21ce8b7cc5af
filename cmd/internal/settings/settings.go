// Package settings reads what a command is told, once: flags over the environment
// over a YAML file over the flags' defaults.
package settings

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Prefix begins the names of the environment's variables: --log-level is
// CLARITY_LOG_LEVEL.
const Prefix = "CLARITY_"

// Variable is the environment's name of a flag.
func Variable(flag string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Read fills in what parsed flags left open. The flags of fs point into the
// struct that into points to, but for those that are named in alone, which only
// the command line sets. file is the path of a YAML file for into, "" for none; a
// key that into does not have is a fault. Every fault is told at once.
func Read(fs *flag.FlagSet, into any, file string, getenv func(string) string, alone ...string) error {
	given := map[string]string{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	var faults []error
	if file != "" {
		faults = append(faults, decode(file, into))
	}
	fs.VisitAll(func(f *flag.Flag) {
		if value, ok := given[f.Name]; ok {
			faults = append(faults, f.Value.Set(value)) // the file may have said otherwise
			return
		}
		name := Variable(f.Name)
		if value := getenv(name); value != "" && !slices.Contains(alone, f.Name) {
			if err := f.Value.Set(value); err != nil {
				faults = append(faults, fmt.Errorf("%s: %q is not %s%s", name, value, Asked(f), why(err)))
			}
		}
	})
	return errors.Join(faults...)
}

func decode(file string, into any) error {
	text, err := os.ReadFile(file) //nolint:gosec // the file that the command line names
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err = d.Decode(into)
	if errors.Is(err, io.EOF) { // an empty file says nothing
		return nil
	}
	if wrong := new(yaml.TypeError); err == nil || errors.As(err, &wrong) {
		if more := d.Decode(new(yaml.Node)); !errors.Is(more, io.EOF) {
			err = errors.Join(err, errors.New("it has a second document behind a line ---: write one"))
		}
	}
	if err != nil {
		return fmt.Errorf("read the configuration %s: %w", file, inWords(err, into))
	}
	return nil
}
