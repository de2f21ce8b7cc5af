package webhooks_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/store"
)

// The services of the tests, by their tokens.
const (
	clinic = "service-clinic:backend"
	other  = "service-other:backend"
	nobody = "service-backend"
)

type webhook struct {
	WebhookID, URL, Secret, PublicKey string
	Events                            []string
	FailingSince, GoneAt              string
}

func create(w *ingresstest.World, token, body string) webhook {
	w.T.Helper()
	r := w.Do("POST", "/v1/webhooks", token, []byte(body), ingresstest.AsJSON())
	var h webhook
	if r.Status != 201 {
		w.T.Fatalf("%d %s", r.Status, r.Body)
	}
	r.JSON(w.T, &h)
	if r.Header.Get("Location") != "/v1/webhooks/"+h.WebhookID {
		w.T.Errorf("it is at %q", r.Header.Get("Location"))
	}
	return h
}

func list(w *ingresstest.World, token string) (all []webhook) {
	w.T.Helper()
	var page struct{ Items []webhook }
	w.Do("GET", "/v1/webhooks", token, nil).JSON(w.T, &page)
	return page.Items
}

// From the registration to the end.
func TestAWebhook(t *testing.T) {
	w := ingresstest.New(t)
	h := create(w, clinic, `{"url":"https://hooks.example.org/clarity","events":["result.stored","insight.ready"]}`)
	if !strings.HasPrefix(h.Secret, "whsec_") || !strings.HasPrefix(h.PublicKey, "whpk_") {
		t.Errorf("%+v", h)
	}
	there := list(w, clinic)
	want := []webhook{{WebhookID: h.WebhookID, URL: h.URL, Events: []string{"result.stored", "insight.ready"}}}
	if diff := cmp.Diff(want, there); diff != "" {
		t.Errorf("the list has no secret (-want +got):\n%s", diff)
	}
	var rotated webhook
	w.Do("POST", "/v1/webhooks/"+h.WebhookID+"/rotate", clinic, nil).JSON(t, &rotated)
	if rotated.Secret == "" || rotated.Secret == h.Secret || rotated.PublicKey == h.PublicKey || rotated.WebhookID != h.WebhookID {
		t.Errorf("%+v", rotated)
	}
	for _, token := range []string{other, nobody} { // another tenant's is not there
		if got := list(w, token); len(got) > 0 {
			t.Errorf("%s sees %v", token, got)
		}
		for _, ask := range []string{"DELETE /v1/webhooks/" + h.WebhookID, "POST /v1/webhooks/" + h.WebhookID + "/rotate", "GET /v1/webhooks/" + h.WebhookID + "/deliveries"} {
			method, path, _ := strings.Cut(ask, " ")
			if r := w.Do(method, path, token, nil); r.Status != 404 {
				t.Errorf("%s, %s: %d %s", token, ask, r.Status, r.Body)
			}
		}
	}
	if r := w.Do("DELETE", "/v1/webhooks/"+h.WebhookID, clinic, nil); r.Status != 204 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if got := list(w, clinic); len(got) > 0 {
		t.Errorf("%v", got)
	}
	var done []string
	for _, e := range w.Audit.Events() {
		if e.Action == audit.WebhookChanged && e.ActorUID == "clinic:backend" && e.UID == "" {
			what, _, _ := strings.Cut(e.Object, "/")
			done = append(done, what)
		}
	}
	if diff := cmp.Diff([]string{"created", "rotated", "deleted"}, done); diff != "" {
		t.Errorf("audited (-want +got):\n%s", diff)
	}
	if refused := w.Do("POST", "/v1/webhooks", clinic, []byte(`{"url":"https://10.0.0.1/"}`), ingresstest.AsJSON()); refused.Status != 422 || len(w.Audit.Events()) != len(done) {
		t.Errorf("%d, and %d entries: what came to nothing is audited", refused.Status, len(w.Audit.Events()))
	}
	if log := w.Log.String(); strings.Contains(log, "whsec_") || strings.Contains(log, "hooks.example.org") {
		t.Error("the log has a secret, or an address")
	}
}

