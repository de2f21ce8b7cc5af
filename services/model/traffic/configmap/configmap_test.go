package configmap_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clarity-loop/clarity/services/model/traffic/configmap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func object(name, version, plan string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "clarity", Name: name, ResourceVersion: version},
		Data:       map[string]string{"plan.json": plan},
	}
}

// An api is so much of an API server as a list and a watch need.
type api struct {
	*testing.T
	mu      sync.Mutex
	status  int // what a request is answered with, if not 200
	listed  []*corev1.ConfigMap
	asked   []string
	watches chan watching
}

type watching struct {
	event func(kind string, o any)
	end   func()
}

func (a *api) set(status int, listed ...*corev1.ConfigMap) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.listed = status, listed
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	a.mu.Lock()
	status, listed := a.status, a.listed
	a.asked = append(a.asked, fmt.Sprintf("%s %s %s watch=%s from=%s", r.Method, r.URL.Path, q.Get("fieldSelector"), q.Get("watch"), q.Get("resourceVersion")))
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if status != 0 {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(status), Message: "away"})
		return
	}
	if q.Get("watch") == "" {
		list := corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{Kind: "ConfigMapList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "10"}}
		for _, o := range listed {
			list.Items = append(list.Items, *o)
		}
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	if q.Get("sendInitialEvents") == "true" { // as a server does that cannot stream lists
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure",
			Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: "sendInitialEvents is forbidden"})
		return
	}
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	ctx, end := context.WithCancel(r.Context())
	defer end()
	events := make(chan []byte)
	watch := watching{end: end, event: func(kind string, o any) {
		raw, err := json.Marshal(map[string]any{"type": kind, "object": o})
		if err != nil {
			a.Error(err)
		}
		events <- raw
	}}
	select {
	case a.watches <- watch:
	case <-ctx.Done():
		return
	}
	for {
		select {
		case e := <-events:
			_, _ = w.Write(append(e, '\n'))
			w.(http.Flusher).Flush()
		case <-ctx.Done():
			return
		}
	}
}

type told struct {
	text string
	err  error
}

func watch(t *testing.T, config *rest.Config) (next func(what string) told) {
	t.Helper()
	s, err := configmap.New(config, "clarity", "pat")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	got, done := make(chan told, 100), make(chan struct{})
	go func() {
		defer close(done)
		s.Watch(ctx, func(text []byte, err error) { got <- told{string(text), err} })
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return func(what string) told {
		t.Helper()
		select {
		case g := <-got:
			return g
		case <-time.After(30 * time.Second):
			t.Fatalf("never told: %s", what)
			return told{}
		}
	}
}

func TestAConfigMapIsFollowed(t *testing.T) {
	a := &api{T: t, watches: make(chan watching)}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.set(0, object("clarity-traffic-pat", "9", "one"))
	next := watch(t, &rest.Config{Host: server.URL})
	plan := func(what, want string) {
		t.Helper()
		if g := next(what); g.text != want || g.err != nil {
			t.Fatalf("%s: told %q, %v", what, g.text, g.err)
		}
	}
	fault := func(what, want string) {
		t.Helper()
		if g := next(what); g.err == nil || !strings.Contains(g.err.Error(), want) {
			t.Fatalf("%s: told %q, %v", what, g.text, g.err)
		}
	}
	plan("the list", "one")
	first := <-a.watches
	first.event("MODIFIED", object("clarity-traffic-pat", "11", "two"))
	plan("a change", "two")

	// A watch that ends is resumed from what it brought.
	first.end()
	second := <-a.watches
	second.event("MODIFIED", object("clarity-traffic-pat", "12", "three"))
	plan("a change after the watch was resumed", "three")

	// One that is too old begins with a list.
	a.set(0, object("clarity-traffic-pat", "20", "four"))
	second.event("ERROR", metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: http.StatusGone, Reason: metav1.StatusReasonExpired})
	for {
		g := next("the new list")
		if g.err == nil && g.text == "four" {
			break
		}
	}
	third := <-a.watches
	noPlan := object("clarity-traffic-pat", "21", "")
	noPlan.Data = nil
	third.event("MODIFIED", noPlan)
	fault("an object without a plan", "no key plan.json")
	third.event("DELETED", object("clarity-traffic-pat", "22", "four"))
	fault("a deletion", "no ConfigMap")

	a.mu.Lock()
	defer a.mu.Unlock()
	resumed := false
	for _, asked := range a.asked {
		if !strings.HasPrefix(asked, "GET /api/v1/namespaces/clarity/configmaps metadata.name=clarity-traffic-pat ") {
			t.Errorf("asked for more than the one object: %s", asked)
		}
		resumed = resumed || strings.HasSuffix(asked, "watch=true from=11")
	}
	if !resumed {
		t.Errorf("no watch was resumed from version 11:\n%s", strings.Join(a.asked, "\n"))
	}
}

func TestAnAPIServerThatIsAwayIsAskedAgain(t *testing.T) {
	a := &api{T: t, watches: make(chan watching)}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.set(http.StatusServiceUnavailable)
	next := watch(t, &rest.Config{Host: server.URL})
	if g := next("that it is away"); g.err == nil {
		t.Fatalf("told %q", g.text)
	}
	a.set(0, object("clarity-traffic-pat", "9", "one"))
	for {
		if g := next("the plan"); g.err == nil {
			if g.text != "one" {
				t.Errorf("told %q", g.text)
			}
			return
		}
	}
}

func TestAConfigMapThatIsNotThere(t *testing.T) {
	a := &api{T: t, watches: make(chan watching)}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	next := watch(t, &rest.Config{Host: server.URL})
	if g := next("that it is not there"); g.err == nil || !strings.Contains(g.err.Error(), "no ConfigMap") {
		t.Fatalf("told %q, %v", g.text, g.err)
	}
	(<-a.watches).event("ADDED", object("clarity-traffic-pat", "11", "one"))
	if g := next("the plan"); g.text != "one" || g.err != nil {
		t.Errorf("told %q, %v", g.text, g.err)
	}
}
