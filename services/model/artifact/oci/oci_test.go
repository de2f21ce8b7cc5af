package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/artifact/artifacttest"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// aRegistry is a registry on loopback; push puts a bundle or a blob there.
type aRegistry struct {
	host string
	next int
}

func newRegistry(t *testing.T) *aRegistry {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return &aRegistry{host: strings.TrimPrefix(server.URL, "http://")}
}

func (r *aRegistry) send(t *testing.T, method, path, kind string, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.host+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, path, res.Status)
	}
}

func (r *aRegistry) push(t *testing.T, kind artifact.Kind, content []byte) (uri string) {
	t.Helper()
	r.next++
	repository := fmt.Sprintf("models/m%d", r.next)
	blobs := map[string][]byte{"": content}
	if kind == artifact.Bundle {
		var err error
		if blobs, err = bundle.Layout(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range blobs {
		r.send(t, http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+url.QueryEscape(bundle.DigestOf(b)), "application/octet-stream", b)
	}
	if kind == artifact.Bundle {
		read, err := bundle.Read(content, "")
		if err != nil {
			t.Fatal(err)
		}
		manifest := blobs["blobs/"+strings.Replace(read.Digest, ":", "/", 1)]
		r.send(t, http.MethodPut, "/v2/"+repository+"/manifests/v1", "application/vnd.oci.image.manifest.v1+json", manifest)
	}
	return "oci://" + r.host + "/" + repository + ":v1"
}

func TestSuite(t *testing.T) {
	r := newRegistry(t)
	artifacttest.Run(t, artifacttest.World{
		Scheme: "oci", Source: New(true), Put: r.push,
		Nowhere: []string{"oci://" + r.host + "/none:v1", "oci://" + r.host + "/none@" + bundle.DigestOf(nil)},
		Illegal: []string{"oci://" + r.host, "oci://ubuntu/x", "oci://" + r.host + "/UPPER:v1", "oci://" + r.host + "/a@sha256:short", "oci://" + r.host + "/a:v1?x=1"},
	})
}

func TestABundleIsNamedByItsTagOrByItsDigest(t *testing.T) {
	r := newRegistry(t)
	raw, digest := artifacttest.Sample(t, "# Named")
	uri := r.push(t, artifact.Bundle, raw)
	byDigest := strings.TrimSuffix(uri, ":v1") + "@" + digest
	fetch := artifact.New(map[string]artifact.Source{"oci": New(true)})
	for _, named := range []string{uri, byDigest, uri + "@" + digest} {
		if err := fetch.Bundle(t.Context(), named, digest, t.TempDir()+"/x"); err != nil {
			t.Errorf("%s: %v", named, err)
		}
	}
	// The golden vectors are a blob of the bundle's own repository.
	b, err := bundle.Read(raw, digest)
	if err != nil {
		t.Fatal(err)
	}
	files, err := bundle.Layout(raw)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for name := range files {
		golden, err := bundle.ReadGolden(files[name], b.Contract.Outputs)
		if err != nil {
			continue
		}
		found = true
		blob := "sha256:" + strings.TrimPrefix(name, "blobs/sha256/")
		if err := fetch.File(t.Context(), uri, blob, bundle.MaxGolden, t.TempDir()+"/x"); err != nil || len(golden.Cases) != 1 {
			t.Errorf("its golden vectors: %v", err)
		}
	}
	if !found {
		t.Error("the bundle has no golden vectors")
	}
}

func TestOutsideDevelopmentThisMachineIsOutOfReach(t *testing.T) {
	r := newRegistry(t)
	raw, digest := artifacttest.Sample(t, "# Near")
	uri := r.push(t, artifact.Bundle, raw)
	for _, near := range []string{uri, "oci://10.0.0.7:5000/m:v1", "oci://localhost:1/m:v1", "oci://192.168.1.1/m:v1"} {
		if _, err := New(false).Open(t.Context(), artifact.Ref{URI: near, Digest: digest}); !errors.Is(err, artifact.ErrURI) {
			t.Errorf("%s: %v, want it refused", near, err)
		}
	}
	for _, address := range []string{"127.0.0.1:443", "[::1]:443", "169.254.169.254:80", "[fe80::1]:443", "0.0.0.0:443", "[::ffff:127.0.0.1]:443", "224.0.0.1:443"} {
		if err := refuseLocal("tcp", address, nil); !errors.Is(err, errLocal) {
			t.Errorf("%s may be dialled: %v", address, err)
		}
	}
	for _, address := range []string{"203.0.113.9:443", "10.1.2.3:443", "[2001:db8::1]:443"} {
		if err := refuseLocal("tcp", address, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	// A name, or a redirect, that leads here is refused where it is dialled.
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	port := secure.URL[strings.LastIndex(secure.URL, ":"):]
	s := New(false)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost"+port, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.transport.RoundTrip(req); !errors.Is(err, errLocal) {
		t.Errorf("a name of this machine: %v", err)
	}
}

func TestARegistryThatLiesOrFailsIsFoundOut(t *testing.T) {
	raw, digest := artifacttest.Sample(t, "# Lies")
	tests := map[string]struct {
		change func(http.ResponseWriter, *http.Request, http.Handler)
		want   error // nil: any that is none of the sentinels
	}{
		"a blob of other bytes": {func(w http.ResponseWriter, r *http.Request, h http.Handler) {
			if strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 500_000))
				return
			}
			h.ServeHTTP(w, r)
		}, nil},
		"no permission": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusForbidden) }, nil},
		"a manifest that is no model's": {func(w http.ResponseWriter, r *http.Request, h http.Handler) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				_, _ = io.WriteString(w, `{"schemaVersion":2}`)
				return
			}
			h.ServeHTTP(w, r)
		}, artifact.ErrDigest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
			honest := true
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if honest {
					inner.ServeHTTP(w, r)
					return
				}
				tt.change(w, r, inner)
			}))
			defer server.Close()
			at := &aRegistry{host: strings.TrimPrefix(server.URL, "http://")}
			uri := at.push(t, artifact.Bundle, raw)
			honest = false
			err := artifact.New(map[string]artifact.Source{"oci": New(true)}).Bundle(t.Context(), uri, digest, t.TempDir()+"/x")
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && errors.Is(err, artifact.ErrNotFound) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, uri := range []string{"oci://h.example/r:v1", "oci://127.0.0.1:5000/a/b@" + bundle.DigestOf(nil), "oci://h/r", "oci://:@/"} {
		f.Add(uri)
	}
	s := New(false)
	f.Fuzz(func(t *testing.T, uri string) {
		ref, err := s.parse(uri)
		if err != nil {
			if !errors.Is(err, artifact.ErrURI) {
				t.Errorf("%q: %v", uri, err)
			}
			return
		}
		if ref.Context().Scheme() != "https" {
			t.Errorf("%q may use %s", uri, ref.Context().Scheme())
		}
	})
}
