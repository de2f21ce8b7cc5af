package platform

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/traffic"
	"github.com/clarity-loop/clarity/services/model/traffic/configmap"
	"github.com/clarity-loop/clarity/services/model/traffic/file"
	"github.com/clarity-loop/clarity/services/model/triton"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// The references of models behind a traffic plan.
const (
	trafficFile      = "traffic:file:"
	trafficConfigMap = "traffic:configmap:"
	// planEvery is how often a plan in a file is looked at.
	planEvery = time.Second
)

// Models are what a worker asks, opened.
type Models struct {
	// Chooser says which version looks at whose week; nil where there is none.
	Chooser analyse.Models
	// Run follows the traffic plan until its context ends.
	Run func(context.Context) error
	// Ready waits until a version can be asked.
	Ready func(context.Context) error
	// Close lets the versions go, after Run and after the requests.
	Close func()
}

// OpenModels opens what ref names: a single model (see OpenModel), or the
// versions behind a traffic plan, "traffic:file:DIR" for a plan in a mounted
// ConfigMap and "traffic:configmap:NAMESPACE/MODEL" for the one that the
// operator keeps. Metrics of a plan's versions go to metrics.
func OpenModels(ctx context.Context, ref string, metrics prometheus.Registerer, log *slog.Logger) (*Models, error) {
	nothing := func(context.Context) error { return nil }
	if !strings.HasPrefix(ref, "traffic:") {
		m, done, err := OpenModel(ctx, ref)
		if err != nil || m == nil {
			return &Models{Run: nothing, Ready: nothing, Close: func() {}}, err
		}
		return &Models{Chooser: analyse.One(m), Run: nothing, Ready: nothing, Close: done}, nil
	}
	o := traffic.Options{Metrics: metrics, Log: log, Now: time.Now, Open: openTriton(log)}
	var err error
	if o.Model, o.Source, err = openPlan(ref); err != nil {
		return nil, err
	}
	r, err := traffic.New(o)
	if err != nil {
		return nil, err
	}
	return &Models{Chooser: r, Run: r.Run, Ready: r.Ready, Close: r.Close}, nil
}

// openPlan is where the plan that ref names comes from.
func openPlan(ref string) (model string, s traffic.Source, err error) {
	if dir, ok := strings.CutPrefix(ref, trafficFile); ok && dir != "" {
		return "", file.New(dir, planEvery), nil
	}
	object, ok := strings.CutPrefix(ref, trafficConfigMap)
	namespace, model, both := strings.Cut(object, "/")
	if !ok || !both || namespace == "" || model == "" {
		return "", nil, configErrorf("%q names no traffic plan: say %sDIR or %sNAMESPACE/MODEL", ref, trafficFile, trafficConfigMap)
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return "", nil, fmt.Errorf("find the cluster of %s: %w", ref, err)
	}
	s, err = configmap.New(config, namespace, model)
	return model, s, err
}

// openTriton connects to a version's Triton.
func openTriton(log *slog.Logger) traffic.Open {
	return func(ctx context.Context, name string, e traffic.Entry) (model.Model, func(), error) {
		c, err := triton.Dial(ctx, e.Endpoint, triton.Version{Model: name, Digest: e.Digest}, triton.Options{Log: log})
		if err != nil {
			return nil, nil, err
		}
		return c, c.Close, nil
	}
}
