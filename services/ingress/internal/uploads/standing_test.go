package uploads_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// remembering has what was read of a person last for the whole test: what
// another process decides is not seen.
func remembering(n *ingress.Needs) { n.Limits.PersonTTL = time.Hour }

func answer(t *testing.T, w *ingresstest.World, granted bool) {
	t.Helper()
	if _, err := w.Store.Answer(t.Context(), "anna", record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: granted} }); err != nil {
		t.Fatal(err)
	}
}

func objects(t *testing.T, w *ingresstest.World) int {
	t.Helper()
	return len(w.Objects(blob.KindUploads, "anna"))
}

// What another process decided is kept here, though it is not known here.
func TestWhatAnotherProcessDecidedHoldsHere(t *testing.T) {
	tests := map[string]struct {
		decide func(t *testing.T, w *ingresstest.World)
		status int
		code   string
		kept   int
	}{
		"withdrawn":           {func(t *testing.T, w *ingresstest.World) { answer(t, w, false) }, 403, "consent_required", 1},
		"withdrawn and given": {func(t *testing.T, w *ingresstest.World) { answer(t, w, false); answer(t, w, true) }, 202, "", 2},
		"erased": {func(t *testing.T, w *ingresstest.World) {
			if _, err := w.Store.MarkErased(t.Context(), "anna", time.Now(), 0, "receipt"); err != nil {
				t.Fatal(err)
			}
		}, 410, "account_erased", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t, remembering)
			w.Consent(ingresstest.Anna, true)
			if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 202 {
				t.Fatalf("%d %s", r.Status, r.Body)
			}
			tt.decide(t, w)
			r := w.Upload(ingresstest.Anna, "upload-0002", ingresstest.Batch(2))
			if r.Status != tt.status || r.Code() != tt.code {
				t.Errorf("%d %s, want %d %s", r.Status, r.Body, tt.status, tt.code)
			}
			list, err := w.Store.Uploads.List(t.Context(), "anna", store.Query{Limit: 10})
			if err != nil || len(list) != tt.kept || objects(t, w) != tt.kept {
				t.Errorf("%d records and %d objects are kept, want %d; %v", len(list), objects(t, w), tt.kept, err)
			}
		})
	}
}

// An upload of before the withdrawal keeps its body when it is sent again.
func TestAnUploadSentAgainAfterAWithdrawalKeepsItsBody(t *testing.T) {
	w := ingresstest.New(t, remembering)
	w.Consent(ingresstest.Anna, true)
	body := ingresstest.Batch(1)
	w.Upload(ingresstest.Anna, "upload-0001", body)
	answer(t, w, false)
	if r := w.Upload(ingresstest.Anna, "upload-0001", body); r.Status != 403 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if n := objects(t, w); n != 1 {
		t.Errorf("%d objects are kept, want 1", n)
	}
}

// While phones upload, consent is withdrawn by another process: from its answer
// on no record is written.
func TestNothingIsTakenInBehindAWithdrawal(t *testing.T) {
	w := ingresstest.New(t, remembering)
	w.Consent(ingresstest.Anna, true)
	var wg sync.WaitGroup
	for phone := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				if r := w.Upload(ingresstest.Anna, fmt.Sprintf("upload-%d-%04d", phone, i), ingresstest.Batch(1)); r.Status != 202 {
					return
				}
			}
			t.Error("nobody was refused")
		})
	}
	count := func() int {
		list, err := w.Store.Uploads.List(t.Context(), "anna", store.Query{Limit: 1000})
		if err != nil {
			t.Error(err)
		}
		return len(list)
	}
	for deadline := time.Now().Add(30 * time.Second); count() < 20 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	answer(t, w, false)
	then := count()
	wg.Wait()
	if later := count(); later != then || later < 20 {
		t.Errorf("%d records when consent was withdrawn, %d later", then, later)
	}
}

func TestAReceivedUploadIsLookedAtSoon(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	before := w.Clock.Now()
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 202 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	r, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Due.After(before.Add(4*time.Minute)) || r.Due.After(before.Add(6*time.Minute)) {
		t.Errorf("%+v", r)
	}
}
