package uploads_test

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/uploads"
	"github.com/clarity-loop/clarity/services/record"
)

// A phone that asks why its upload is not merged is told, in a word that stays.
func TestWhyAnUploadIsNotMergedByNow(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	for name, tt := range map[string]struct {
		state record.UploadState
		age   time.Duration
		want  string
	}{
		"in time":                  {record.UploadReceived, 4 * time.Minute, ""},
		"asked for again":          {record.UploadReceived, 6 * time.Minute, "overdue"},
		"for days":                 {record.UploadReceived, 72 * time.Hour, "overdue"},
		"held":                     {record.UploadHeld, time.Second, "consent"},
		"merged":                   {record.UploadMerged, 72 * time.Hour, ""},
		"failed: its reason is it": {record.UploadFailed, 72 * time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			id := "upload-" + string(tt.state) + "-0001"
			if _, err := w.Store.Uploads.Put(t.Context(), "anna", id, -1, record.Upload{State: tt.state, ReceivedAt: time.Now().Add(-tt.age)}); err != nil {
				t.Fatal(err)
			}
			var one uploads.View
			w.Do("GET", "/v1/uploads/"+id, ingresstest.Anna, nil).JSON(t, &one)
			var all struct{ Items []uploads.View }
			w.Do("GET", "/v1/uploads?state="+string(tt.state), ingresstest.Anna, nil).JSON(t, &all)
			if one.Waiting != tt.want || len(all.Items) != 1 || all.Items[0].Waiting != tt.want {
				t.Errorf("waiting %q, in the list %+v; want %q", one.Waiting, all.Items, tt.want)
			}
		})
	}
}
