package operator

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/controllers/analysisjob"
	"github.com/clarity-loop/clarity/controllers/modelversion"
)

type mapper = meta.RESTMapper

// cacheOptions is what all controllers together read.
func cacheOptions(server *rest.Config, config Config) (cache.Options, error) {
	kinds, err := mapperOf(server)
	if err != nil {
		return cache.Options{}, err
	}
	jobs, err := analysisjob.CacheOptions(config.AnalysisJobs, kinds)
	if err != nil {
		return cache.Options{}, fmt.Errorf("cache of analysis jobs: %w", err)
	}
	models, err := modelversion.CacheOptions(config.ModelVersions, kinds)
	if err != nil {
		return cache.Options{}, fmt.Errorf("cache of model versions: %w", err)
	}
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         merge(jobs, models),
	}, nil
}

// merge makes one cache of several controllers' wishes. Where two want objects
// of one kind, it holds those of both, each stripped as the one that wants it
// strips it.
func merge(wishes ...map[client.Object]cache.ByObject) map[client.Object]cache.ByObject {
	merged := map[client.Object]cache.ByObject{}
	for _, wish := range wishes {
		for kind, by := range wish {
			same, other, found := lookUp(merged, kind)
			if !found {
				merged[kind] = by
				continue
			}
			merged[same] = both(other, by)
		}
	}
	return merged
}

// lookUp finds the entry of the kind: the same type, and for unstructured objects the same kind.
func lookUp(in map[client.Object]cache.ByObject, kind client.Object) (client.Object, cache.ByObject, bool) {
	for k, by := range in {
		if reflect.TypeOf(k) == reflect.TypeOf(kind) && k.GetObjectKind().GroupVersionKind() == kind.GetObjectKind().GroupVersionKind() {
			return k, by, true
		}
	}
	return nil, cache.ByObject{}, false
}

// both holds what a or b selects, by a component's label: namespaces are the same for every controller.
func both(a, b cache.ByObject) cache.ByObject {
	return cache.ByObject{
		Namespaces: a.Namespaces,
		Label:      componentIn(append(componentsOf(a.Label), componentsOf(b.Label)...)),
		Transform:  eachByItsOwn(a, b),
	}
}

func componentsOf(selector labels.Selector) []string {
	var values []string
	requirements, _ := selector.Requirements()
	for _, r := range requirements {
		if r.Key() == label.Component {
			values = append(values, r.Values().UnsortedList()...)
		}
	}
	return values
}

func componentIn(values []string) labels.Selector {
	r, err := labels.NewRequirement(label.Component, selection.In, values)
	if err != nil {
		panic(err) // the values are constants of ours
	}
	return labels.NewSelector().Add(*r)
}

// eachByItsOwn strips an object as the controller does that selects it.
func eachByItsOwn(a, b cache.ByObject) toolscache.TransformFunc {
	return func(o any) (any, error) {
		object, ok := o.(client.Object)
		for _, by := range []cache.ByObject{a, b} {
			if ok && by.Transform != nil && by.Label.Matches(labels.Set(object.GetLabels())) {
				return by.Transform(o)
			}
		}
		return cache.TransformStripManagedFields()(o)
	}
}
