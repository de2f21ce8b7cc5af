package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

type consents struct {
	Items []struct {
		Purpose string
		Granted bool
		Version string
		At      string
		History []struct {
			Granted bool
			Version string
			At      string
		}
	}
}

func put(w *ingresstest.World, purpose, body string) ingresstest.Reply {
	return w.Do("PUT", "/v1/consents/"+purpose, ingresstest.Anna, []byte(body), ingresstest.AsJSON())
}

func TestConsentsKeepTheirHistory(t *testing.T) {
	w := ingresstest.New(t)
	var before consents
	w.Do("GET", "/v1/consents", ingresstest.Anna, nil).JSON(t, &before)
	if len(before.Items) != 2 || before.Items[0].Purpose != "processing" || before.Items[1].Purpose != "narrative" || before.Items[0].At != "" || len(before.Items[0].History) != 0 {
		t.Errorf("before any answer: %+v", before)
	}
	for n := range 203 {
		if r := put(w, "narrative", fmt.Sprintf(`{"granted":%v,"version":"v%d"}`, n%2 == 0, n)); r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	var after consents
	w.Do("GET", "/v1/consents", ingresstest.Anna, nil).JSON(t, &after)
	c := after.Items[1]
	if !c.Granted || c.Version != "v202" || c.At == "" || len(c.History) != 200 || c.History[0].Version != "v2" || !c.History[0].Granted || c.History[199].Version != "v201" || c.History[199].Granted || c.History[0].At == "" {
		t.Errorf("%v %s, %d earlier answers from %+v", c.Granted, c.Version, len(c.History), c.History[0])
	}
	if g, x := w.Audit.Count(audit.ConsentGranted), w.Audit.Count(audit.ConsentWithdrawn); g != 102 || x != 101 {
		t.Errorf("%d grants and %d withdrawals are audited", g, x)
	}
}

// Only agreeing to processing again takes up what was held, and it does whatever
// becomes of this process: the errand is written with the answer.
func TestWhatAnAgreementResumes(t *testing.T) {
	for answers, want := range map[string]bool{
		"processing true": false, "processing true, processing false": false, "processing false, processing true": true,
		"narrative false, narrative true": false,
	} {
		w := ingresstest.New(t)
		for answer := range strings.SplitSeq(answers, ", ") {
			purpose, granted, _ := strings.Cut(answer, " ")
			if r := put(w, purpose, `{"granted":`+granted+`,"version":"1"}`); r.Status != 200 {
				t.Fatalf("%d %s", r.Status, r.Body)
			}
		}
		if got := onAgenda(w, agenda.Resume); got != want {
			t.Errorf("%s: on the agenda %v, want %v", answers, got, want)
		}
	}
}

// Only what enters the digest of a Result's input has the Results looked at again.
func TestWhatAProfileHasReviewed(t *testing.T) {
	for body, want := range map[string]bool{
		`{"birthYear":1980,"sex":"female","timeZone":"Europe/Berlin","heightM":1.7,"weightKg":60}`: false,
		`{"sourcePriority":["Watch"]}`: true,
		`{"sourcePriority":[]}`:        false,
	} {
		w := ingresstest.New(t)
		if r := w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(body), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"0"`}); r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		if got := onAgenda(w, agenda.Review); got != want {
			t.Errorf("%s: on the agenda %v, want %v", body, got, want)
		}
	}
}

// onAgenda says whether an errand of anna's is due.
func onAgenda(w *ingresstest.World, kind agenda.Kind) bool {
	due, err := w.Store.Due(w.T.Context(), store.ShardOf("anna"), w.Clock.Now(), 10)
	if err != nil {
		w.T.Fatal(err)
	}
	return slices.ContainsFunc(due, func(d store.Document) bool { return d.Key.Key == agenda.Errand{Kind: kind}.Key() })
}

func TestWhatFailsIsNotAnsweredAsDone(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	const export = "/v1/exports/00000000000000000000000000000001"
	tests := map[string]struct{ what, method, path, body string }{
		"a profile that cannot be read":       {"get profiles", "GET", "/v1/profile", ""},
		"a profile that cannot be written":    {"write profiles", "PUT", "/v1/profile", `{"birthYear":1980}`},
		"consents that cannot be read":        {"get consents", "GET", "/v1/consents", ""},
		"a consent that cannot be read":       {"get consents", "PUT", "/v1/consents/narrative", `{"granted":true,"version":"1"}`},
		"a consent that cannot be written":    {"write consents", "PUT", "/v1/consents/narrative", `{"granted":true,"version":"1"}`},
		"an export that cannot be written":    {"write exports", "POST", "/v1/exports", ""},
		"an export without an agenda":         {"get agenda", "POST", "/v1/exports", ""},
		"an export that cannot be deleted":    {"write exports", "DELETE", export, ""},
		"exports that cannot be listed":       {"list exports", "GET", "/v1/exports", ""},
		"an export that cannot be read":       {"get exports", "GET", export, ""},
		"a download whose export is not read": {"get exports", "GET", export + "/download", ""},
		"a receipt that cannot be read":       {"get accounts", "GET", "/v1/account/receipt", ""},
		"an account that cannot be read":      {"get accounts", "DELETE", "/v1/account", ""},
		"an account that cannot be written":   {"write accounts", "DELETE", "/v1/account", ""},
	}
	for name, tt := range tests {
		w.Break(tt.what)
		r := w.Do(tt.method, tt.path, ingresstest.Anna, []byte(tt.body), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"1"`})
		if r.Status != 500 || strings.Contains(string(r.Body), "disk") {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
		w.Mend()
	}
	w.Audit.Broken = true
	for _, request := range []string{`PUT /v1/profile {"birthYear":1980}`, `PUT /v1/consents/narrative {"granted":true,"version":"1"}`, "POST /v1/exports "} {
		method, rest, _ := strings.Cut(request, " ")
		path, body, _ := strings.Cut(rest, " ")
		if r := w.Do(method, path, ingresstest.Ben, []byte(body), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"0"`}); r.Status != 500 {
			t.Errorf("%s %s without an audit log: %d %s", method, path, r.Status, r.Body)
		}
	}
}

func TestTheProfileAsItIsSent(t *testing.T) {
	w := ingresstest.New(t)
	empty := w.Do("GET", "/v1/profile", ingresstest.Anna, nil)
	if empty.Status != 200 || empty.Header.Get("Etag") != `"0"` || strings.Contains(string(empty.Body), "updatedAt") {
		t.Errorf("%d %s %s", empty.Status, empty.Header.Get("Etag"), empty.Body)
	}
	body := `{"birthYear":1980,"sex":"female","timeZone":"Europe/Berlin","heightM":1.7,"weightKg":61.5,"sourcePriority":["Watch"]}`
	written := w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(body), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"0"`})
	read := w.Do("GET", "/v1/profile", ingresstest.Anna, nil)
	if diff := cmp.Diff(string(written.Body), string(read.Body)); diff != "" || read.Header.Get("Etag") == `"0"` || written.Header.Get("Etag") != read.Header.Get("Etag") {
		t.Errorf("%s (-written +read):\n%s", read.Header.Get("Etag"), diff)
	}
	for _, part := range strings.Split(strings.Trim(body, "{}"), ",") {
		if !strings.Contains(string(read.Body), part) {
			t.Errorf("no %s in %s", part, read.Body)
		}
	}
	if !strings.Contains(string(read.Body), `"updatedAt":"`) {
		t.Errorf("%s", read.Body)
	}
	for _, match := range []string{"", `"-1"`, `1`, `"01"`, `"x"`, `"0"`, `"2"`, read.Header.Get("Etag")} { // the right one last
		want := map[string]int{"": 428, read.Header.Get("Etag"): 200}[match]
		if want == 0 {
			want = 412
		}
		r := w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(`{}`), ingresstest.AsJSON(), ingresstest.Header{"If-Match": match})
		if r.Status != want {
			t.Errorf("If-Match %s: %d %s, want %d", match, r.Status, r.Body, want)
		}
	}
	for zone, want := range map[string]int{"Europe/Berlin": 200, "UTC": 200, "GMT+1": 200, "Local": 422, "localtime": 422, "posixrules": 422, "Factory": 422, "Mars/Olympus": 422} {
		etag := w.Do("GET", "/v1/profile", ingresstest.Anna, nil).Header.Get("Etag")
		r := w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(`{"timeZone":"`+zone+`"}`), ingresstest.AsJSON(), ingresstest.Header{"If-Match": etag})
		if r.Status != want || want == 422 && !strings.Contains(string(r.Body), "body.timeZone") {
			t.Errorf("%s: %d %s, want %d", zone, r.Status, r.Body, want)
		}
		if zone == "GMT+1" && !strings.Contains(string(r.Body), `"timeZone":"GMT+0100"`) {
			t.Errorf("a fixed offset: %s", r.Body)
		}
	}
	for entry, want := range map[string]int{`Watch`: 200, strings.Repeat("ü", 200): 200, strings.Repeat("x", 201): 422, ``: 422, ` `: 422, `a\u0000`: 422, `a\u007f`: 422, `\ud83d`: 422, `\ud83d\ude00`: 200} {
		r := w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(`{"sourcePriority":["`+entry+`"]}`), ingresstest.AsJSON(), ingresstest.Header{"If-Match": "*"})
		if r.Status != want || want == 422 && !strings.Contains(string(r.Body), "body.sourcePriority[0]") {
			t.Errorf("%q: %d %s, want %d", entry, r.Status, r.Body, want)
		}
	}
	for year, want := range map[int]int{0: 422, 1899: 422, 1900: 200, time.Now().Year(): 200, time.Now().Year() + 2: 422, 2101: 422} {
		r := w.Do("PUT", "/v1/profile", ingresstest.Anna, fmt.Appendf(nil, `{"birthYear":%d}`, year), ingresstest.AsJSON(), ingresstest.Header{"If-Match": "*"})
		if r.Status != want || want == 422 && !strings.Contains(string(r.Body), "body.birthYear") {
			t.Errorf("born %d: %d %s, want %d", year, r.Status, r.Body, want)
		}
	}
	if n := w.Audit.Count(audit.ProfileChanged); n != 10 {
		t.Errorf("%d changes are audited", n)
	}
}
