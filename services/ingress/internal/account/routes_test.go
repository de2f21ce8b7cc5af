package account

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/ingress/internal/route/routetest"
)

// A route's row in the table of the API.
func TestWhatTheRoutesAre(t *testing.T) {
	got := routetest.Rows(New(Needs{}).Routes())
	want := []string{
		"GET /v1/profile: access 0, body 0, status 0, stream false, erased too false",
		"PUT /v1/profile: access 0, body 1, status 0, stream false, erased too false",
		"GET /v1/consents: access 0, body 0, status 0, stream false, erased too false",
		"PUT /v1/consents/{purpose}: access 0, body 1, status 0, stream false, erased too false",
		"POST /v1/exports: access 0, body 0, status 201, stream false, erased too false",
		"GET /v1/exports: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/exports/{exportId}: access 0, body 0, status 0, stream false, erased too false",
		"DELETE /v1/exports/{exportId}: access 0, body 0, status 204, stream false, erased too false",
		"GET /v1/exports/{exportId}/download: access 0, body 0, status 0, stream true, erased too false",
		"DELETE /v1/account: access 0, body 0, status 202, stream false, erased too true",
		"POST /v1/account: access 0, body 0, status 204, stream false, erased too true",
		"GET /v1/account/receipt: access 0, body 0, status 0, stream false, erased too true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// What cannot be taken back is not done with a token that was revoked a moment ago.
func TestWhatIsForGoodAsksAnew(t *testing.T) {
	var got []string
	for _, r := range New(Needs{}).Routes() {
		if r.Fresh {
			got = append(got, r.ID)
		}
	}
	want := []string{"putConsent", "createExport", "downloadExport", "eraseAccount", "beginAnew"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes that ask anew (-want +got):\n%s", diff)
	}
}
