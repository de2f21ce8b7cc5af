package operator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/operator"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

var cluster testenv.Cluster

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &cluster)) }

// world is a namespace of the real API server.
type world struct {
	t         *testing.T
	rest      *rest.Config
	live      client.Client
	namespace string
}

func newWorld(t *testing.T, namespace string) *world {
	t.Helper()
	w := &world{t: t, rest: cluster.Start(t), namespace: namespace}
	scheme, err := operator.Scheme()
	w.must(err)
	w.live, err = client.New(w.rest, client.Options{Scheme: scheme})
	w.must(err)
	w.must(w.live.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// replica is one running manager.
type replica struct {
	metrics, health string
	log             *logBuffer
	stop            func()
}

type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *logBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// run runs a manager with ports of its own.
func (w *world) run(change func(*operator.Config)) *replica {
	w.t.Helper()
	config, err := operator.Parse([]byte(strings.Replace(valid, "namespace: clarity", "namespace: "+w.namespace, 1)))
	w.must(err)
	r := &replica{metrics: free(w.t), health: free(w.t), log: &logBuffer{}}
	config.Metrics.Address, config.Health.Address = r.metrics, r.health
	change(&config)
	log := config.Logger(func(o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(r.log, o) })
	ctx, cancel := context.WithCancel(context.Background())
	mgr, err := operator.New(ctx, w.rest, config, operator.Options{Log: log, Repeatable: true})
	w.must(err)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("manager: %v\n%s", err, r.log.text())
		}
	})
	w.t.Cleanup(r.stop)
	return r
}

// free is a loopback address nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// until asks again until what is so.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if is() {
			return
		}
	}
	w.t.Fatalf("never so: %s", what)
}

// get returns the status and the body; 0 where nobody answers.
func get(url, token string) (int, string) {
	caller := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the certificate is made up
	}}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	reply, err := caller.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = reply.Body.Close() }()
	body, _ := io.ReadAll(reply.Body)
	return reply.StatusCode, string(body)
}

// account makes a service account and returns a token of it.
func (w *world) account(name string) string {
	w.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace}}
	w.must(w.live.Create(w.t.Context(), account))
	token := &authenticationv1.TokenRequest{}
	w.must(w.live.SubResource("token").Create(w.t.Context(), account, token))
	return token.Status.Token
}

func TestMetricsAreForWhoMayGetThem(t *testing.T) {
	w := newWorld(t, "metrics")
	stranger, scraper := w.account("stranger"), w.account("scraper")
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "scrape"},
		Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "scrape"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "scrape"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "scraper", Namespace: w.namespace}}}
	w.must(w.live.Create(t.Context(), role))
	w.must(w.live.Create(t.Context(), binding))

	r := w.run(func(*operator.Config) {})
	w.until("the manager is ready", func() bool { code, _ := get("http://"+r.health+"/readyz", ""); return code == http.StatusOK })
	w.until("the metrics are served", func() bool { code, _ := get("https://"+r.metrics+"/metrics", ""); return code != 0 })
	for name, tt := range map[string]struct {
		url, token string
		want       int
	}{
		"nobody":                    {"https://" + r.metrics + "/metrics", "", http.StatusUnauthorized},
		"a made-up token":           {"https://" + r.metrics + "/metrics", "made.up.token", http.StatusInternalServerError}, // the API server's own refusal, passed on
		"an account without rights": {"https://" + r.metrics + "/metrics", stranger, http.StatusForbidden},
		"plain HTTP":                {"http://" + r.metrics + "/metrics", scraper, http.StatusBadRequest},
		"liveness, to anyone":       {"http://" + r.health + "/healthz", "", http.StatusOK},
		"pprof, which is off":       {"http://" + r.health + "/debug/pprof/", "", http.StatusNotFound},
	} {
		if code, body := get(tt.url, tt.token); code != tt.want {
			t.Errorf("%s: status %d, want %d: %s", name, code, tt.want, body)
		}
	}
	w.until("who may gets the metrics", func() bool { // the API server learns of the binding in its own time
		code, body := get("https://"+r.metrics+"/metrics", scraper)
		return code == http.StatusOK && strings.Contains(body, "controller_runtime_max_concurrent_reconciles") &&
			strings.Contains(body, "\nclarity_operator_state_readable 1\n") && strings.Contains(body, `clarity_operator_analysisjobs{state="Running"} 0`)
	})
}

func TestASecondReplicaTakesOverWhenTheFirstEnds(t *testing.T) {
	w := newWorld(t, "replicas")
	electing := func(c *operator.Config) { c.LeaderElection.Enabled = true }
	leader := func() string {
		var lease coordinationv1.Lease
		err := w.live.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: operator.LeaseName}, &lease)
		if err != nil || lease.Spec.HolderIdentity == nil {
			return ""
		}
		return *lease.Spec.HolderIdentity
	}
	accepted := func(name string) func() bool {
		return func() bool {
			var job v1alpha1.AnalysisJob
			w.must(w.live.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, &job))
			return job.Status.Job != ""
		}
	}
	create := func(name string) {
		w.must(w.live.Create(t.Context(), &v1alpha1.AnalysisJob{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
			Spec: v1alpha1.AnalysisJobSpec{
				Subjects: v1alpha1.Subjects{All: &v1alpha1.AllSubjects{}}, Analyses: []v1alpha1.AnalysisName{"sleep"},
				Window: v1alpha1.AnalysisWindow{Start: "2026-11-01", End: "2026-11-07"},
			},
		}))
	}
	first := w.run(electing)
	w.until("the first leads", func() bool { return leader() != "" })
	was := leader()
	second := w.run(electing)
	w.until("the second is ready, and waits", func() bool { code, _ := get("http://"+second.health+"/readyz", ""); return code == http.StatusOK })
	create("one")
	w.until("the first works", accepted("one"))
	if leader() != was {
		t.Errorf("the lease went from %s to %s while both ran", was, leader())
	}
	first.stop()
	create("two")
	w.until("the second works", accepted("two"))
	if leader() == was {
		t.Error("the lease is still the first's")
	}
}

func TestAConfigurationWithFaultsStartsNothing(t *testing.T) {
	config := operator.Config{Namespace: "clarity"}
	_, err := operator.New(t.Context(), &rest.Config{Host: "127.0.0.1:1"}, config, operator.Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "analysisJobs.image") {
		t.Errorf("New: %v; want the image's fault", err)
	}
}

func TestAServerThatIsNotThereIsTold(t *testing.T) {
	config, err := operator.Parse([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	_, err = operator.New(t.Context(), &rest.Config{Host: "127.0.0.1:1"}, config, operator.Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "kinds") {
		t.Errorf("New: %v; want what could not be asked", fmt.Sprint(err))
	}
}
