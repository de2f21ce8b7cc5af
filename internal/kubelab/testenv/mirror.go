package testenv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// A mirror holds the objects of a namespace as watches show them.
type mirror struct {
	live    client.WithWatch
	of      string // the namespace
	fields  func(client.Object) fields.Set
	mu      sync.Mutex
	changed chan struct{} // closed at the next event
	kinds   map[schema.GroupVersionKind]*shelf
}

// A shelf holds the objects of one kind.
type shelf struct {
	objects map[string]client.Object
	seen    int64                // the revision of the last event
	written int64                // the revision of the last write of ours
	deleted map[string]types.UID // by us, and no event has told so yet
	err     error                // why there are no more events
}

// Mirror returns a client whose reads of these kinds in the namespace come from
// watches, as an operator's come from its cache. They show every write that was
// made through the client, and soon those of others. Everything else goes to the
// API server, which tests that read over and over keep busy otherwise. It ends
// with the test. fields says what of an object lists are selected by; nil if by
// nothing.
func (n *Namespace) Mirror(fields func(client.Object) fields.Set, lists ...client.ObjectList) client.WithWatch {
	n.t.Helper()
	m := &mirror{live: n.Live, of: n.Name, fields: fields, changed: make(chan struct{}), kinds: map[schema.GroupVersionKind]*shelf{}}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	n.t.Cleanup(func() { stop(); watching.Wait() })
	for _, list := range lists {
		kind, err := m.kindOf(list)
		if err != nil {
			n.t.Fatal(err)
		}
		// The namespace held nothing when it was made.
		events, err := n.Live.Watch(ctx, list, client.InNamespace(n.Name), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: n.made}})
		if err != nil {
			n.t.Fatal(err)
		}
		s := &shelf{objects: map[string]client.Object{}, deleted: map[string]types.UID{}}
		m.kinds[kind] = s
		watching.Go(func() {
			for event := range events.ResultChan() {
				m.hear(s, event)
			}
			m.hear(s, watch.Event{Type: watch.Error})
		})
	}
	return interceptor.NewClient(n.Live, m.calls())
}

// calls are the client's: reads from the shelves, and writes that are noted there.
func (m *mirror) calls() interceptor.Funcs {
	return interceptor.Funcs{
		Get:  m.get,
		List: m.list,
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return m.note(o, c.Create(ctx, o, opts...))
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return m.note(o, c.Update(ctx, o, opts...))
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return m.note(o, c.Patch(ctx, o, p, opts...))
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return m.note(o, c.SubResource(sub).Update(ctx, o, opts...))
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return m.note(o, c.SubResource(sub).Patch(ctx, o, p, opts...))
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return m.noteApplied(ctx, o, c.Apply(ctx, o, opts...))
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return m.noteDeleted(o, c.Delete(ctx, o, opts...))
		},
	}
}

// kindOf is the kind of an object or of what a list holds.
func (m *mirror) kindOf(o runtime.Object) (schema.GroupVersionKind, error) {
	kind, err := apiutil.GVKForObject(o, m.live.Scheme())
	kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	return kind, err
}

// shelf is where the kind's objects are; nil where they are not mirrored.
func (m *mirror) shelf(o runtime.Object) (*shelf, schema.GroupVersionKind) {
	kind, err := m.kindOf(o)
	if err != nil {
		return nil, kind
	}
	return m.kinds[kind], kind
}

// hear takes an event in.
func (m *mirror) hear(s *shelf, event watch.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
	o, ok := event.Object.(client.Object)
	if !ok || event.Type == watch.Error {
		s.err = errors.Join(s.err, fmt.Errorf("the watch ended: %w", apierrors.FromObject(event.Object)))
		return
	}
	s.seen = max(s.seen, revision(o))
	if event.Type == watch.Deleted {
		delete(s.objects, o.GetName())
	} else {
		s.objects[o.GetName()] = o
	}
	if uid, ours := s.deleted[o.GetName()]; ours && uid == o.GetUID() && (event.Type == watch.Deleted || o.GetDeletionTimestamp() != nil) {
		delete(s.deleted, o.GetName())
	}
}

