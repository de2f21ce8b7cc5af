package cmd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/internal/emulated"
)

// The demo's four weeks through the three binaries, over everything that stands in for
// Google Cloud, and through `clarity up`: each GET route answers the same, but for when it
// was and which version it has.
func TestTheCloudAnswersAsTheLaptop(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs emulators that take minutes to build: make test-cloud")
	}
	bin := binaries(t)
	p := newPlace(t, bin)
	laptop, stop := p.upAt(t, nil, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--unlimited", "--debounce", "200ms", "--model", "preview")
	defer stop()
	one := caller{laptop, strings.TrimSpace(p.run(t, nil, []int{0}, "clarity", "token", "--user", "demo"))}
	other := inTheCloud(t, bin)
	shown := map[caller]string{}
	for _, c := range []caller{one, other} {
		shown[c] = p.run(t, []string{"CLARITY_TOKEN=" + c.token}, []int{0}, "clarity", "demo", "--server", c.url)
	}
	week := func(c caller) string {
		_, behind, found := strings.Cut(shown[c], "\n\n")
		if !found {
			t.Errorf("the demo shows no week:\n%s", shown[c])
		}
		before, _, _ := strings.Cut(behind, "\nAck ")
		return before
	}
	same(t, "what the demo shows", week(one), week(other))
	asked, answered, differ := one.routes(t), 0, 0
	for _, path := range asked {
		want := one.get(t, path)
		if want["status"] == http.StatusOK {
			answered++
		}
		if !same(t, path, want, other.get(t, path)) {
			differ++
		}
	}
	if answered < 100 {
		t.Errorf("%d answers of what is there are compared", answered)
	}
	t.Logf("%d of %d answers are the same, of which %d are of what is there", len(asked)-differ, len(asked), answered)
	same(t, "what devices are told", one.events(t), other.events(t))
	same(t, "an export", one.exported(t), other.exported(t))
}

// same says where the two differ, as far as anybody reads.
func same(t *testing.T, what string, laptop, cloud any) bool {
	t.Helper()
	diff := cmp.Diff(laptop, cloud)
	if diff != "" {
		t.Errorf("%s (-laptop +cloud):\n%.3000s", what, diff)
	}
	return diff == ""
}

