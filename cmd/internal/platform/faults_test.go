package platform_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

const loopback = "is not a loopback address: health data does not leave this machine unencrypted; listen on 127.0.0.1 and put a TLS proxy in front"

// One fault each, to the letter.
func TestAFaultOfAConfig(t *testing.T) {
	const nobody = "fake, other"
	tests := map[string]struct {
		needs  capability.Set
		change func(*platform.Config)
		want   string // "" for no fault
	}{
		"none":                      {capability.Listener, func(*platform.Config) {}, ""},
		"no stage":                  {0, func(c *platform.Config) { c.Stages = nil }, "name at least one stage of s, t"},
		"a stage in capitals":       {0, func(c *platform.Config) { c.Stages = []string{"s", "T"} }, `there is no stage "T"; the stages are s, t`},
		"a stage twice":             {0, func(c *platform.Config) { c.Stages = []string{"s", "s"} }, ""},
		"no address":                {capability.Listener, func(c *platform.Config) { c.Listen.API = "" }, `listen api: "" is not an address and port such as 127.0.0.1:8080`},
		"a port alone":              {capability.Listener, func(c *platform.Config) { c.Listen.API = "8080" }, `listen api: "8080" is not an address and port such as 127.0.0.1:8080`},
		"an address alone":          {capability.Listener, func(c *platform.Config) { c.Listen.API = "127.0.0.1" }, `listen api: "127.0.0.1" is not an address and port such as 127.0.0.1:8080`},
		"every address":             {capability.Listener, func(c *platform.Config) { c.Listen.API = ":8080" }, "listen api: :8080 " + loopback},
		"another machine":           {capability.Listener, func(c *platform.Config) { c.Listen.API = "192.0.2.1:80" }, "listen api: 192.0.2.1:80 " + loopback},
		"another machine's name":    {capability.Listener, func(c *platform.Config) { c.Listen.API = "example.org:80" }, "listen api: example.org:80 " + loopback},
		"the highest port":          {capability.Listener, func(c *platform.Config) { c.Listen.API = "127.0.0.1:65535" }, ""},
		"a port too high":           {capability.Listener, func(c *platform.Config) { c.Listen.API = "127.0.0.1:65536" }, "listen api: 127.0.0.1:65536 has no port that can be: ports are 0 to 65535"},
		"a port below":              {capability.Listener, func(c *platform.Config) { c.Listen.API = "localhost:-1" }, "listen api: localhost:-1 has no port that can be: ports are 0 to 65535"},
		"localhost":                 {capability.Listener, func(c *platform.Config) { c.Listen.API = "localhost:1" }, ""},
		"the sixth version's":       {capability.Listener, func(c *platform.Config) { c.Listen.API = "[::1]:1" }, ""},
		"an address nobody needs":   {0, func(c *platform.Config) { c.Listen.API = "0.0.0.0:1" }, ""},
		"profiles for all":          {0, func(c *platform.Config) { c.Listen.Profile = "0.0.0.0:1" }, "listen profile: 0.0.0.0:1 " + loopback},
		"one address for both":      {capability.Listener, func(c *platform.Config) { c.Listen = platform.Listen{API: "[::1]:7", Profile: "[::1]:7"} }, "listen: the API and the profiles cannot share the address [::1]:7"},
		"two free ports":            {capability.Listener, func(c *platform.Config) { c.Listen = platform.Listen{API: "[::1]:0", Profile: "[::1]:0"} }, ""},
		"probes for all":            {0, func(c *platform.Config) { c.Listen.Admin = ":8081" }, ""},
		"probes without a port":     {0, func(c *platform.Config) { c.Listen.Admin = "127.0.0.1" }, `listen admin: "127.0.0.1" is not an address and port such as 127.0.0.1:8080`},
		"probes where the API is":   {capability.Listener, func(c *platform.Config) { c.Listen = platform.Listen{API: "[::1]:7", Admin: "[::1]:7"} }, "listen: the API and the probes cannot share the address [::1]:7"},
		"probes where profiles are": {0, func(c *platform.Config) { c.Listen = platform.Listen{Profile: "[::1]:7", Admin: "[::1]:7"} }, "listen: the probes and the profiles cannot share the address [::1]:7"},
		"an origin":                 {0, func(c *platform.Config) { c.Ingress.Origins = []string{"https://app.example", "http://localhost:3000"} }, ""},
		"an origin with a path":     {0, func(c *platform.Config) { c.Ingress.Origins = []string{"https://app.example/"} }, `ingress origins: "https://app.example/" is not an origin such as https://app.example: no path, no pattern`},
		"every origin":              {0, func(c *platform.Config) { c.Ingress.Origins = []string{"*"} }, `ingress origins: "*" is not an origin such as https://app.example: no path, no pattern`},
		"proxies":                   {0, func(c *platform.Config) { c.Ingress.TrustedProxies = []string{"10.0.0.0/8", "::1"} }, ""},
		"proxies' protocol": {0, func(c *platform.Config) {
			c.Ingress.TrustedProxies, c.Ingress.ProxyProtocol = []string{"10.0.0.0/8"}, true
		}, ""},
		"nobody's protocol":          {0, func(c *platform.Config) { c.Ingress.ProxyProtocol = true }, "ingress proxyProtocol: trustedProxies names nobody who may speak it"},
		"a proxy that is none":       {0, func(c *platform.Config) { c.Ingress.TrustedProxies = []string{"proxy"} }, `ingress trustedProxies: "proxy" is not a network such as 10.0.0.0/8`},
		"everybody is a proxy":       {0, func(c *platform.Config) { c.Ingress.TrustedProxies = []string{"0.0.0.0/0"} }, "ingress trustedProxies: 0.0.0.0/0 is everybody, who could then pass for anybody"},
		"less than no connection":    {0, func(c *platform.Config) { c.Ingress.AddressConnections = -1 }, "ingress addressConnections cannot be negative, as -1 is"},
		"one of them is not needed":  {0, func(c *platform.Config) { c.Listen = platform.Listen{API: "[::1]:7", Profile: "[::1]:7"} }, ""},
		"a debounce below zero":      {0, func(c *platform.Config) { c.Worker.Debounce = -time.Second }, "the worker's debounce cannot be negative, as -1s is"},
		"no debounce":                {0, func(c *platform.Config) { c.Worker.Debounce = 0 }, ""},
		"a timeout below zero":       {0, func(c *platform.Config) { c.Insights.WriterTimeout = -1 }, "the writer's timeout cannot be negative, as -1ns is"},
		"texts below zero":           {0, func(c *platform.Config) { c.Insights.TextsPerDay = -1 }, "the texts of a day cannot be negative, as -1 is"},
		"another store":              {capability.Store, func(c *platform.Config) { c.Backends.Store = "floppy:a" }, `store: no driver "floppy" in this binary; it has ` + nobody},
		"other blobs":                {capability.Blobs, func(c *platform.Config) { c.Backends.Blobs = "floppy" }, `blobs: no driver "floppy" in this binary; it has ` + nobody},
		"another queue":              {capability.Queue, func(c *platform.Config) { c.Backends.Queue = "Fake:a" }, `queue: no driver "Fake" in this binary; it has ` + nobody},
		"other keys":                 {capability.Keys, func(c *platform.Config) { c.Backends.Keys = "" }, `keys: "" names no driver; this binary has ` + nobody},
		"other keys, to erase":       {capability.Erasure, func(c *platform.Config) { c.Backends.Keys = "floppy" }, `keys: no driver "floppy" in this binary; it has ` + nobody},
		"another identity":           {capability.Identity, func(c *platform.Config) { c.Backends.Identity = ":a" }, `identity: ":a" names no driver; this binary has ` + nobody},
		"another audit log":          {capability.Audit, func(c *platform.Config) { c.Backends.Audit = "fake.a" }, `audit: no driver "fake.a" in this binary; it has ` + nobody},
		"another writer":             {capability.Writer, func(c *platform.Config) { c.Backends.Writer = "oracle" }, `writer: no driver "oracle" in this binary; it has fake, template`},
		"another plan":               {capability.Model, func(c *platform.Config) { c.Backends.Model = "traffic:pigeon:a" }, `model: traffic: no driver "pigeon" in this binary; it has ` + nobody},
		"a plan of nobody":           {capability.Model, func(c *platform.Config) { c.Backends.Model = "traffic:" }, `model: traffic: "" names no driver; this binary has ` + nobody},
		"a model that is no plan":    {capability.Model, func(c *platform.Config) { c.Backends.Model = "pigeon:a" }, ""},
		"a plan that nobody needs":   {0, func(c *platform.Config) { c.Backends.Model = "traffic:pigeon:a" }, ""},
		"backends that nobody needs": {0, func(c *platform.Config) { c.Backends = platform.Backends{} }, ""},
		"a place of the template":    {capability.Writer, func(c *platform.Config) { c.Backends.Writer = "template:here" }, `writer: template takes nothing behind it, as "here" is`},
		"a template nobody needs":    {0, func(c *platform.Config) { c.Backends.Writer = "template:here" }, ""},
		"a plan without a place":     {capability.Model, func(c *platform.Config) { c.Backends.Model = "traffic:fake" }, "model: traffic:fake names no traffic plan: write where it is, traffic:fake:PATH"},
		"no place that nobody needs": {0, func(c *platform.Config) { c.Backends.Model = "traffic:fake" }, ""},
		"an unknown stage, and what it may have meant": {capability.Store, func(c *platform.Config) {
			c.Stages, c.Backends.Store, c.Backends.Blobs = []string{"u"}, "floppy", "floppy"
		}, `there is no stage "u"; the stages are s, t; store: no driver "floppy" in this binary; it has ` + nobody},
		"an unknown stage, and nothing more said": {capability.Store, func(c *platform.Config) {
			c.Stages, c.Backends.Store = []string{"u"}, ""
		}, `there is no stage "u"; the stages are s, t`},
		"two, in the order of the file": {capability.Store | capability.Listener, func(c *platform.Config) {
			c.Backends.Store, c.Listen.API = "x", "y"
		}, `listen api: "y" is not an address and port such as 127.0.0.1:8080; store: no driver "x" in this binary; it has ` + nobody},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, c := &diary{}, config("s")
			tt.change(&c)
			err := c.Validate(drivers(d, nil), []platform.Stage{stage(d, "s", tt.needs, nil), stage(d, "t", 0, nil)})
			got := ""
			var wrong *platform.ConfigError
			if err != nil {
				got = err.Error()
				if !errors.As(err, &wrong) {
					t.Errorf("%T, want a ConfigError", err)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(d.entries) > 0 {
				t.Errorf("a check opens %v", d.entries)
			}
		})
	}
}

