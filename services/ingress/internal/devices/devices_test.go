package devices_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record/device"
	"github.com/clarity-loop/clarity/services/store"
)

const token = "canary-token:APA91b"

func put(w *ingresstest.World, person, id, token string) ingresstest.Reply {
	w.T.Helper()
	return w.Do("PUT", "/v1/devices/"+id, person, []byte(`{"token":"`+token+`"}`), ingresstest.AsJSON())
}

func list(w *ingresstest.World, person string) (ids []string) {
	w.T.Helper()
	var page struct {
		Items []struct{ DeviceID, RegisteredAt string }
	}
	r := w.Do("GET", "/v1/devices", person, nil)
	r.JSON(w.T, &page)
	for _, one := range page.Items {
		ids = append(ids, one.DeviceID)
	}
	if strings.Contains(string(r.Body), "APA91b") {
		w.T.Errorf("a token is told: %s", r.Body)
	}
	return ids
}

func kept(w *ingresstest.World, uid string) device.Devices {
	w.T.Helper()
	found, err := w.Store.Devices.Get(w.T.Context(), uid, device.Key)
	if err != nil {
		w.T.Fatal(err)
	}
	return found.Value
}

// From the registration to the end: whose a device is, and which token it has.
func TestADevice(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	w.Consent(ingresstest.Ben, true)
	for range 2 { // the second says nothing new
		if r := put(w, ingresstest.Anna, "phone", token); r.Status != 204 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	before, err := w.Store.Devices.Get(t.Context(), "anna", device.Key)
	if err != nil || len(before.Value.All) != 1 || before.Value.All["phone"].Token != token {
		t.Fatalf("%+v, %v", before, err)
	}
	put(w, ingresstest.Anna, "phone", token)
	if now, _ := w.Store.Devices.Get(t.Context(), "anna", device.Key); now.Version != before.Version {
		t.Error("what says nothing new is written")
	}
	if ids := list(w, ingresstest.Ben); len(ids) > 0 {
		t.Errorf("another sees %v", ids)
	}
	put(w, ingresstest.Anna, "phone", "other"+token)
	put(w, ingresstest.Anna, "again", "other"+token) // the app was installed anew
	if ids := list(w, ingresstest.Anna); fmt.Sprint(ids) != "[again]" {
		t.Errorf("%v", ids)
	}
	for range 2 {
		if r := w.Do("DELETE", "/v1/devices/again", ingresstest.Anna, nil); r.Status != 204 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
	if ids := list(w, ingresstest.Anna); len(ids) > 0 {
		t.Errorf("%v", ids)
	}
	if log := w.Log.String(); strings.Contains(log, "APA91b") {
		t.Error("the log has a token")
	}
}

// What is refused, and why.
func TestWhatIsNotRegistered(t *testing.T) {
	w := ingresstest.New(t)
	if r := put(w, ingresstest.Anna, "phone", token); r.Status != 403 || r.Code() != "consent_required" {
		t.Errorf("without consent: %d %s", r.Status, r.Body)
	}
	w.Consent(ingresstest.Anna, true)
	for what, r := range map[string]ingresstest.Reply{
		"no token":          put(w, ingresstest.Anna, "phone", ""),
		"a token of spaces": put(w, ingresstest.Anna, "phone", "a b"),
		"a long token":      put(w, ingresstest.Anna, "phone", strings.Repeat("a", 5000)),
		"a long id":         put(w, ingresstest.Anna, strings.Repeat("a", 65), token),
	} {
		if r.Status != 422 {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	off := ingresstest.New(t, func(n *ingress.Needs) { n.Woken = false })
	off.Consent(ingresstest.Anna, true)
	if r := put(off, ingresstest.Anna, "phone", token); r.Status != 409 || r.Code() != "devices_not_woken" {
		t.Errorf("where nobody is woken: %d %s", r.Status, r.Body)
	}
	if _, err := off.Store.Devices.Get(t.Context(), "anna", device.Key); err == nil {
		t.Error("where nobody is woken a token is kept")
	}
}

// However many register at once, a person has so many.
func TestAPersonHasSoMany(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	var running sync.WaitGroup
	for n := range 2 * device.Most {
		running.Go(func() {
			if r := put(w, ingresstest.Anna, fmt.Sprint("phone", n), fmt.Sprint(token, n)); r.Status != 204 && r.Status != 409 {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
	running.Wait()
	if n := len(kept(w, "anna").All); n > device.Most {
		t.Errorf("%d are kept", n)
	}
	for n := 0; len(kept(w, "anna").All) < device.Most; n++ {
		put(w, ingresstest.Anna, fmt.Sprint("more", n), fmt.Sprint(token, "more", n))
	}
	if r := put(w, ingresstest.Anna, "one-more", token); r.Status != 409 || r.Code() != "too_many_devices" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// An export says which devices there are and no token; an erasure takes them.
func TestWhatBecomesOfDevices(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	put(w, ingresstest.Anna, "phone", token)
	var e struct{ ExportID string }
	w.Do("POST", "/v1/exports", ingresstest.Anna, nil).JSON(t, &e)
	w.Export("anna", e.ExportID)
	r := w.Do("GET", "/v1/exports/"+e.ExportID+"/download", ingresstest.Anna, nil)
	if r.Status != 200 || !strings.Contains(string(r.Body), `{"kind":"device","key":"phone"`) || strings.Contains(string(r.Body), "APA91b") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	docs, err := w.Documents.List(t.Context(), store.Query{Collection: "devices", UID: "anna", Limit: 10})
	if err != nil || len(docs) != 1 || strings.Contains(string(docs[0].Data), "APA91b") {
		t.Errorf("%d are kept, sealed or not; %v", len(docs), err)
	}
	w.Consent(ingresstest.Anna, false)
	if r := w.Do("DELETE", "/v1/devices/none", ingresstest.Anna, nil); r.Status != 204 {
		t.Errorf("without consent none is removed: %d %s", r.Status, r.Body)
	}
	if r := w.Do("DELETE", "/v1/account", ingresstest.Anna, nil); r.Status != 202 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for range 3 {
		w.Clock.Advance(time.Minute)
		w.Erase()
	}
	docs, err = w.Documents.List(t.Context(), store.Query{Collection: "devices", UID: "anna", Limit: 10})
	if err != nil || len(docs) > 0 {
		t.Errorf("of who is erased there are %d, %v", len(docs), err)
	}
}
