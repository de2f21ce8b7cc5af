// Signals writes what is derived of one list each: the alerts of the service levels with
// their tests, and the dashboards, for Grafana and for Cloud Monitoring.
//
//	go run ./hack/signals
//
// Whether every query names what a program tells is checked in hack/signals/promql.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if err := run("config"); err != nil {
		fmt.Fprintln(os.Stderr, "signals:", err)
		os.Exit(1)
	}
}

// run writes every file below the folder.
func run(folder string) error {
	files := map[string][]byte{
		"alerts/service-levels.yaml":             rules(levels()),
		"alerts/tests/service-levels.yaml":       tests(levels(), courses()),
		"alerts/tests/service-levels-blips.yaml": tests(levels(), blips()),
	}
	for _, d := range dashboards() {
		for of, in := range map[string]func(dashboard) any{"grafana": grafana, "google": google} {
			text, err := encode(in(d))
			if err != nil {
				return fmt.Errorf("write the dashboard %s: %w", d.name, err)
			}
			files["dashboards/"+of+"/"+d.name+".json"] = text
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // of the repository
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil { //nolint:gosec // of the repository
			return err
		}
	}
	return nil
}
