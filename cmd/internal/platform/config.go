// Package platform puts the platform together: the only place that names drivers.
//
// A data directory holds everything: blobs/, store.db, queue.db, keys/, audit/
// and identity/, under a lock that one process at a time has. Open makes what
// is not there yet; what a former process left, however it ended, is gone on with.
package platform

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"
)

// A stage's name in Config.Stages.
const (
	Ingress  = "ingress"
	Worker   = "worker"
	Insights = "insights"
	Delivery = "delivery"
)

// Stages lists every stage, in the order of the flow.
func Stages() []string { return []string{Ingress, Worker, Insights, Delivery} }

// A Config says what a platform is made of.
type Config struct {
	// Dir is the data directory.
	Dir string
	// Drivers overrides the embedded driver of a capability by one string, e.g.
	// "store": "sqlite:/var/lib/clarity". Empty is embedded, in Dir.
	Drivers map[string]string
	// Listen is the loopback address of the API; port 0 takes a free one.
	Listen string
	// Model is the version that the worker runs: "" or "none" for none,
	// "preview" for the built-in one, a bundle's file (see LoadBundle), or a
	// traffic plan's versions (see OpenModels).
	Model string
	// Stages are those that run; messages for the others wait in the queue.
	Stages []string
	// Quiet delays a person's analyses after an upload, so that the uploads of
	// one sync share them; 0 is intake.DefaultQuiet.
	Quiet time.Duration
	// Profile is a loopback address for /debug/pprof; "" for none.
	Profile string
	// Unlimited takes the rate limits away: for measurements on one machine.
	Unlimited bool
	// SoftMemoryLimit lets the collector work harder rather than the process
	// grow; off where the environment decides (GOMEMLIMIT).
	SoftMemoryLimit bool
	Version         string
	Log             *slog.Logger
	Now             func() time.Time
}

// A ConfigError is what is wrong with a Config; it is the caller's to mend.
type ConfigError struct{ Text string }

func (e *ConfigError) Error() string { return e.Text }

func configErrorf(format string, args ...any) error {
	return &ConfigError{fmt.Sprintf(format, args...)}
}

// validate tells every fault at once.
func (c Config) validate() error {
	var faults []error
	if c.Dir == "" {
		faults = append(faults, configErrorf("say which data directory"))
	}
	if len(c.Stages) == 0 {
		faults = append(faults, configErrorf("say at least one stage of %s", strings.Join(Stages(), ", ")))
	}
	for _, s := range c.Stages {
		if !slices.Contains(Stages(), s) {
			faults = append(faults, configErrorf("there is no stage %q; the stages are %s", s, strings.Join(Stages(), ", ")))
		}
	}
	for _, address := range []string{c.Listen, c.Profile} {
		if address != "" || slices.Contains(c.Stages, Ingress) && c.Listen == "" {
			faults = append(faults, checkLoopback(address))
		}
	}
	for capability, spec := range c.Drivers {
		_, err := parseDriver(capability, spec, c.Dir)
		faults = append(faults, err)
	}
	if joined := errors.Join(faults...); joined != nil {
		return configErrorf("%s", strings.ReplaceAll(joined.Error(), "\n", "; "))
	}
	return nil
}

// checkLoopback refuses an address that others than this machine can reach.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return configErrorf("%q is not an address and port such as 127.0.0.1:8080", address)
	}
	if host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return configErrorf("%s is not a loopback address: health data does not leave this machine unencrypted; listen on 127.0.0.1 and put a TLS proxy in front", address)
	}
	return nil
}

// embedded is the driver of each capability that is built, with its place in
// the data directory ("." is the directory itself).
func embedded() map[string]struct{ name, place string } {
	return map[string]struct{ name, place string }{
		"store":     {"sqlite", "."},
		"queue":     {"sqlite", "."},
		"blob":      {"files", "blobs"},
		"keyring":   {"tink", "keys"},
		"identity":  {"local", "identity"},
		"audit":     {"file", "audit"},
		"narrative": {"template", ""},
	}
}

// cloud is what the design names for the cloud; none of it is built yet.
func cloud() []string {
	return []string{"firestore", "pubsub", "gs", "gcpkms", "firebase", "gemini", "bucket"}
}

// parseDriver reads "NAME:PLACE" and returns the place.
func parseDriver(capability, spec, dir string) (place string, err error) {
	built, known := embedded()[capability]
	if !known {
		return "", configErrorf("there is no capability %q", capability)
	}
	if spec == "" {
		spec = built.name
	}
	name, place, _ := strings.Cut(spec, ":")
	if slices.Contains(cloud(), name) {
		return "", configErrorf("the %s driver %q needs the cloud and is not built yet; this binary has %q", capability, name, built.name)
	}
	if name != built.name {
		return "", configErrorf("there is no %s driver %q; this binary has %q", capability, name, built.name)
	}
	if place == "" {
		place = joinPlace(dir, built.place)
	}
	return place, nil
}
