// Package configmap reads a traffic plan from the ConfigMap that the operator
// keeps for a model. It asks the API server for that one object alone, by name,
// so that a worker's role is get, list and watch on one resource name.
package configmap

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/clarity-loop/clarity/api/traffic"
)

// A Source is one model's ConfigMap.
type Source struct {
	client          rest.Interface
	namespace, name string
}

var errAbsent = errors.New("there is no ConfigMap")

// New is the ConfigMap of the model in the namespace, on the cluster of config.
func New(config *rest.Config, namespace, model string) (*Source, error) {
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("watch the traffic plan of model %q: %w", model, err)
	}
	return &Source{client.RESTClient(), namespace, traffic.ConfigMapName(model)}, nil
}

// Watch lists and then watches. A watch that ends is resumed where it ended,
// one that is too old begins with a list again, and an API server that is away
// is asked again, each time after longer.
func (s *Source) Watch(ctx context.Context, tell func(text []byte, err error)) {
	list := cache.NewListWatchFromClient(s.client, "configmaps", s.namespace, fields.OneTermEqualSelector("metadata.name", s.name))
	informer := cache.NewSharedInformer(list, &corev1.ConfigMap{}, 0)
	fail := func(err error) { tell(nil, fmt.Errorf("watch ConfigMap %s/%s: %w", s.namespace, s.name, err)) }
	// Both fail only once the informer runs.
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { fail(err) })
	handling, _ := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.tell(o, tell) },
		UpdateFunc: func(_, o any) { s.tell(o, tell) },
		DeleteFunc: func(any) { fail(errAbsent) },
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		informer.RunWithContext(ctx)
	}()
	if cache.WaitForCacheSync(ctx.Done(), handling.HasSynced) && len(informer.GetStore().ListKeys()) == 0 {
		fail(errAbsent)
	}
	<-done
}

// tell passes the plan on, where the object holds one.
func (s *Source) tell(o any, tell func([]byte, error)) {
	m, ok := o.(*corev1.ConfigMap)
	if !ok || m.Name != s.name {
		return
	}
	text, ok := m.Data[traffic.PlanKey]
	if !ok {
		tell(nil, fmt.Errorf("read ConfigMap %s/%s: it has no key %s", s.namespace, s.name, traffic.PlanKey))
		return
	}
	tell([]byte(text), nil)
}
