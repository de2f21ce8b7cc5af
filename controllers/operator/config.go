package operator

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/controllers/analysisjob"
	"github.com/clarity-loop/clarity/controllers/modelversion"
)

// Config is everything the platform decides about the operator. It is read
// once, at the start; a change takes a restart.
type Config struct {
	// Namespace is where ModelVersions and AnalysisJobs are taken in and where
	// everything they need runs. Objects elsewhere are told so in status.
	Namespace string `json:"namespace"`
	// Worker is what shards and the checks of versions run; analysisJobs and modelVersions may say other.
	Worker Worker `json:"worker,omitzero"`
	// AnalysisJobs is what the platform decides about shards.
	AnalysisJobs analysisjob.Config `json:"analysisJobs,omitzero"`
	// ModelVersions is what the platform decides about how models are served.
	ModelVersions modelversion.Config `json:"modelVersions"`
	// Metrics is where /metrics is served.
	Metrics Metrics `json:"metrics,omitzero"`
	// Health is where /healthz and /readyz are served.
	Health Endpoint `json:"health,omitzero"`
	// Pprof is where /debug/pprof is served; nowhere if its address is empty.
	Pprof Endpoint `json:"pprof,omitzero"`
	// LeaderElection lets several replicas run of which one works.
	LeaderElection LeaderElection `json:"leaderElection,omitzero"`
	// Concurrency is how many objects are worked on at a time.
	Concurrency Concurrency `json:"concurrency,omitzero"`
	// LogLevel is debug, info, warn or error; info if empty.
	LogLevel string `json:"logLevel,omitempty"`
}

