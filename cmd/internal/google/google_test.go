package google_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/appcheck"
	"github.com/clarity-loop/clarity/services/identity/firebase"
)

const (
	key  = "kms:projects/demo-clarity/locations/europe-west3/keyRings/clarity/cryptoKeys/kek"
	good = key + "?documents=demo-clarity/clarity-keys"
)

func backends() platform.Backends {
	return platform.Backends{Store: "firestore:demo-clarity/clarity", Queue: "pubsub:demo-clarity/clarity?prefix=clarity-", Blobs: "gcs:demo-clarity-uploads",
		Keys: good, Identity: "firebase:demo-clarity?tenants=,clinic-a1", Audit: "gcs:demo-clarity-audit", Writer: "gemini:demo-clarity/europe-west1/gemini-3.5-flash-lite"}
}

const all = capability.Store | capability.Queue | capability.Blobs | capability.Keys | capability.Identity | capability.Audit | capability.Writer

// What is wrong with a place is said with what would be right, and all of it at once.
func TestWrongPlacesAreTold(t *testing.T) {
	tests := map[string]struct {
		change func(*platform.Backends)
		want   string
	}{
		"as it should be":             {func(*platform.Backends) {}, ""},
		"the database of none":        {func(b *platform.Backends) { b.Store = "firestore:demo-clarity" }, "store: it names no PROJECT/DATABASE: write firestore:PROJECT/DATABASE"},
		"a database below":            {func(b *platform.Backends) { b.Store = "firestore:demo-clarity/clarity/x" }, "store: it names no PROJECT/DATABASE"},
		"no place":                    {func(b *platform.Backends) { b.Store = "firestore" }, "store: it names no PROJECT/DATABASE"},
		"the project's number":        {func(b *platform.Backends) { b.Store = "firestore:1234567/clarity" }, "store: it names no PROJECT/DATABASE"},
		"the usual database":          {func(b *platform.Backends) { b.Store = "firestore:demo-clarity/(default)" }, ""},
		"a setting of none":           {func(b *platform.Backends) { b.Queue += "&color=red" }, `queue: there is no setting "color"; it has prefix, endpoint: write pubsub:PROJECT/DATABASE`},
		"a setting twice":             {func(b *platform.Backends) { b.Queue += "&prefix=x" }, "queue: prefix is set 2 times"},
		"a prefix in capitals":        {func(b *platform.Backends) { b.Queue = "pubsub:demo-clarity/clarity?prefix=X" }, "queue: prefix is what names begin with"},
		"an endpoint without port":    {func(b *platform.Backends) { b.Queue += "&endpoint=europe-west3-pubsub.googleapis.com" }, "queue: endpoint is HOST:PORT"},
		"a queue of no database":      {func(b *platform.Backends) { b.Queue = "pubsub:demo-clarity" }, "queue: it names no PROJECT/DATABASE"},
		"settings that are none":      {func(b *platform.Backends) { b.Queue += "&%zz" }, "queue: what is behind ? is NAME=VALUE&NAME=VALUE"},
		"a bucket with its scheme":    {func(b *platform.Backends) { b.Blobs = "gcs:gs://x" }, "blobs: it names no bucket: write gcs:BUCKET"},
		"no bucket":                   {func(b *platform.Backends) { b.Blobs = "gcs:" }, "blobs: it names no bucket"},
		"no bucket of the log's":      {func(b *platform.Backends) { b.Audit = "gcs:" }, "audit: it names no bucket: write gcs:BUCKET"},
		"one bucket for all":          {func(b *platform.Backends) { b.Audit = b.Blobs }, "audit: the bucket is the blobs', too"},
		"one bucket, often":           {func(b *platform.Backends) { b.Audit = b.Blobs + "?perSecond=7" }, "audit: the bucket is the blobs', too"},
		"a log that is written often": {func(b *platform.Backends) { b.Audit += "?perSecond=10" }, ""},
		"a log that never is":         {func(b *platform.Backends) { b.Audit += "?perSecond=0" }, "audit: perSecond is 1 to 100 objects of each process: write gcs:BUCKET?perSecond=N"},
		"a log at all times":          {func(b *platform.Backends) { b.Audit += "?perSecond=often" }, "audit: perSecond is 1 to 100"},
		"half of a model":             {func(b *platform.Backends) { b.Writer = "gemini:demo-clarity/us" }, "writer: "},
		"another writer":              {func(b *platform.Backends) { b.Writer = "template" }, ""},
		"half of a key":               {func(b *platform.Backends) { b.Keys = "kms:projects/p" }, "keys: key is projects/P/locations/L/keyRings/R/cryptoKeys/K: write kms:"},
		"keys without documents":      {func(b *platform.Backends) { b.Keys = key }, "keys: documents: it names no PROJECT/DATABASE: write kms:"},
		"keys beside what they open": {func(b *platform.Backends) { b.Keys = key + "?documents=demo-clarity/clarity" },
			"keys: the database clarity is the store's, too"},
		"keys of another's setting": {func(b *platform.Backends) { b.Keys = good + "&lag=1s" }, `keys: there is no setting "lag"; it has documents`},
		"no project":                {func(b *platform.Backends) { b.Identity = "firebase:" }, "identity: project is the id of a Google Cloud project: write firebase:PROJECT"},
		"apps that nobody looks at": {func(b *platform.Backends) { b.Identity += "&number=123&apps=1:123:ios:a" }, "identity: number and apps are of appcheck, which is not set"},
		"a tenant with a slash":     {func(b *platform.Backends) { b.Identity += ",a/b" }, "identity: tenants are ids of tenants"},
		"apps that are looked at": {func(b *platform.Backends) {
			b.Identity += "&appcheck=report&number=1234567890&apps=1:1234567890:ios:0a1b2c3d"
		}, ""},
		"apps of no number":      {func(b *platform.Backends) { b.Identity += "&appcheck=enforce&apps=1:1:ios:a" }, "identity: appcheck, its number and its apps: project is the project's number"},
		"no apps":                {func(b *platform.Backends) { b.Identity += "&appcheck=enforce&number=1" }, "apps lists the ids of the apps, at least one: write firebase:"},
		"another way to look":    {func(b *platform.Backends) { b.Identity += "&appcheck=maybe" }, "mode is off, report or enforce"},
		"another driver's place": {func(b *platform.Backends) { b.Store = "sqlite:x" }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := backends()
			tt.change(&b)
			err := google.Check(b, all)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err := google.Check(b, 0); err != nil {
				t.Errorf("where nothing is needed: %v", err)
			}
		})
	}
	b := platform.Backends{Audit: "gcs", Store: "firestore:", Queue: "pubsub:", Blobs: "gcs:", Keys: "kms:", Identity: "firebase:"}
	err := google.Check(b, all)
	for _, what := range []string{"store:", "queue:", "blobs:", "keys:", "identity:", "audit:"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("no word of %s in %v", what, err)
		}
	}
}

