package account

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A route's row in the table of the API.
func TestWhatTheRoutesAre(t *testing.T) {
	var got []string
	for _, r := range New(Needs{}).Routes() {
		got = append(got, fmt.Sprint(r.Method, " ", r.Path, " ", r.Access, r.Body, r.Status, r.Stream, r.ErasedToo))
	}
	want := []string{
		"GET /v1/profile 0 0 0 false false",
		"PUT /v1/profile 0 1 0 false false",
		"GET /v1/consents 0 0 0 false false",
		"PUT /v1/consents/{purpose} 0 1 0 false false",
		"POST /v1/exports 0 0 201 false false",
		"GET /v1/exports 0 0 0 false false",
		"GET /v1/exports/{exportId} 0 0 0 false false",
		"GET /v1/exports/{exportId}/download 0 0 0 true false",
		"DELETE /v1/account 0 0 0 false true",
		"GET /v1/account/receipt 0 0 0 false true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("method, path, access, body, status, stream, answered after an erasure (-want +got):\n%s", diff)
	}
}
