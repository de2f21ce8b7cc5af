package gcs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/internal/gcstest"
	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/artifact/artifacttest"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

func post(t *testing.T, url string, body []byte) {
	t.Helper()
	res, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		t.Fatalf("%s: %s", url, res.Status)
	}
}

func TestSuiteOnTheEmulator(t *testing.T) {
	url := gcstest.Start(t)
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(url, "http://")) // as `worker` in development does
	bucket := gcstest.Bucket(t, url)
	n := 0
	artifacttest.Run(t, artifacttest.World{
		Scheme: "gs", Source: New(),
		Put: func(t *testing.T, _ artifact.Kind, content []byte) string {
			n++
			name := fmt.Sprintf("pat/v%d.tar", n)
			post(t, url+"/upload/storage/v1/b/"+bucket+"/o?uploadType=media&name="+name, content)
			return "gs://" + bucket + "/" + name
		},
		Nowhere: []string{"gs://" + bucket + "/none", "gs://no-such-bucket/x"},
		Illegal: []string{"gs://models", "gs://models/", "gs:///x", "gs://UPPER/x", "gs://a/x", "gs://models/x#1", "gs://models/x?generation=1"},
	})
}

// The service fails in ways that the emulator does not.
func TestAServiceThatFailsIsNotMistakenForAnArtifact(t *testing.T) {
	content := bytes.Repeat([]byte("golden "), 1000)
	digest := bundle.DigestOf(content)
	cut := 0
	tests := map[string]struct {
		answer http.HandlerFunc
		want   error // nil: fetched
		none   error // an error that it must not be
	}{
		"no permission": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, errors.ErrUnsupported, artifact.ErrNotFound},
		"other bytes":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "other") }, artifact.ErrDigest, nil},
		"a page that says no": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>sign in</html>")
		}, artifact.ErrDigest, nil},
		"a transfer that breaks once": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Goog-Generation", "1")
			if cut++; cut == 1 {
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				_, _ = w.Write(content[:3000])
				return
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			source := New(option.WithEndpoint(server.URL+"/storage/v1/"), option.WithoutAuthentication())
			err := artifact.New(map[string]artifact.Source{"gs": source}).File(t.Context(), "gs://models/x", digest, 1<<20, t.TempDir()+"/x")
			switch {
			case tt.want == nil && err != nil, tt.want != nil && err == nil:
				t.Errorf("%v, want %v", err, tt.want)
			case tt.want != nil && tt.none == nil && !errors.Is(err, tt.want), tt.none != nil && errors.Is(err, tt.none):
				t.Errorf("%v, want %v and not %v", err, tt.want, tt.none)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, uri := range []string{"gs://models/a/b.tar", "gs://models", "gs://a-b.c/%2e%2e", "oci://x/y"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		bucket, object, err := parse(uri)
		if err != nil {
			if !errors.Is(err, artifact.ErrURI) {
				t.Errorf("%q: %v", uri, err)
			}
			return
		}
		if got := "gs://" + bucket + "/" + object; got != uri {
			t.Errorf("%q was read as %q", uri, got)
		}
	})
}
