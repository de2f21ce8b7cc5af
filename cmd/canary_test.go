package cmd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/clarity-loop/clarity/internal/emulated"
)

// A canary is in each field that a client fills in, and is called what the field is.
const (
	bird       = "Zq7canary"
	canaryUUID = "ca4a7e57-3f6e-4c0e-9a55-0ca4a7e57ca4"
	goneUUID   = "deadca4a-3f6e-4c0e-9a55-0ca4a7e57ca4"
	heartbeat  = 61.987654321
	foreign    = "ca4aca4aca4aca4aca4aca4aca4aca4a" // a trace of the phone's own
)

func named(field string) string { return bird + "-" + field }

// aviary is one run of the three binaries, and what is to be found nowhere.
type aviary struct {
	*cloud
	*testing.T
	servers []*server
	watched []string          // subscriptions of the test's own, one a topic
	secrets map[string]string // by what they are
	others  bytes.Buffer      // what others than the person were answered
}

// canaries plays a person whose every field is a canary, and looks at each door.
func canaries(t *testing.T, bin string) {
	a := &aviary{cloud: startCloud(t, bin, false), T: t, secrets: map[string]string{
		"canary": bird, "e-mail": strings.ToLower(bird), "uuid": canaryUUID, "deleted uuid": goneUUID, "value": "61.98765", "trace": foreign, "value, raw": raw64(heartbeat), "uuid, raw": rawHex(canaryUUID),
	}}
	backends := a.Backends()
	backends["writer"], backends["feed"] = "gemini:"+emulated.Project+"/europe-west3/gemini-test", backends["store"]
	config, err := json.Marshal(map[string]any{"backends": backends, "listen": map[string]string{"admin": "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	a.place.write(t, "cloud.yaml", string(config))
	a.watch()
	a.servers = []*server{a.start(t, emulated.Ingress), a.start(t, emulated.Worker, "serve", "--debounce", "200ms", "--log-level", "debug"), a.start(t, emulated.Insights, "--log-level", "debug")}
	a.play(a.servers[0].url)
	var counts bytes.Buffer
	for _, s := range a.servers {
		_, text := a.ask(t, http.MethodGet, s.admin+"/metrics", "")
		counts.WriteString(text)
	}
	a.nothing("metrics", counts.Bytes(), "clarity_driver_call_seconds", "clarity_message_seconds")
	for _, s := range a.servers {
		s.stop(t)
		a.nothing("the log of "+s.name, []byte(s.log.String()), `"level":"INFO"`, `"duration_ms":`)
	}
	traces, err := os.ReadFile(a.Received())
	if err != nil {
		t.Fatal(err)
	}
	a.nothing("traces", traces, "PUT /v1/uploads/{uploadId}", "store batch", "process events", "insight")
	a.nothing("prompts", a.get("http://"+a.Address(emulated.Gemini)+"/requests"), "generateContent", "gemini-test")
	a.nothing("replies to others", a.others.Bytes(), "not_found")
	a.objects()
	a.messages()
	a.documents()
}

func raw64(f float64) string {
	return string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)))
}

func rawHex(uuid string) string {
	b, _ := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	return string(b)
}