// What is opened asks nobody anything yet, but for the bucket, and is closed again.
func TestWhatIsOpenedIsClosed(t *testing.T) {
	env := map[string]string{"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1", "CLARITY_KMS_EMULATOR_HOST": "127.0.0.1:1", "CLARITY_GEMINI_EMULATOR_HOST": "127.0.0.1:1", "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:1", "STORAGE_EMULATOR_HOST": "127.0.0.1:1"}
	cloud := google.New(func(name string) string { return env[name] })
	var closers []io.Closer
	var names []string
	e := platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Closing: func(what string, c io.Closer) {
		names, closers = append(names, what), append(closers, c)
	}}
	at := func(spec string) string { _, at, _ := strings.Cut(spec, ":"); return at }
	b := backends()
	for what, open := range map[string]func() error{
		"store":    func() error { _, err := cloud.Store(t.Context(), at(b.Store), e); return err },
		"queue":    func() error { _, err := cloud.Queue(t.Context(), at(b.Queue), e); return err },
		"keys":     func() error { _, err := cloud.Keys(t.Context(), at(b.Keys), e); return err },
		"identity": func() error { _, err := cloud.Identity(t.Context(), at(b.Identity), e); return err },
		"writer":   func() error { _, err := cloud.Writer(t.Context(), at(b.Writer), e); return err },
	} {
		if err := open(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(names) != 6 {
		t.Errorf("what is to be closed is %v", names)
	}
	for i, c := range closers {
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", names[i], err)
		}
	}
	if _, err := google.New(func(string) string { return "" }).Audit(t.Context(), "demo-clarity-audit", e); err == nil || !strings.Contains(err.Error(), "the log's keys come from the keyring kms") {
		t.Errorf("a log of another keyring's: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := cloud.Blobs(ctx, at(b.Blobs), e); err == nil || !strings.Contains(err.Error(), "open bucket") || strings.Contains(err.Error(), "demo-clarity") {
		t.Errorf("a bucket of nobody's: %v", err)
	}
	for what, open := range map[string]func(at string) error{
		"store":    func(at string) error { _, err := cloud.Store(t.Context(), at, e); return err },
		"queue":    func(at string) error { _, err := cloud.Queue(t.Context(), at, e); return err },
		"keys":     func(at string) error { _, err := cloud.Keys(t.Context(), at, e); return err },
		"identity": func(at string) error { _, err := cloud.Identity(t.Context(), at, e); return err },
	} {
		if err := open("Nothing"); err == nil {
			t.Errorf("%s opens at nothing", what)
		}
	}
}

// Where apps are looked at, what opens says of each request's, and counts it.
func TestAppsAreLookedAt(t *testing.T) {
	env := map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:1"}
	cloud := google.New(func(name string) string { return env[name] })
	e := platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Closing: func(string, io.Closer) {}}
	for settings, want := range map[string]string{"": "nobody asks", "?appcheck=off": "nobody asks", "?appcheck=report&number=1&apps=a": "served", "?appcheck=enforce&number=1&apps=a": "refused"} {
		v, err := cloud.Identity(t.Context(), "demo-clarity"+settings, e)
		if err != nil {
			t.Fatal(err)
		}
		apps, can := v.(interface {
			Header() string
			Admit(ctx context.Context, token string) error
			prometheus.Collector
		})
		if !can {
			if want != "nobody asks" {
				t.Errorf("%s: nobody asks", settings)
			}
			continue
		}
		got := "served"
		if err := apps.Admit(t.Context(), ""); errors.Is(err, identity.ErrInvalid) {
			got = "refused"
		}
		if got != want || apps.Header() != "X-Firebase-AppCheck" {
			t.Errorf("%s: a request of no app is %s", settings, got)
		}
		if err := testutil.CollectAndCompare(apps, strings.NewReader(`# HELP clarity_app_check_requests_total Requests at what is a person's own, by what was found of the app that sent them: good, missing, invalid, unavailable.
# TYPE clarity_app_check_requests_total counter
clarity_app_check_requests_total{outcome="good"} 0
clarity_app_check_requests_total{outcome="invalid"} 0
clarity_app_check_requests_total{outcome="missing"} 1
clarity_app_check_requests_total{outcome="unavailable"} 0
`)); err != nil {
			t.Error(err)
		}
	}
}

