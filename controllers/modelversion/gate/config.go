package gate

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Config says where Prometheus is and how much an answer needs. It is read
// once, at the manager's start.
type Config struct {
	// URL is Prometheus' own, or that of something that speaks its HTTP API, with a path prefix if it has one.
	URL string `json:"url"`
	// BearerTokenFile is a file whose content is sent as bearer token; it is read for every
	// question, so that it may be rotated. Only over https, or to this machine itself.
	BearerTokenFile string `json:"bearerTokenFile,omitempty"`
	// CAFile holds the certificates (PEM) that vouch for the server; the system's if empty.
	CAFile string `json:"caFile,omitempty"`
	// Timeout bounds one question; 10 s if zero.
	Timeout metav1.Duration `json:"timeout,omitzero"`
	// MinWindow is the least time a gate looks back, so that it holds a few scrapes; 1 m if zero.
	// A step younger than this is evaluated with what was measured shortly before it.
	MinWindow metav1.Duration `json:"minWindow,omitzero"`
	// MaxWindow is the most time a gate looks back, so that a long step is evaluated by how
	// it goes now; 24 h if zero. Samples are counted since the step began all the same.
	MaxWindow metav1.Duration `json:"maxWindow,omitzero"`
	// MinSamples is how few samples are too few for the built-in sources to evaluate; 20 if zero.
	MinSamples int64 `json:"minSamples,omitempty"`
	// RetryAfter is how long Prometheus is left alone once it did not answer; 5 s if zero.
	// Questions in that time are answered Error at once, so that no reconcile waits behind another's timeout.
	RetryAfter metav1.Duration `json:"retryAfter,omitzero"`
}

const (
	defaultTimeout    = 10 * time.Second
	defaultMinWindow  = time.Minute
	defaultMaxWindow  = 24 * time.Hour
	defaultMinSamples = 20
	defaultRetryAfter = 5 * time.Second
)

// WithDefaults returns the configuration with what may be left out filled in.
func (c Config) WithDefaults() Config {
	for _, d := range []struct {
		set *time.Duration
		to  time.Duration
	}{
		{&c.Timeout.Duration, defaultTimeout},
		{&c.MinWindow.Duration, defaultMinWindow},
		{&c.MaxWindow.Duration, max(defaultMaxWindow, c.MinWindow.Duration)},
		{&c.RetryAfter.Duration, defaultRetryAfter},
	} {
		if *d.set == 0 {
			*d.set = d.to
		}
	}
	if c.MinSamples == 0 {
		c.MinSamples = defaultMinSamples
	}
	return c
}

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	u, why := c.parseURL()
	for _, w := range why {
		fault("url: %s", w)
	}
	for _, file := range []struct{ field, path string }{{"bearerTokenFile", c.BearerTokenFile}, {"caFile", c.CAFile}} {
		if file.path == "" {
			continue
		}
		if !filepath.IsAbs(file.path) {
			fault("%s %q must be an absolute path", file.field, file.path)
		}
		if u != nil && u.Scheme != "https" && !loopback(u.Hostname()) {
			fault("%s needs a url that begins with https://", file.field)
		}
	}
	for _, d := range []struct {
		field      string
		value, max time.Duration
	}{
		{"timeout", c.Timeout.Duration, time.Minute},
		{"minWindow", c.MinWindow.Duration, 24 * time.Hour},
		{"maxWindow", c.MaxWindow.Duration, 90 * 24 * time.Hour},
		{"retryAfter", c.RetryAfter.Duration, 10 * time.Minute},
	} {
		if d.value < 0 || d.value > d.max {
			fault("%s %v must be between 0 and %v", d.field, d.value, d.max)
		}
	}
	if d := c.WithDefaults(); d.MinWindow.Duration > d.MaxWindow.Duration {
		fault("minWindow %v is above maxWindow %v", d.MinWindow.Duration, d.MaxWindow.Duration)
	}
	if c.MinSamples < 0 || c.MinSamples > 1_000_000 {
		fault("minSamples %d must be between 0 and 1000000", c.MinSamples)
	}
	return errors.Join(faults...)
}

// parseURL says what is wrong with the URL and never quotes it: it may hold a password.
func (c Config) parseURL() (u *url.URL, faults []string) {
	if c.URL == "" {
		return nil, []string{"is required"}
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, []string{"is not a URL"}
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		faults = append(faults, "must be like https://host:9090 or http://host:9090")
	}
	if u.User != nil {
		faults = append(faults, "must not hold a user or a password: use bearerTokenFile")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		faults = append(faults, "must not have a query or a fragment")
	}
	return u, faults
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