// inTheCloud starts the cloud and the three binaries.
func inTheCloud(t *testing.T, bin string) caller {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := emulated.Start(t.Context(), emulated.Options{Root: root, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ends := func(what string, stop func() error) {
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	ends("the cloud", cloud.Stop)
	platform, err := cloud.Run(t.Context(), emulated.Fleet{Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	ends("the platform", platform.Stop)
	token, err := cloud.Person(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	return caller{platform.URL, token}
}

// A caller asks a platform as a person.
type caller struct{ url, token string }

func (c caller) ask(ctx context.Context, t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	return c.send(ctx, t, http.MethodGet, path, header...)
}

func (c caller) send(ctx context.Context, t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// get is the answer without times and versions.
func (c caller) get(t *testing.T, path string) map[string]any {
	t.Helper()
	res := c.ask(t.Context(), t, path)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := map[string]any{"status": res.StatusCode, "type": res.Header.Get("Content-Type")}
	var object any
	if json.Unmarshal(body, &object) == nil {
		answer["body"] = timeless(object)
	} else {
		answer["body"] = string(body)
	}
	return answer
}

// times are the members that say when something was.
var times = []string{"at", "updated", "updatedAt", "computedAt", "writtenAt", "mergedAt", "receivedAt", "createdAt", "committed", "received"}

// timeless is the value without the members that say when something was.
func timeless(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if _, is := member.(string); is && slices.Contains(times, name) {
				delete(value, name)
			} else {
				value[name] = timeless(member)
			}
		}
	case []any:
		for i := range value {
			value[i] = timeless(value[i])
		}
	}
	return value
}

// strange is what nothing has for its name.
const strange = "00000000-0000-4000-8000-000000000000"

// routes are the paths of every GET route, for everything that the person has.
func (c caller) routes(t *testing.T) (paths []string) {
	t.Helper()
	var api struct {
		Paths map[string]map[string]any
	}
	c.read(t, "/openapi.json", &api)
	for route, methods := range api.Paths {
		switch {
		case methods["get"] == nil, route == "/metrics", route == "/healthz", route == "/readyz", route == "/v1/events":
			// what is no person's, and what has no end
		case strings.Contains(route, "{date}"):
			for _, day := range append(c.names(t, "/v1/days?limit=100", "date"), c.names(t, "/v1/weeks?limit=100", "date")...) {
				paths = append(paths, strings.NewReplacer("{date}", day, "{uuid}", strange).Replace(route))
			}
		case strings.Contains(route, "{uploadId}"):
			for _, id := range append(c.names(t, "/v1/uploads?limit=100", "uploadId"), strange) {
				paths = append(paths, strings.ReplaceAll(route, "{uploadId}", id))
			}
		case strings.Contains(route, "{exportId}"), strings.Contains(route, "{webhookId}"): // see exported; a person has no webhooks
			paths = append(paths, strings.NewReplacer("{exportId}", strange, "{webhookId}", strange).Replace(route))
		case strings.Contains(route, "{"):
			t.Errorf("%s has a name that this test does not know", route)
		default:
			paths = append(paths, route)
		}
	}
	paths = append(paths, "/v1/days?limit=100", "/v1/weeks?limit=100", "/v1/insights?limit=100", "/v1/uploads?limit=100", "/v1/uploads?state=failed", "/v1/sync?days=400",
		"/v1/trends?metric=sleep.total_sleep_time_minutes&windows=20", "/v1/trends?metric=activity.steps_per_day", "/v1/nowhere")
	slices.Sort(paths)
	return slices.Compact(paths)
}

func (c caller) read(t *testing.T, path string, into any) {
	t.Helper()
	res := c.ask(t.Context(), t, path)
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, res.Status, err)
	}
}

// names are a member of a page's items.
func (c caller) names(t *testing.T, path, member string) (all []string) {
	t.Helper()
	var page struct {
		Items []map[string]any
		Next  string
	}
	c.read(t, path, &page)
	for _, item := range page.Items {
		all = append(all, fmt.Sprint(item[member]))
	}
	if len(all) == 0 || page.Next != "" {
		t.Errorf("%s has %d items, and then %q", path, len(all), page.Next)
	}
	return all
}

// events are what the person's devices are told, each once and in the order of its name:
// how often a week was computed on the way is not said.
func (c caller) events(t *testing.T) (all []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	res := c.ask(ctx, t, "/v1/events", "Last-Event-ID", "0000000000000000")
	defer res.Body.Close()
	kind := ""
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			kind = value
		case "data":
			var body struct{ Ref string }
			if err := json.Unmarshal([]byte(value), &body); err != nil {
				t.Fatal(err)
			}
			all = append(all, kind+" "+body.Ref)
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) < 30 {
		t.Errorf("%d events", len(all))
	}
	return all
}

// exported are the lines of an export that is made now, but for events, which tell how
// often a week was computed on the way, and for the export's own.
func (c caller) exported(t *testing.T) (all []string) {
	t.Helper()
	res := c.send(t.Context(), t, http.MethodPost, "/v1/exports")
	defer res.Body.Close()
	var export struct{ ExportID, State, Download string }
	if err := json.NewDecoder(res.Body).Decode(&export); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("an export: %s, %v", res.Status, err)
	}
	for began := time.Now(); export.State != "ready"; time.Sleep(100 * time.Millisecond) {
		if c.read(t, "/v1/exports/"+export.ExportID, &export); time.Since(began) > time.Minute {
			t.Fatalf("the export is %s", export.State)
		}
	}
	copied := c.ask(t.Context(), t, export.Download)
	defer copied.Body.Close()
	for lines := json.NewDecoder(copied.Body); lines.More(); {
		var line map[string]any
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if kind := line["kind"]; kind == "event" || kind == "export" || kind == "end" {
			continue
		}
		text, err := json.Marshal(timeless(line))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	if slices.Sort(all); len(all) < 10_000 {
		t.Errorf("%d lines are exported", len(all))
	}
	return all
}