// Worker is what pods of ours run, but for the model servers themselves.
type Worker struct {
	// Image is the worker's, by digest.
	Image string `json:"image,omitempty"`
	// ServiceAccount is the account the pods run as: it holds the data-plane rights that the operator has not.
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// ConfigMap is the worker's configuration, given as environment; none if empty.
	ConfigMap string `json:"configMap,omitempty"`
	// Resources are a pod's; CPU and memory requests and a memory limit are required.
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`
}

// Endpoint is an address to listen on.
type Endpoint struct {
	// Address is host:port; port 0 takes a free one.
	Address string `json:"address,omitempty"`
}

// Metrics is where and to whom /metrics is served.
type Metrics struct {
	// Address is host:port; ":8443" if empty, nowhere if "0".
	Address string `json:"address,omitempty"`
	// Insecure serves plain HTTP to anyone who asks: for a loopback address alone.
	// Otherwise it is HTTPS, and who asks must be allowed to get /metrics by the API server.
	Insecure bool `json:"insecure,omitempty"`
	// CertDir holds tls.crt and tls.key, which may be renewed; a certificate is made up if it is empty.
	CertDir string `json:"certDir,omitempty"`
}

// LeaderElection is how one replica of several is chosen.
type LeaderElection struct {
	// Enabled turns it on.
	Enabled bool `json:"enabled,omitempty"`
	// LeaseDuration is how long a replica that is not heard of stays the leader; 15 s if zero.
	LeaseDuration metav1.Duration `json:"leaseDuration,omitzero"`
	// RenewDeadline is how long the leader tries to renew before it stops; 10 s if zero.
	RenewDeadline metav1.Duration `json:"renewDeadline,omitzero"`
	// RetryPeriod is the time between tries; 2 s if zero.
	RetryPeriod metav1.Duration `json:"retryPeriod,omitzero"`
}

// Concurrency is how many objects of a kind are worked on at a time.
type Concurrency struct {
	// AnalysisJobs is 8 if zero.
	AnalysisJobs int `json:"analysisJobs,omitempty"`
	// Models counts models, not versions: 4 if zero.
	Models int `json:"models,omitempty"`
}

// MaxConcurrency bounds Concurrency.
const MaxConcurrency = 64

// Read reads the configuration in the file and returns it with defaults, or every fault.
func Read(file string) (Config, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	config, err := Parse(content)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", file, err)
	}
	return config, nil
}

// unreadable is what YAML's library says of a text, without the steps it took.
type unreadable struct{ error }

func (u *unreadable) Error() string {
	text := u.error.Error()
	for _, step := range []string{"error unmarshaling JSON: ", "error converting YAML to JSON: ", "while decoding JSON: ", "json: ", "yaml: "} {
		text = strings.TrimPrefix(text, step)
	}
	return text
}

func (u *unreadable) Unwrap() error { return u.error }

// Parse reads a configuration in YAML. A field that does not exist is a fault:
// a misspelt one must not be taken for a default.
func Parse(content []byte) (Config, error) {
	var config Config
	if len(bytes.TrimSpace(content)) == 0 {
		return Config{}, errors.New("it is empty")
	}
	if err := yaml.UnmarshalStrict(content, &config); err != nil {
		return Config{}, &unreadable{err}
	}
	config = config.WithDefaults()
	return config, config.Validate()
}

// WithDefaults returns the configuration with what may be left out filled in.
func (c Config) WithDefaults() Config {
	a, m, w := &c.AnalysisJobs, &c.ModelVersions, c.Worker
	a.Namespace, m.Namespace = orElse(a.Namespace, c.Namespace), orElse(m.Namespace, c.Namespace)
	a.Image, m.Image = orElse(a.Image, w.Image), orElse(m.Image, w.Image)
	a.ServiceAccount, m.ServiceAccount = orElse(a.ServiceAccount, w.ServiceAccount), orElse(m.ServiceAccount, w.ServiceAccount)
	a.ConfigMap, m.ConfigMap = orElse(a.ConfigMap, w.ConfigMap), orElse(m.ConfigMap, w.ConfigMap)
	if a.Resources.Requests == nil && a.Resources.Limits == nil {
		a.Resources = w.Resources
	}
	if m.Resources.Requests == nil && m.Resources.Limits == nil {
		m.Resources = w.Resources
	}
	c.AnalysisJobs, c.ModelVersions = a.WithDefaults(), m.WithDefaults()
	c.Metrics.Address = orElse(c.Metrics.Address, ":8443")
	c.Health.Address = orElse(c.Health.Address, ":8081")
	c.LogLevel = orElse(c.LogLevel, "info")
	l := &c.LeaderElection
	l.LeaseDuration.Duration = orElse(l.LeaseDuration.Duration, 15*time.Second)
	l.RenewDeadline.Duration = orElse(l.RenewDeadline.Duration, 10*time.Second)
	l.RetryPeriod.Duration = orElse(l.RetryPeriod.Duration, 2*time.Second)
	c.Concurrency.AnalysisJobs = orElse(c.Concurrency.AnalysisJobs, 8)
	c.Concurrency.Models = orElse(c.Concurrency.Models, 4)
	return c
}

func orElse[T comparable](value, other T) T {
	var zero T
	if value == zero {
		return other
	}
	return value
}

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, why := range validation.IsDNS1123Label(c.Namespace) {
		fault("namespace %q: %s", c.Namespace, why)
	}
	for _, part := range []struct{ field, namespace string }{
		{"analysisJobs", c.AnalysisJobs.Namespace}, {"modelVersions", c.ModelVersions.Namespace},
	} {
		if part.namespace != c.Namespace {
			fault("%s.namespace %q must be left out or be the namespace %q", part.field, part.namespace, c.Namespace)
		}
	}
	faults = append(faults, under("analysisJobs", c.AnalysisJobs.Validate()), under("modelVersions", c.ModelVersions.Validate()))
	addresses := map[string]string{"health.address": c.Health.Address, "pprof.address": c.Pprof.Address, "metrics.address": c.Metrics.Address}
	for _, field := range []string{"metrics.address", "health.address", "pprof.address"} {
		if address := addresses[field]; address != "" && (address != "0" || field == "pprof.address") {
			if _, _, err := net.SplitHostPort(address); err != nil {
				fault("%s %q is not host:port", field, address)
			}
		}
	}
	if c.Metrics.Insecure && !loopback(c.Metrics.Address) {
		fault("metrics.insecure is for a loopback address, not %q", c.Metrics.Address)
	}
	if c.Pprof.Address != "" && !loopback(c.Pprof.Address) {
		fault("pprof.address %q must be a loopback address: reach it with kubectl port-forward", c.Pprof.Address)
	}
	if l := c.LeaderElection; l.RenewDeadline.Duration >= l.LeaseDuration.Duration || l.RetryPeriod.Duration >= l.RenewDeadline.Duration {
		fault("leaderElection: retryPeriod %v must be below renewDeadline %v, and that below leaseDuration %v",
			l.RetryPeriod.Duration, l.RenewDeadline.Duration, l.LeaseDuration.Duration)
	}
	for _, n := range []struct {
		field string
		value int
	}{{"analysisJobs", c.Concurrency.AnalysisJobs}, {"models", c.Concurrency.Models}} {
		if n.value < 1 || n.value > MaxConcurrency {
			fault("concurrency.%s %d must be 1 to %d", n.field, n.value, MaxConcurrency)
		}
	}
	if _, err := c.level(); err != nil {
		fault("logLevel %q is none of debug, info, warn and error", c.LogLevel)
	}
	return errors.Join(faults...)
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// under puts the field before every fault of a part of the configuration.
func under(field string, err error) error {
	if err == nil {
		return nil
	}
	joined, many := err.(interface{ Unwrap() []error }) //nolint:errorlint // errors.Join's own type, taken apart
	if !many {
		return fmt.Errorf("%s: %w", field, err)
	}
	var faults []error
	for _, e := range joined.Unwrap() {
		faults = append(faults, fmt.Errorf("%s.%w", field, e))
	}
	return errors.Join(faults...)
}
