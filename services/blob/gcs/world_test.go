package gcs_test

import (
	"os"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob/gcs"
	"github.com/clarity-loop/clarity/services/internal/gcstest"
)

// bucket makes an empty one. Where the environment names one of Google's, it is
// that, emptied.
func bucket(t *testing.T, url string) gcs.Config {
	t.Helper()
	if own := os.Getenv("CLARITY_CLOUD_BUCKET"); own != "" {
		c := gcs.Config{Bucket: own}
		if err := open(t, c).DeletePrefix(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		return c
	}
	return gcs.Config{Bucket: gcstest.Bucket(t, url), Endpoint: url}
}

func open(t *testing.T, c gcs.Config) *gcs.Store {
	t.Helper()
	s, err := gcs.Open(t.Context(), c, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