// Nothing is registered that nothing is sent to.
func TestWhatCannotBeRegistered(t *testing.T) {
	w := ingresstest.New(t)
	for body, want := range map[string]string{
		`{"url":"http://hooks.example.org/"}`:                           "422 invalid_request",
		`{"url":"https://169.254.169.254/computeMetadata/v1/"}`:         "422 invalid_request",
		`{"url":"https://user:pass@hooks.example.org/"}`:                "422 invalid_request",
		`{"url":"https://localhost/"}`:                                  "201 ",
		`{"url":"https://hooks.example.org/","events":["result.read"]}`: "422 invalid_request",
		`{"url":"https://hooks.example.org/","secret":"x"}`:             "422 invalid_request",
		`{}`: "422 invalid_request",
		`{"url":"https://` + strings.Repeat("a", 3000) + `.example.org/"}`: "422 invalid_request",
		`{"url":"https://hooks.example.org/","events":["export.ready"]}`:   "201 ",
	} {
		r := w.Do("POST", "/v1/webhooks", clinic, []byte(body), ingresstest.AsJSON())
		if got := fmt.Sprint(r.Status, " ", r.Code()); got != want {
			t.Errorf("%.80s: %s %s, want %s", body, got, r.Body, want)
		}
	}
	for len(list(w, clinic)) < hook.Most {
		create(w, clinic, `{"url":"https://hooks.example.org/"}`)
	}
	r := w.Do("POST", "/v1/webhooks", clinic, []byte(`{"url":"https://hooks.example.org/"}`), ingresstest.AsJSON())
	if r.Status != 409 || r.Code() != "too_many_webhooks" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	create(w, other, `{"url":"https://hooks.example.org/"}`)
}

type delivery struct {
	DeliveryID, State, Event, UserID, ID, Ref, Reason string
	Attempts, Status                                  int
}

// What was not taken is listed, the newest first, for a week, and sent anew.
func TestDeliveries(t *testing.T) {
	w := ingresstest.New(t)
	h := create(w, clinic, `{"url":"https://hooks.example.org/"}`)
	id := func(n int) string { return fmt.Sprintf("%032x", n) }
	for n := 1; n <= 5; n++ {
		m := hook.Missed{UID: "clinic:anna", Number: uint64(n), Kind: flow.ResultStored, Ref: "2026-11-20", Version: "v", At: w.Clock.Now(),
			State: hook.Failed, Attempts: 7, Last: w.Clock.Now(), Status: 500, Reason: "status"}
		if n == 1 {
			m.Last = m.Last.Add(-hook.Kept)
		}
		if _, err := w.Store.Missed.Put(t.Context(), "=webhooks:clinic", h.WebhookID+"-"+id(n), 0, m); err != nil {
			t.Fatal(err)
		}
	}
	path, cursor := "/v1/webhooks/"+h.WebhookID+"/deliveries", ""
	var all []delivery
	for pages := 0; pages == 0 || cursor != ""; pages++ {
		var page struct {
			Items []delivery
			Next  string
		}
		ask := path + "?limit=2"
		if cursor != "" {
			ask += "&cursor=" + cursor
		}
		w.Do("GET", ask, clinic, nil).JSON(t, &page)
		all, cursor = append(all, page.Items...), page.Next
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if len(all) != 4 || all[0].DeliveryID != id(5) || all[3].DeliveryID != id(2) {
		t.Fatalf("%+v", all)
	}
	want := delivery{id(5), "failed", "result.stored", "anna", "0000000000000005", "2026-11-20", "status", 7, 500}
	if diff := cmp.Diff(want, all[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r := w.Do("POST", path+"/"+id(5)+"/replay", clinic, nil)
	var again delivery
	r.JSON(t, &again)
	if r.Status != 202 || again.State != "pending" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	for name, id := range map[string]string{"is tried anyway": id(5), "is kept no more": id(1)} {
		if r := w.Do("POST", path+"/"+id+"/replay", clinic, nil); r.Status != 409 || r.Code() != "not_replayable" {
			t.Errorf("what %s: %d %s", name, r.Status, r.Body)
		}
	}
	depth, err := w.Queue.Depth(t.Context(), hooking.Topic, hooking.Consumer)
	if err != nil || depth.Waiting != 1 {
		t.Errorf("%+v %v", depth, err)
	}
	for _, token := range []string{other, nobody} {
		if r := w.Do("POST", path+"/"+id(4)+"/replay", token, nil); r.Status != 404 {
			t.Errorf("%s: %d", token, r.Status)
		}
	}
}

// A person's erasure takes with it what was not taken of theirs.
func TestAnErasureTakesWhatWasMissed(t *testing.T) {
	w := ingresstest.New(t)
	const anna = "person-clinic:anna"
	w.Consent(anna, true)
	h := create(w, clinic, `{"url":"https://hooks.example.org/"}`)
	for _, who := range []string{"anna", "ben"} {
		key := h.WebhookID + "-" + fmt.Sprintf("%032x", len(who))
		m := hook.Missed{UID: "clinic:" + who, State: hook.Pending, Attempts: 1, Last: w.Clock.Now()}
		if _, err := w.Store.Missed.Put(t.Context(), "=webhooks:clinic", key, 0, m); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Store.Marks.Put(t.Context(), "clinic:"+who, key, 0, hook.Mark{}); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.Do("DELETE", "/v1/account", anna, nil); r.Status != 202 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for range 3 {
		w.Clock.Advance(time.Minute)
		w.Erase()
	}
	left, err := w.Store.Missed.List(t.Context(), "=webhooks:clinic", store.Query{Limit: 10})
	if err != nil || len(left) != 1 || left[0].Value.UID != "clinic:ben" {
		t.Errorf("left is %+v, %v", left, err)
	}
}