// nothing holds that a door shows something, and no secret.
func (a *aviary) nothing(door string, shown []byte, something ...string) {
	a.Helper()
	for _, part := range something {
		if !bytes.Contains(shown, []byte(part)) {
			a.Errorf("%s show no %q: is anything looked at?", door, part)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(a.secrets)) {
		if i := bytes.Index(shown, []byte(a.secrets[what])); i >= 0 {
			a.Errorf("%s show the %s: %.160q", door, what, shown[max(0, i-60):])
		}
	}
}

func (a *aviary) get(url string) []byte {
	a.Helper()
	res, err := http.Get(url) //nolint:gosec,noctx // an emulator's
	if err != nil {
		a.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		a.Fatalf("%s: %s %.300s, %v", url, res.Status, text, err)
	}
	return text
}

// enter makes an account with these custom claims, and is its ID token.
func (a *aviary) enter(uid, claims string) string {
	a.Helper()
	at := "http://" + a.Address(emulated.Auth) + "/identitytoolkit.googleapis.com/v1/"
	who := map[string]any{"localId": uid, "email": strings.ToLower(uid) + "@example.com", "displayName": named("name"), "password": named("password"), "customAttributes": claims, "returnSecureToken": true}
	token := ""
	for _, path := range []string{"projects/" + emulated.Project + "/accounts", "accounts:signInWithPassword"} {
		text, err := json.Marshal(who)
		if err != nil {
			a.Fatal(err)
		}
		req, err := http.NewRequestWithContext(a.Context(), http.MethodPost, at+path, bytes.NewReader(text))
		if err != nil {
			a.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if token == "" {
			req.Header.Set("Authorization", "Bearer owner")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			a.Fatal(err)
		}
		var in struct{ IDToken string }
		err = json.NewDecoder(res.Body).Decode(&in)
		if _ = res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
			a.Fatalf("%s: %s, %v", path, res.Status, err)
		}
		delete(who, "localId")
		delete(who, "customAttributes")
		token = in.IDToken
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		a.Fatalf("a token of %d parts", len(parts))
	}
	a.secrets["token of "+uid], a.secrets["claims of "+uid] = parts[2], parts[1]
	return token
}

// say sends a request with canaries in its headers, and is what is answered.
func (a *aviary) say(token, method, url, body string, headers ...string) (int, string) {
	a.Helper()
	req, err := http.NewRequestWithContext(a.Context(), method, url, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token, "Content-Type": "application/json", "User-Agent": named("agent"), "Referer": "https://" + named("referer"), "Cookie": "a=" + named("cookie"),
		"X-Forwarded-For": named("forwarded"), "X-Request-Id": named("request"), "Accept-Language": named("language"), "X-Firebase-AppCheck": named("appcheck"),
		"Traceparent": "00-" + foreign + "-ca4aca4aca4aca4a-01", "Tracestate": "a=" + named("state"), "Baggage": "a=" + named("baggage"), named("Header"): named("header"),
	} {
		req.Header.Set(name, value)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		a.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// must is say, which goes well.
func (a *aviary) must(token, method, url, body string, headers ...string) string {
	a.Helper()
	status, text := a.say(token, method, url, body, headers...)
	if status/100 != 2 {
		a.Fatalf("%s %s: %d %s", method, url, status, text)
	}
	return text
}

// envelope is an upload of two hours of a heart, all of whose words are canaries; of what
// the platform has no name for, too, and of what it does not take.
func envelope(start time.Time) string {
	source := fmt.Sprintf(`"source": {"bundleId": %q, "name": %q, "productType": %q, "osVersion": %q}, "metadata": {%q: %q}`,
		named("bundle"), named("source"), named("product"), named("os"), named("key"), named("value"))
	sample := func(uuid, kind string, at time.Time, more string) string {
		when := at.Format(time.RFC3339)
		return fmt.Sprintf(`{"uuid": %q, "type": %q, "start": %q, "end": %q, "value": %v, "unit": "count/min", %s%s}`, uuid, kind, when, when, heartbeat, source, more)
	}
	const heart = "HKQuantityTypeIdentifierHeartRate"
	device := fmt.Sprintf(`, "device": {"name": %q, "localIdentifier": %q}, %q: %q`, named("device"), named("identifier"), named("unknown"), named("unknown"))
	samples := []string{
		sample(canaryUUID, heart, start, ""), sample("0b7d1f0a-3f6e-4c0e-9a55-100000000001", "HKQuantityTypeIdentifier"+bird, start, device),
		sample("0b7d1f0a-3f6e-4c0e-9a55-100000000002", heart, start, device), sample(named("uuid"), heart, start, ""),
	}
	for i := range 120 {
		samples = append(samples, sample(fmt.Sprintf("0b7d1f0a-3f6e-4c0e-9a55-%012d", i), heart, start.Add(time.Duration(i)*time.Minute), ""))
	}
	return fmt.Sprintf(`{"schema": "clarity.upload/1", "installationId": %q, "timeZone": "UTC", "samples": [%s], "deleted": [{"uuid": %q, "type": %q}, {"uuid": %q, "type": %q, "reason": %q}],
		"cursor": {%q: %q}, "stage": "daily", "final": true}`, named("installation"), strings.Join(samples, ","), goneUUID, heart, goneUUID, heart, named("reason"), named("type"), named("anchor"))
}

// play is what the person does, and a service of the tenant's, and somebody else.
func (a *aviary) play(api string) {
	anna, ben, service := a.enter(named("uid"), `{"note":"`+named("claim")+`"}`), a.enter("ben", "{}"), a.enter("service", `{"clarity_role":"service"}`)
	a.token = anna
	for _, purpose := range []string{"processing", "narrative"} {
		a.must(anna, http.MethodPut, api+"/v1/consents/"+purpose, `{"granted": true, "version": "`+named("consent")+`"}`)
		a.must(ben, http.MethodPut, api+"/v1/consents/"+purpose, `{"granted": true, "version": "1"}`)
	}
	var hook struct{ WebhookID, Secret string }
	if err := json.Unmarshal([]byte(a.must(service, http.MethodPost, api+"/v1/webhooks", `{"url": "https://127.0.0.1.nip.example/`+named("hook")+`?a=`+named("hook")+`"}`)), &hook); err != nil || len(hook.Secret) < 20 {
		a.Fatalf("a webhook %+v, %v", hook, err)
	}
	a.secrets["webhook's secret"] = strings.TrimPrefix(hook.Secret, "whsec_")
	a.must(service, http.MethodPost, api+"/v1/webhooks/"+hook.WebhookID+"/rotate", "")
	a.must(anna, http.MethodPut, api+"/v1/profile", `{"sourcePriority": ["`+named("priority")+`"]}`, "If-Match", `"0"`)
	start := time.Now().UTC().Add(-26 * time.Hour).Truncate(24 * time.Hour).Add(10 * time.Hour)
	day, upload := start.Format(time.DateOnly), named("upload")
	if receipt := a.must(anna, http.MethodPut, api+"/v1/uploads/"+upload, envelope(start)); !strings.Contains(receipt, `"received":126,"accepted":124`) {
		a.Fatalf("of the canaries are taken in: %.2000s", receipt)
	}
	a.until(a.T, api+"/v1/uploads/"+upload, `"merged"`)
	a.until(a.T, api+"/v1/insights/"+day, `"text"`)
	a.must(anna, http.MethodPost, api+"/v1/insights", `{"date": "`+day+`"}`)
	var export struct{ ExportID, Download string }
	if err := json.Unmarshal([]byte(a.must(anna, http.MethodPost, api+"/v1/exports", "")), &export); err != nil {
		a.Fatal(err)
	}
	a.until(a.T, api+"/v1/exports/"+export.ExportID, `"ready"`)
	if err := json.Unmarshal([]byte(a.must(anna, http.MethodGet, api+"/v1/exports/"+export.ExportID, "")), &export); err != nil {
		a.Fatal(err)
	}
	own := a.must(anna, http.MethodGet, api+export.Download, "")
	for _, kept := range []string{named("bundle"), named("source"), named("product"), named("os"), named("key"), named("value"), named("device"), named("priority"), named("consent"), named("anchor"), upload, canaryUUID, goneUUID, "61.987654321"} {
		if !strings.Contains(own, kept) {
			a.Errorf("%s is not in the person's own copy: it never came in", kept)
		}
	}
	a.refused(api, anna, envelope(start))
	for _, path := range []string{"/v1/uploads/" + upload, "/v1/exports/" + export.ExportID, "/v1/days/" + day, "/v1/weeks/" + day, "/v1/insights/" + day, "/v1/webhooks/" + hook.WebhookID} {
		for _, other := range []string{ben, service, "nobody"} {
			_, text := a.say(other, http.MethodGet, api+path, "")
			a.others.WriteString(text)
		}
	}
	_, text := a.say(ben, http.MethodPut, api+"/v1/uploads/"+upload, `{"schema": "clarity.upload/1"}`)
	a.others.WriteString(text)
}

// refused is what cannot be.
func (a *aviary) refused(api, token, body string) {
	for _, r := range []struct{ method, path, body, header string }{
		{"PUT", "/v1/uploads/" + named("upload"), `{"` + bird + `": 1}`, ""},
		{"PUT", "/v1/uploads/" + named("upload"), `{"schema": "` + bird + `"}`, ""},
		{"PUT", "/v1/uploads/" + named("other"), strings.Replace(body, `"UTC"`, `"`+bird+`"`, 1), ""},
		{"PUT", "/v1/uploads/" + named("other"), body, bird},
		{"PUT", "/v1/uploads/" + bird + "%00", body, ""},
		{"PUT", "/v1/consents/" + bird, `{"granted": "` + bird + `"}`, ""},
		{"PUT", "/v1/profile", `{"sex": "` + bird + `", "birthYear": "` + bird + `"}`, ""},
		{"POST", "/v1/insights", `{"date": "` + bird + `"}`, ""},
		{"POST", "/v1/webhooks", `{"url": "` + bird + `"}`, ""},
		{"GET", "/" + bird, "", ""}, {"GET", "/v1/days?" + bird + "=1", "", ""}, {"GET", "/v1/days?limit=" + bird, "", ""}, {"GET", "/v1/days/" + bird, "", ""},
		{"GET", "/v1/trends?metric=" + bird, "", ""}, {"GET", "/healthz?" + bird + "=" + bird, "", ""}, {"FROB" + bird, "/v1/days", "", ""},
	} {
		headers := []string{}
		if r.header != "" {
			headers = []string{"Content-Encoding", r.header}
		}
		if status, text := a.say(token, r.method, api+r.path, r.body, headers...); status/100 != 4 && !strings.HasPrefix(r.path, "/healthz") {
			a.Errorf("%s %s: %d %.200s", r.method, r.path, status, text)
		}
	}
	if status, _ := a.say(token[:len(token)-4]+bird, http.MethodGet, api+"/v1/days", ""); status != http.StatusUnauthorized {
		a.Errorf("a token that is none: %d", status)
	}
}

// objects looks at the names, what is said of them and the bytes of all objects.
func (a *aviary) objects() {
	seen := 0
	for _, capability := range []string{"blobs", "audit"} {
		bucket := strings.TrimPrefix(a.Backends()[capability], "gcs:")
		at := "http://" + a.Address(emulated.Storage)
		listed := a.get(at + "/storage/v1/b/" + bucket + "/o")
		a.nothing("names of objects", listed)
		var list struct{ Items []struct{ Name string } }
		if err := json.Unmarshal(listed, &list); err != nil {
			a.Fatal(err)
		}
		for _, item := range list.Items {
			seen++
			a.nothing("an object of "+path.Dir(item.Name), a.get(at+"/download/storage/v1/b/"+bucket+"/o/"+url.PathEscape(item.Name)+"?alt=media"))
		}
	}
	if seen < 4 {
		a.Errorf("looked at %d objects", seen)
	}
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// watch has a subscription of the test's own at every topic.
func (a *aviary) watch() {
	conn := dial(a.T, a.Address(emulated.PubSub))
	topics, err := pubsubpb.NewPublisherClient(conn).ListTopics(a.Context(), &pubsubpb.ListTopicsRequest{Project: "projects/" + emulated.Project})
	if err != nil {
		a.Fatal(err)
	}
	for _, topic := range topics.Topics {
		name := "projects/" + emulated.Project + "/subscriptions/watch-" + path.Base(topic.Name)
		if _, err := pubsubpb.NewSubscriberClient(conn).CreateSubscription(a.Context(), &pubsubpb.Subscription{Name: name, Topic: topic.Name, AckDeadlineSeconds: 600}); err != nil {
			a.Fatal(err)
		}
		a.watched = append(a.watched, name)
	}
}

// messages looks at all that was published: keys, attributes and data.
func (a *aviary) messages() {
	client, seen := pubsubpb.NewSubscriberClient(dial(a.T, a.Address(emulated.PubSub))), map[string]int{}
	for _, name := range a.watched {
		for {
			ctx, cancel := context.WithTimeout(a.Context(), 2*time.Second)
			pulled, err := client.Pull(ctx, &pubsubpb.PullRequest{Subscription: name, MaxMessages: 500, ReturnImmediately: true}) //nolint:staticcheck // nothing more comes
			cancel()
			if err != nil || len(pulled.ReceivedMessages) == 0 {
				break
			}
			for _, m := range pulled.ReceivedMessages {
				seen[path.Base(name)]++
				wire, err := proto.Marshal(m.Message)
				if err != nil {
					a.Fatal(err)
				}
				a.nothing("a message of "+path.Base(name), wire, m.Message.OrderingKey, "traceparent")
			}
		}
	}
	for _, topic := range []string{"uploads", "analyses", "results", "events"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(name string) bool { return strings.HasSuffix(name, topic) }) {
			a.Errorf("no message of %s was looked at: %v", topic, seen)
		}
	}
}

// documents looks at all that is in the databases. A feed says whose it is by its name,
// which the rules go by, and of an upload which: that is what its owner listens for.
func (a *aviary) documents() {
	seen := map[string]int{}
	client := firestorepb.NewFirestoreClient(dial(a.T, a.Address(emulated.Firestore)))
	ctx := metadata.AppendToOutgoingContext(a.Context(), "authorization", "Bearer owner")
	for _, database := range []string{"clarity", "keys", "queue"} {
		a.walk(ctx, client, "projects/"+emulated.Project+"/databases/"+database+"/documents", seen)
	}
	if seen["feeds"] == 0 || seen["events"] == 0 || seen["documents"] < 20 {
		a.Errorf("looked at %v", seen)
	}
}

// walk looks at all documents below a parent.
func (a *aviary) walk(ctx context.Context, client firestorepb.FirestoreClient, parent string, seen map[string]int) {
	a.Helper()
	collections, err := client.ListCollectionIds(ctx, &firestorepb.ListCollectionIdsRequest{Parent: parent, PageSize: 1000})
	if err != nil {
		a.Fatalf("list collections: %v", err)
	}
	for _, collection := range collections.CollectionIds {
		for token := ""; ; {
			page, err := client.ListDocuments(ctx, &firestorepb.ListDocumentsRequest{Parent: parent, CollectionId: collection, PageSize: 300, PageToken: token, ShowMissing: true})
			if err != nil {
				a.Fatalf("list documents: %v", err)
			}
			for _, d := range page.Documents {
				seen[collection]++
				a.walk(ctx, client, d.Name, seen)
				if strings.Contains(d.Name, "/documents/feeds/") {
					d.Name = ""
					if ref := d.Fields["ref"]; ref.GetStringValue() == named("upload") {
						delete(d.Fields, "ref")
					}
				}
				wire, err := proto.Marshal(d)
				if err != nil {
					a.Fatal(err)
				}
				a.nothing("a document of "+collection, wire)
			}
			if token = page.NextPageToken; token == "" {
				break
			}
		}
	}
}
