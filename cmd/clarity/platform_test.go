package main

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

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
)

// open opens a platform on the directory, as `clarity up` does.
func open(t *testing.T, dir string, change func(*platform.Config)) (*datadir.Platform, error) {
	t.Helper()
	c := defaults().Config
	c.Listen.API = "127.0.0.1:0"
	if change != nil {
		change(&c)
	}
	return datadir.Open(t.Context(), dir, c, drivers(), stages.All(), platform.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "test"})
}

func TestOpenRefusesWhatCannotBe(t *testing.T) {
	tests := map[string]struct {
		change func(*platform.Config)
		want   string
	}{
		"no stage":               {func(c *platform.Config) { c.Stages = nil }, "at least one stage"},
		"an unknown stage":       {func(c *platform.Config) { c.Stages = []string{"model"} }, `no stage "model"; the stages are ingress, worker, insights, delivery`},
		"every interface":        {func(c *platform.Config) { c.Listen.API = "0.0.0.0:80" }, "not a loopback address"},
		"a profile for everyone": {func(c *platform.Config) { c.Listen.Profile = ":6060" }, "not a loopback address"},
		"no port":                {func(c *platform.Config) { c.Listen.API = "127.0.0.1" }, "not an address and port"},
		"a driver of the cloud":  {func(c *platform.Config) { c.Backends.Store = "firestore:p/db" }, `store: no driver "firestore" in this binary; it has sqlite`},
		"a driver of nobody":     {func(c *platform.Config) { c.Backends.Blobs = "floppy:a" }, `blobs: no driver "floppy" in this binary; it has files`},
		"a plan of the cluster":  {func(c *platform.Config) { c.Backends.Model = "traffic:configmap:a/b" }, `no driver "configmap" in this binary; it has file, fixed`},
		"a plan of nobody":       {func(c *platform.Config) { c.Backends.Model = "traffic:pigeon:a" }, `no driver "pigeon" in this binary`},
		"a plan of nothing":      {func(c *platform.Config) { c.Backends.Model = "traffic:" }, `"" names no driver; this binary has file, fixed`},
		"a plan in no directory": {func(c *platform.Config) { c.Backends.Model = "traffic:file:" }, "names no traffic plan"},
		"a plan in no file":      {func(c *platform.Config) { c.Backends.Model = "traffic:fixed" }, "names no traffic plan"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, t.TempDir(), tt.change)
			var wrong *platform.ConfigError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want a ConfigError with %q", err, tt.want)
			}
		})
	}
	_, err := open(t, "", func(c *platform.Config) { c.Listen.API, c.Stages = "x", append(c.Stages, "model") })
	var wrong *platform.ConfigError
	if !errors.As(err, &wrong) {
		t.Fatalf("error %v, want a ConfigError", err)
	}
	for _, fault := range []string{"name the data directory", `"x" is not an address and port`, `no stage "model"`} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%q does not tell %q", err, fault)
		}
	}
}

func TestADriverCanBeElsewhere(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	p, err := open(t, dir, func(c *platform.Config) { c.Backends.Store, c.Backends.Queue = "sqlite:"+elsewhere, "sqlite" })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, t.TempDir(), func(c *platform.Config) { c.Backends.Store = "sqlite:" + elsewhere }); err == nil ||
		!strings.Contains(err.Error(), elsewhere+" is in use by another process") {
		t.Errorf("a store that another has: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for _, path := range []string{filepath.Join(elsewhere, "store.db"), filepath.Join(dir, "queue.db")} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("a database is not where its string says: %v", err)
		}
	}
}

func TestAPlatformRunsAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	p, err := open(t, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	url, err := datadir.Endpoint(t.Context(), dir)
	if err != nil || url != p.URL() {
		t.Errorf("endpoint %q, %v; want %q", url, err, p.URL())
	}
	if _, err := open(t, dir, nil); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second platform on the directory: %v", err)
	}
	get(t, p.URL()+"/readyz")
	if metrics := get(t, p.URL()+"/metrics"); !strings.Contains(metrics, `clarity_queue_messages{consumer="intake",state="waiting",topic="uploads"} 0`) {
		t.Error("the metrics do not tell the queue's depth")
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if _, err := datadir.Endpoint(t.Context(), dir); err == nil {
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
	if _, err := datadir.Endpoint(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "any more") {
		t.Errorf("error %v", err)
	}
}

func TestTokensAreTheDirectorysOwn(t *testing.T) {
	dir := t.TempDir()
	token, err := issuer.Token(issuer.Request{Dir: dir, User: "anna", Role: "admin", TTL: time.Hour, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := issuer.Open(t.Context(), filepath.Join(dir, "identity"), platform.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s, err := opened.Verify(t.Context(), token)
	if err != nil || s.UID != "anna" || !s.Has("admin") {
		t.Errorf("subject %+v, %v", s, err)
	}
	if _, err := issuer.Token(issuer.Request{Dir: dir, User: "no spaces", TTL: time.Hour, Now: time.Now}); err == nil {
		t.Error("a token for an illegal name")
	}
}