func TestEachCapabilityIsOpenedAlone(t *testing.T) {
	tests := map[capability.Set][]string{
		capability.Store:    {"open store at a"},
		capability.Blobs:    {"open blobs at b:c"},
		capability.Queue:    {"open queue at "},
		capability.Keys:     {"open keys at "},
		capability.Erasure:  {"open keys at "},
		capability.Identity: {"open identity at i"},
		capability.Audit:    {"open audit at l"},
		capability.Writer:   {"open writer at w", "open template at "},
		capability.Model:    {"open plan at p"},
		capability.Listener: nil,
	}
	for needs, want := range tests {
		t.Run(needs.String(), func(t *testing.T) {
			d := &diary{}
			e := env()
			e.Closing = func(string, io.Closer) {}
			opened, err := drivers(d, nil).Open(t.Context(), config("s").Backends, needs, e)
			if err != nil || opened.Store != nil {
				t.Errorf("%+v, %v", opened, err)
			}
			if diff := cmp.Diff(want, d.entries); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What the binary lacks is told before anything is opened.
func TestOpenChecksFirst(t *testing.T) {
	d, b := &diary{}, config("s").Backends
	b.Queue = "floppy"
	var wrong *platform.ConfigError
	if _, err := drivers(d, nil).Open(t.Context(), b, capability.Keys|capability.Queue, env()); !errors.As(err, &wrong) || len(d.entries) > 0 {
		t.Errorf("%v, after %v", err, d.entries)
	}
}

// papers are a store that a stage can see is there.
type papers struct{ store.Driver }

func TestAStageGetsItsStoreAndItsSettings(t *testing.T) {
	d, c := &diary{}, config("s")
	c.Worker.Debounce = time.Hour
	with := drivers(d, nil)
	with.Store["fake"] = func(context.Context, string, platform.Env) (store.Driver, error) { return papers{}, nil }
	var got platform.Parts
	table := []platform.Stage{{Name: "s", Needs: capability.Store | capability.Keys, Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
		got = p
		return nil, nil
	}}}
	p, err := platform.Open(t.Context(), c, with, table, env())
	if err != nil {
		t.Fatal(err)
	}
	if got.Store == nil || got.Listener != nil || got.Registry == nil || got.Config.Worker.Debounce != time.Hour || got.Version != "test" {
		t.Errorf("%+v", got)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// counted is a queue that has messages; one of its consumers cannot be counted.
type counted struct {
	queue.Driver
	broken    string
	unclaimed []queue.Backlog
	lost      error // of asking what is unclaimed
}

// Ready says nothing against it.
func (counted) Ready(context.Context) error { return nil }

func (q counted) Depth(_ context.Context, topic, _ string) (queue.Depth, error) {
	if topic == q.broken {
		return queue.Depth{}, errors.New("no answer")
	}
	return queue.Depth{Waiting: 3, Leased: 2, Dead: 1}, nil
}

func (q counted) Unclaimed(context.Context) ([]queue.Backlog, error) { return q.unclaimed, q.lost }

// registry is what the stages of a platform with this queue measure by.
func registry(t *testing.T, q queue.Driver, needs capability.Set) *prometheus.Registry {
	t.Helper()
	with := drivers(&diary{}, nil)
	with.Queue["fake"] = func(context.Context, string, platform.Env) (queue.Driver, error) { return q, nil }
	var r *prometheus.Registry
	table := []platform.Stage{{Name: "s", Needs: needs, Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
		r = p.Registry
		return nil, nil
	}}}
	p, err := platform.Open(t.Context(), config("s"), with, table, env())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	return r
}

func TestTheQueuesDepthIsMeasured(t *testing.T) {
	const name = "clarity_queue_messages"
	want := "# HELP clarity_queue_messages Messages of a topic for one of its consumers, by state: waiting, leased, dead.\n# TYPE clarity_queue_messages gauge\n"
	var lines []string
	for _, of := range []string{`consumer="analyse"|analyses`, `consumer="exports"|exports`, `consumer="feed"|events`, `consumer="feed"|results`, `consumer="insights"|results`, `consumer="intake"|history`, `consumer="intake"|uploads`, `consumer="wakes"|wakes`, `consumer="webhooks"|webhooks`} {
		consumer, topic, _ := strings.Cut(of, "|")
		for _, state := range []string{`dead",T} 1`, `leased",T} 2`, `waiting",T} 3`} {
			lines = append(lines, name+"{"+consumer+`,state="`+strings.ReplaceAll(state, "T", `topic="`+topic+`"`)+"\n")
		}
	}
	slices.Sort(lines)
	want += strings.Join(lines, "")
	if err := testutil.GatherAndCompare(registry(t, counted{}, capability.Queue), strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry(t, counted{}, 0), name); err != nil || n != 0 {
		t.Errorf("without a queue there are %d series, %v", n, err)
	}
	r := registry(t, counted{broken: "results"}, capability.Queue)
	if _, err := r.Gather(); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("a queue that does not answer: %v", err)
	}
	if n, _ := testutil.GatherAndCount(r, name); n != 9 && n != 0 {
		t.Errorf("of three consumers that answer there are %d series", n)
	}
}

// The log says what runs and that it has stopped, and nothing of the drivers.
func TestTheLogSaysWhatRuns(t *testing.T) {
	var out strings.Builder
	e := env()
	e.Log = slog.New(slog.NewTextHandler(&out, nil))
	p, err := platform.Open(t.Context(), config("s"), drivers(&diary{}, nil), []platform.Stage{stage(&diary{}, "s", capability.Listener, nil)}, e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 3 || !strings.HasSuffix(lines[0], "msg=started stages=[s] listen="+p.URL()) || !strings.HasSuffix(lines[1], "msg=stopped") {
		t.Errorf("the log is %q", out.String())
	}
}

func TestAnAddressThatIsTakenIsTold(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, listen := range map[string]platform.Listen{
		"--listen":       {API: taken.Addr().String()},
		"--pprof":        {API: "127.0.0.1:0", Profile: taken.Addr().String()},
		"--admin-listen": {API: "127.0.0.1:0", Admin: taken.Addr().String()},
	} {
		d, c := &diary{}, config("s")
		c.Listen = listen
		_, err := platform.Open(t.Context(), c, drivers(d, nil), []platform.Stage{stage(d, "s", capability.Listener, nil)}, env())
		if want := "the address " + taken.Addr().String() + " is taken by another process: choose another " + flag + ", or port 0 for a free one"; err == nil || err.Error() != want {
			t.Errorf("%s: %v", flag, err)
		}
		if len(d.entries) > 0 {
			t.Errorf("%s is taken, and there was %v", flag, d.entries)
		}
	}
}

func TestWhyNobodyCanListen(t *testing.T) {
	opaque := errors.New("opaque")
	tests := map[string]struct {
		err  error
		want string
	}{
		"taken":     {os.NewSyscallError("bind", syscall.EADDRINUSE), "the address a:1 is taken by another process: choose another --listen, or port 0 for a free one"},
		"no right":  {&net.OpError{Err: fs.ErrPermission}, "this user has no right to the address a:1: choose a port from 1024 on"},
		"not there": {os.NewSyscallError("bind", syscall.EADDRNOTAVAIL), "this machine has no address a:1: choose another --listen"},
		"who knows": {opaque, "listen on a:1: opaque"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := platform.ListenSentence("--listen", "a:1", tt.err).Error(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
