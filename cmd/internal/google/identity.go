package google

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/appcheck"
	"github.com/clarity-loop/clarity/services/identity/firebase"
)

// people opens who verifies theirs, by Google's certificates, or those of a stand-in that
// signs; of Firebase's own emulator, which does not, every token is believed.
func (c *Cloud) people(ctx context.Context, config firebase.Config, now func() time.Time) (*firebase.Verifier, error) {
	if c.signer == "" {
		config.Emulator = c.auth
		return firebase.Open(ctx, config, now)
	}
	config.Accounts = "http://" + c.signer
	config.Certificates = config.Accounts + strings.TrimPrefix(firebase.CertificatesURL, "https://www.googleapis.com")
	return firebase.Open(ctx, config, now, option.WithoutAuthentication())
}

// Identity opens who verifies tokens: people's and, where it is told to, apps'.
func (c *Cloud) Identity(ctx context.Context, at string, e platform.Env) (identity.Verifier, error) {
	who, err := peopleOf(at)
	if err != nil {
		return nil, err
	}
	people, err := c.people(ctx, who.people, e.Now)
	if err != nil || who.apps.Mode == appcheck.Off {
		return people, err
	}
	v := &verifier{Verifier: people, counts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clarity_app_check_requests_total", Help: "Requests at what is a person's own, by what was found of the app that sent them: good, missing, invalid, unavailable.",
	}, []string{"outcome"})}
	for _, outcome := range []appcheck.Outcome{appcheck.Good, appcheck.Missing, appcheck.Invalid, appcheck.Unavailable} {
		v.counts.WithLabelValues(string(outcome))
	}
	v.apps, err = appcheck.New(who.apps, e.Now, func(o appcheck.Outcome) { v.counts.WithLabelValues(string(o)).Inc() })
	return v, err
}

// A verifier knows people and apps, and counts the apps.
type verifier struct {
	*firebase.Verifier
	apps   *appcheck.Checker
	counts *prometheus.CounterVec
}

// Ready says why nobody's request can be admitted now.
func (v *verifier) Ready(ctx context.Context) error {
	if err := v.Verifier.Ready(ctx); err != nil {
		return err
	}
	return v.apps.Ready(ctx)
}

// Header is where a request has its app's token.
func (*verifier) Header() string { return appcheck.Header }

// Admit says whether the request is served.
func (v *verifier) Admit(ctx context.Context, token string) error { return v.apps.Admit(ctx, token) }

// Describe is prometheus.Collector's.
func (v *verifier) Describe(to chan<- *prometheus.Desc) { v.counts.Describe(to) }

// Collect is prometheus.Collector's.
func (v *verifier) Collect(to chan<- prometheus.Metric) { v.counts.Collect(to) }
