package platform_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/identity/local"
)

func TestMain(m *testing.M) {
	// fasthttp keeps a clock for good, and a cleaner that looks every ten seconds.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

func config(dir string) platform.Config {
	return platform.Config{Dir: dir, Listen: "127.0.0.1:0", Stages: platform.Stages(), Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "test"}
}

func TestOpenRefusesWhatCannotBe(t *testing.T) {
	tests := map[string]struct {
		change func(*platform.Config)
		want   string
	}{
		"no directory":           {func(c *platform.Config) { c.Dir = "" }, "say which data directory"},
		"no stage":               {func(c *platform.Config) { c.Stages = nil }, "at least one stage"},
		"an unknown stage":       {func(c *platform.Config) { c.Stages = []string{"model"} }, `no stage "model"; the stages are ingress, worker, insights, delivery`},
		"every interface":        {func(c *platform.Config) { c.Listen = "0.0.0.0:80" }, "not a loopback address"},
		"a profile for everyone": {func(c *platform.Config) { c.Profile = ":6060" }, "not a loopback address"},
		"no port":                {func(c *platform.Config) { c.Listen = "127.0.0.1" }, "not an address and port"},
		"a driver of the cloud":  {func(c *platform.Config) { c.Drivers = map[string]string{"store": "firestore:p/db"} }, `"firestore" needs the cloud and is not built yet; this binary has "sqlite"`},
		"a driver of nobody":     {func(c *platform.Config) { c.Drivers = map[string]string{"blob": "floppy:a"} }, `no blob driver "floppy"; this binary has "files"`},
		"an unknown capability":  {func(c *platform.Config) { c.Drivers = map[string]string{"teapot": "x"} }, `no capability "teapot"`},
		"two faults at once (1)": {func(c *platform.Config) { c.Dir, c.Listen = "", "x" }, "say which data directory"},
		"two faults at once (2)": {func(c *platform.Config) { c.Dir, c.Listen = "", "x" }, `"x" is not an address and port`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(t.TempDir())
			tt.change(&c)
			_, err := platform.Open(t.Context(), c)
			var wrong *platform.ConfigError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want a ConfigError with %q", err, tt.want)
			}
		})
	}
}

func TestADriverCanBeElsewhere(t *testing.T) {
	c, elsewhere := config(t.TempDir()), t.TempDir()
	c.Drivers = map[string]string{"store": "sqlite:" + elsewhere}
	p, err := platform.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "store.db")); err != nil {
		t.Errorf("the store is not where the string says: %v", err)
	}
}

func TestAPlatformRunsAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	p, err := platform.Open(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	url, err := platform.Endpoint(t.Context(), dir)
	if err != nil || url != p.URL() {
		t.Errorf("endpoint %q, %v; want %q", url, err, p.URL())
	}
	if _, err := platform.Open(t.Context(), config(dir)); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second platform on the directory: %v", err)
	}
	get(t, p.URL()+"/readyz")
	if metrics := get(t, p.URL()+"/metrics"); !strings.Contains(metrics, `clarity_queue_messages{state="waiting",topic="uploads"} 0`) {
		t.Error("the metrics do not tell the queue's depth")
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if _, err := platform.Endpoint(t.Context(), dir); err == nil {
		t.Error("a stopped platform still has an endpoint")
	}
	if err := p.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %s %v", url, res.StatusCode, body, err)
	}
	return string(body)
}

// What a killed platform leaves is no endpoint.
func TestAStaleEndpointIsNone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "endpoint"), []byte("http://127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Endpoint(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "any more") {
		t.Errorf("error %v", err)
	}
}

func TestTokensAreTheDirectorysOwn(t *testing.T) {
	dir := t.TempDir()
	token, err := platform.Token(t.Context(), platform.TokenRequest{Dir: dir, User: "anna", Role: "admin", TTL: time.Hour, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := local.Open(filepath.Join(dir, "identity"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s, err := issuer.Verify(t.Context(), token)
	if err != nil || s.UID != "anna" || !s.Has("admin") {
		t.Errorf("subject %+v, %v", s, err)
	}
	if _, err := platform.Token(t.Context(), platform.TokenRequest{Dir: dir, User: "no spaces", TTL: time.Hour, Now: time.Now}); err == nil {
		t.Error("a token for an illegal name")
	}
}