// Who enforces App Check is ready with its keys alone, and who only counts without.
func TestAppChecksKeysCount(t *testing.T) {
	now := time.Now
	accounts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })) // nobody is called so
	defer accounts.Close()
	host := strings.TrimPrefix(accounts.URL, "http://")
	people, err := firebase.Open(t.Context(), firebase.Config{Project: "demo-clarity", Emulator: host}, now)
	if err != nil {
		t.Fatal(err)
	}
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	for mode, want := range map[appcheck.Mode]error{appcheck.Enforce: identity.ErrUnavailable, appcheck.Report: nil} {
		apps, err := appcheck.New(appcheck.Config{Mode: mode, Project: "1", Apps: []string{"a"}, Keys: down.URL}, now, func(appcheck.Outcome) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := google.Ready(t.Context(), people, apps); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", mode, err, want)
		}
	}
}

// Of a stand-in that signs a token without a signature is nobody's, and who signed is
// looked for where it has its certificates.
func TestAStandInThatSignsIsAskedWhoSigned(t *testing.T) {
	var asked []string
	standIn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer standIn.Close()
	env := map[string]string{"CLARITY_AUTH_EMULATOR_HOST": strings.TrimPrefix(standIn.URL, "http://")}
	cloud := google.New(func(name string) string { return env[name] })
	v, err := cloud.Identity(t.Context(), "demo-clarity", platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	token := func(header string) string {
		part := base64.RawURLEncoding.EncodeToString
		return part([]byte(header)) + "." + part([]byte(`{"sub":"anna"}`)) + "."
	}
	if _, err := v.Verify(t.Context(), token(`{"alg":"none","typ":"JWT"}`)); !errors.Is(err, identity.ErrInvalid) || len(asked) > 0 {
		t.Errorf("without a signature: %v, and %q was asked", err, asked)
	}
	if _, err := v.Verify(t.Context(), token(`{"alg":"RS256","kid":"k","typ":"JWT"}`)+"c2ln"); !errors.Is(err, identity.ErrUnavailable) {
		t.Errorf("with one: %v", err)
	}
	if want := []string{"/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"}; !slices.Equal(asked, want) {
		t.Errorf("it asked %q, want %q", asked, want)
	}
}
