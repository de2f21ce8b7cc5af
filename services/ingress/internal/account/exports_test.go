package account_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/account"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

func TestExport(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Samples = func(context.Context, string, string) ([]health.Sample, error) {
			return []health.Sample{{Type: "HKQuantityTypeIdentifierHeartRate", Value: 61, Unit: "/min", Metadata: `{"a":1}`}}, nil
		}
	})
	ingresstest.Furnish(w)
	created := w.Do("POST", "/v1/exports", ingresstest.Anna, nil)
	var e account.ExportView
	created.JSON(t, &e)
	if created.Status != 201 || created.Header.Get("Location") != "/v1/exports/"+e.ExportID || e.State != "ready" {
		t.Fatalf("%d %s", created.Status, created.Body)
	}
	if depth, _ := w.Queue.Depth(t.Context(), flow.TopicEvents, flow.Feed); depth.Waiting != 1 {
		t.Errorf("depth %+v: the devices are told", depth)
	}
	got := w.Do("GET", e.Download, ingresstest.Anna, nil)
	kinds := map[string]int{}
	lines := bytes.Split(bytes.TrimSpace(got.Body), []byte("\n"))
	for _, line := range lines {
		var l account.ExportLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kinds[l.Kind]++
		if l.Kind == "end" && l.Lines != len(lines)-1 {
			t.Errorf("the end counts %d lines of %d", l.Lines, len(lines)-1)
		}
	}
	want := map[string]int{"profile": 1, "consent": 1, "upload": 1, "cursor": 1, "day": 1, "sample": 1, "series": 1, "result": 1, "insight": 1, "end": 1}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if w.Audit.Count(audit.ExportCreated) != 1 || w.Audit.Count(audit.DataRead) != 1 {
		t.Error("the export and its download are audited")
	}
}