func revision(o client.Object) int64 {
	n, _ := strconv.ParseInt(o.GetResourceVersion(), 10, 64) // of a number that etcd counts
	return n
}

// note has the next read wait for the write of o.
func (m *mirror) note(o client.Object, err error) error {
	if s, _ := m.shelf(o); err == nil && s != nil && o.GetNamespace() == m.of {
		m.mu.Lock()
		defer m.mu.Unlock()
		s.written = max(s.written, revision(o))
	}
	return err
}

// noteApplied is note for what was applied, which is not told its revision.
func (m *mirror) noteApplied(ctx context.Context, applied runtime.ApplyConfiguration, err error) error {
	if err != nil {
		return err
	}
	var kind, name string
	switch o := applied.(type) {
	case interface {
		GetKind() string
		GetName() string
	}:
		kind, name = o.GetKind(), o.GetName()
	case interface {
		GetKind() *string
		GetName() *string
	}:
		kind, name = *o.GetKind(), *o.GetName()
	default:
		return fmt.Errorf("mirror what was applied: %T has no name", applied)
	}
	for of := range m.kinds {
		if of.Kind != kind {
			continue
		}
		o, err := m.live.Scheme().New(of)
		if err != nil {
			return fmt.Errorf("mirror what was applied: %w", err)
		}
		object := o.(client.Object) //nolint:forcetypeassert // it is on a shelf
		return m.note(object, client.IgnoreNotFound(m.live.Get(ctx, client.ObjectKey{Namespace: m.of, Name: name}, object)))
	}
	return nil
}

// noteDeleted has the next read wait until the watch tells that o goes.
func (m *mirror) noteDeleted(o client.Object, err error) error {
	s, _ := m.shelf(o)
	if err != nil || s == nil || o.GetNamespace() != m.of {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if there := s.objects[o.GetName()]; there != nil && there.GetDeletionTimestamp() == nil && (o.GetUID() == "" || there.GetUID() == o.GetUID()) {
		s.deleted[o.GetName()] = there.GetUID()
	}
	return nil
}

// patience is how long an event may take that tells of a write.
const patience = time.Minute

// read calls use with the mirror locked, once it shows all that was written.
func (m *mirror) read(ctx context.Context, s *shelf, use func() error) error {
	limit := time.After(patience)
	for {
		m.mu.Lock()
		if s.err != nil || s.seen >= s.written && len(s.deleted) == 0 {
			defer m.mu.Unlock()
			return errors.Join(s.err, use())
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return errors.New("the watch does not tell of what was written")
		}
	}
}

func (m *mirror) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	s, kind := m.shelf(into)
	if s == nil || key.Namespace != m.of || len(opts) > 0 {
		return c.Get(ctx, key, into, opts...)
	}
	return m.read(ctx, s, func() error {
		there := s.objects[key.Name]
		if there == nil {
			return apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, key.Name)
		}
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(there.DeepCopyObject()).Elem())
		return nil
	})
}

func (m *mirror) list(ctx context.Context, c client.WithWatch, into client.ObjectList, opts ...client.ListOption) error {
	s, _ := m.shelf(into)
	o := (&client.ListOptions{}).ApplyOptions(opts)
	if s == nil || o.Namespace != m.of || o.Raw != nil || o.Limit != 0 || o.FieldSelector != nil && m.fields == nil {
		return c.List(ctx, into, opts...)
	}
	return m.read(ctx, s, func() error {
		var found []runtime.Object
		for _, name := range slices.Sorted(maps.Keys(s.objects)) {
			there := s.objects[name]
			if (o.LabelSelector == nil || o.LabelSelector.Matches(labels.Set(there.GetLabels()))) &&
				(o.FieldSelector == nil || o.FieldSelector.Matches(m.fields(there))) {
				found = append(found, there.DeepCopyObject())
			}
		}
		return meta.SetList(into, found)
	})
}
