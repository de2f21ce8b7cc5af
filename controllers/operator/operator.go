// Package operator puts the controllers together: one configuration, one cache,
// one manager. It is what `manager` runs, and what tests run in its place.
//
// Several replicas may run; with leader election one of them works and the
// others wait with warm caches. The cache holds what the controllers read and
// no more: objects by label, in the one namespace that is served, without
// managed fields and without the parts no pass looks at.
package operator

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/analysisjob"
	"github.com/clarity-loop/clarity/controllers/internal/opmetrics"
	"github.com/clarity-loop/clarity/controllers/modelversion"
)

// LeaseName is the lease that the replicas hold in turn, in the served namespace.
const LeaseName = "clarity-manager"

// Options are what a process decides, and not the platform.
type Options struct {
	// Log is where the manager and its controllers write.
	Log *slog.Logger
	// Version is the program's own, for its metrics.
	Version string
	// Repeatable lets several managers live in one process: a test's.
	Repeatable bool
}

// Scheme knows the kinds of Kubernetes and ours.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register kinds: %w", err)
		}
	}
	return scheme, nil
}

// New returns a manager with every controller. It asks the API server which
// optional kinds it serves: one that is installed later takes a restart.
func New(ctx context.Context, server *rest.Config, config Config, o Options) (ctrl.Manager, error) {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	server = rest.CopyConfig(server)
	server.QPS, server.Burst = -1, 0 // the API server's own fairness decides, not a guess of ours
	server.UserAgent = "clarity-manager"
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	held, err := cacheOptions(server, config)
	if err != nil {
		return nil, err
	}
	l := config.LeaderElection
	mgr, err := ctrl.NewManager(server, ctrl.Options{
		Scheme: scheme, Cache: held, Logger: logr.FromSlogHandler(o.Log.Handler()),
		Metrics:                config.metrics(),
		HealthProbeBindAddress: config.Health.Address,
		PprofBindAddress:       config.Pprof.Address,
		LeaderElection:         l.Enabled, LeaderElectionID: LeaseName, LeaderElectionNamespace: config.Namespace,
		LeaderElectionReleaseOnCancel: true, // the process ends when the manager does
		LeaseDuration:                 &l.LeaseDuration.Duration,
		RenewDeadline:                 &l.RenewDeadline.Duration,
		RetryPeriod:                   &l.RetryPeriod.Duration,
	})
	if err != nil {
		return nil, fmt.Errorf("make manager: %w", err)
	}
	if err := addChecks(mgr); err != nil {
		return nil, err
	}
	return mgr, addControllers(ctx, mgr, config, o)
}

// addControllers is the written-out list.
func addControllers(ctx context.Context, mgr ctrl.Manager, config Config, o Options) error {
	options := func(workers int) controller.Options {
		return controller.Options{MaxConcurrentReconciles: workers, SkipNameValidation: &o.Repeatable}
	}
	told, err := opmetrics.Register(metrics.Registry, mgr.GetCache(), config.Namespace, o.Version)
	if err != nil {
		return err
	}
	if err := analysisjob.SetupWithManager(ctx, mgr, config.AnalysisJobs, options(config.Concurrency.AnalysisJobs), told); err != nil {
		return err
	}
	return modelversion.SetupWithManager(ctx, mgr, config.ModelVersions, options(config.Concurrency.Models), told)
}

// addChecks makes the process alive while it answers, and ready once its caches are full.
func addChecks(mgr ctrl.Manager) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add health check: %w", err)
	}
	synced := func(request *http.Request) error {
		// Full caches say so at once. A context that has ended already would not do:
		// each cache, asked whether it has started, would choose between that and yes by chance.
		ctx, cancel := context.WithTimeout(request.Context(), 100*time.Millisecond)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return fmt.Errorf("the caches are not full yet")
		}
		return nil
	}
	if err := mgr.AddReadyzCheck("caches", synced); err != nil {
		return fmt.Errorf("add readiness check: %w", err)
	}
	return nil
}

func (c Config) metrics() metricsserver.Options {
	options := metricsserver.Options{BindAddress: c.Metrics.Address, CertDir: c.Metrics.CertDir}
	if !c.Metrics.Insecure {
		options.SecureServing = true
		options.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return options
}

// Logger returns a logger of JSON lines at the configured level.
func (c Config) Logger(handler func(*slog.HandlerOptions) slog.Handler) *slog.Logger {
	level, err := c.level()
	if err != nil {
		level = slog.LevelInfo
	}
	return slog.New(handler(&slog.HandlerOptions{Level: level}))
}

func (c Config) level() (slog.Level, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(c.LogLevel))
	return level, err
}

// mapperOf asks the API server for its kinds.
func mapperOf(server *rest.Config) (mapper, error) {
	caller, err := rest.HTTPClientFor(server)
	if err != nil {
		return nil, fmt.Errorf("make HTTP client: %w", err)
	}
	m, err := apiutil.NewDynamicRESTMapper(server, caller)
	if err != nil {
		return nil, fmt.Errorf("ask for the API server's kinds: %w", err)
	}
	return m, nil
}
