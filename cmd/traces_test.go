package cmd_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/clarity-loop/clarity/internal/emulated"
)

// What the three binaries tell those who look on: the way of each upload, and nobody's
// secrets.
func TestWhatTheThreeBinariesTell(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs emulators that take minutes to build: make test-cloud")
	}
	bin := binaries(t)
	t.Run("one trace shows the whole way of one upload", func(t *testing.T) { traced(t, bin) })
	t.Run("a canary in every field is found nowhere", func(t *testing.T) { canaries(t, bin) })
}

// A span is one as the collector has it, and which program it is of.
type span struct {
	*otlp.Span
	service string
}

// spans is all that the collector has.
type spans []span

func (c *cloud) spans(t *testing.T) (all spans) {
	t.Helper()
	text, err := os.ReadFile(c.Received())
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var said struct {
			Kind    string
			Request json.RawMessage
		}
		var r collector.ExportTraceServiceRequest
		if line[len(line)-1] != '\n' {
			continue // it is being written
		}
		if err := json.Unmarshal(line, &said); err != nil || said.Kind != "traces" {
			t.Fatalf("the collector has %s, %v", said.Kind, err)
		}
		if err := protojson.Unmarshal(said.Request, &r); err != nil {
			t.Fatal(err)
		}
		for _, of := range r.ResourceSpans {
			service := ""
			for _, a := range of.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, scope := range of.ScopeSpans {
				for _, s := range scope.Spans {
					all = append(all, span{s, service})
				}
			}
		}
	}
	return all
}

// below are the spans of the name that are children of the one.
func (all spans) below(of span, name string) (found spans) {
	for _, s := range all {
		if s.Name == name && bytes.Equal(s.ParentSpanId, of.SpanId) && bytes.Equal(s.TraceId, of.TraceId) {
			found = append(found, s)
		}
	}
	return found
}

// step is a span of the way of an upload, the child of the one before: of which program,
// and in what part.
type step struct {
	service, name string
	kind          otlp.Span_SpanKind
}

// The way of an upload, and the rest of it from where it is to be analysed.
var (
	asked = []step{
		{emulated.Ingress, "PUT /v1/uploads/{uploadId}", otlp.Span_SPAN_KIND_SERVER},
		{emulated.Ingress, "send uploads", otlp.Span_SPAN_KIND_PRODUCER},
		{emulated.Worker, "process uploads", otlp.Span_SPAN_KIND_CONSUMER},
		{emulated.Worker, "merge", otlp.Span_SPAN_KIND_INTERNAL},
	}
	analysed = []step{
		{emulated.Worker, "send analyses", otlp.Span_SPAN_KIND_PRODUCER},
		{emulated.Worker, "process analyses", otlp.Span_SPAN_KIND_CONSUMER},
		{emulated.Worker, "analyse", otlp.Span_SPAN_KIND_INTERNAL},
		{emulated.Worker, "send results", otlp.Span_SPAN_KIND_PRODUCER},
		{emulated.Insights, "process results", otlp.Span_SPAN_KIND_CONSUMER},
		{emulated.Insights, "insight", otlp.Span_SPAN_KIND_INTERNAL},
		{emulated.Insights, "send events", otlp.Span_SPAN_KIND_PRODUCER},
		{emulated.Ingress, "process events", otlp.Span_SPAN_KIND_CONSUMER},
		{emulated.Ingress, "event", otlp.Span_SPAN_KIND_INTERNAL},
	}
)

// along follows the steps down from the span, as far as there are any.
func (all spans) along(from span, way []step) (done []span) {
	done = []span{from}
	if len(way) == 0 {
		return done
	}
	for _, next := range all.below(from, way[0].name) {
		if next.service != way[0].service || next.Kind != way[0].kind || next.StartTimeUnixNano < from.StartTimeUnixNano {
			continue
		}
		if further := append([]span{from}, all.along(next, way[1:])...); len(further) > len(done) {
			done = further
		}
	}
	return done
}

// ways are the ways that begin at a PUT of an upload, each as far as it goes.
func (all spans) ways(way []step) (found [][]span) {
	for _, s := range all {
		if s.Name == way[0].name && s.service == way[0].service && s.Kind == way[0].kind && len(s.ParentSpanId) == 0 {
			found = append(found, all.along(s, way[1:]))
		}
	}
	slices.SortFunc(found, func(a, b []span) int { return int(a[0].StartTimeUnixNano) - int(b[0].StartTimeUnixNano) })
	return found
}

func names(way []span) (all []string) {
	for _, s := range way {
		all = append(all, s.service+": "+s.Name)
	}
	return all
}

// traced has one upload go its way, and then two that are analysed at once.
func traced(t *testing.T, bin string) {
	c := startCloud(t, bin, false)
	log := []string{"--log", "google:" + emulated.Project}
	servers := []*server{c.start(t, emulated.Ingress, log...), c.start(t, emulated.Worker, append([]string{"serve", "--debounce", "1500ms"}, log...)...), c.start(t, emulated.Insights, log...)}
	url := servers[0].url
	day := c.visit(t, url)
	c.until(t, url+"/v1/insights/"+day, `"text"`)
	var both sync.WaitGroup
	for _, id := range []string{"second-upload", "third-upload"} {
		both.Go(func() { c.beat(t, url, id, day) })
	}
	both.Wait()
	var all spans
	var ways [][]span
	whole, began := slices.Concat(asked, analysed), time.Now()
	for n := 0; n < 2 && time.Since(began) < time.Minute; time.Sleep(200 * time.Millisecond) { // they are sent in batches
		all, n = c.spans(t), 0
		for _, way := range all.ways(whole) {
			if len(way) == len(whole) {
				n++
			}
		}
	}
	for _, s := range servers {
		s.stop(t)
	}
	all = c.spans(t)
	if ways = all.ways(whole); len(ways) != 3 {
		t.Fatalf("%d uploads have a trace", len(ways))
	}
	if len(ways[0]) != len(whole) {
		t.Errorf("the first upload goes no further than %q", names(ways[0]))
	}
	c.linked(t, all, ways[1:])
	trace := hex.EncodeToString(ways[0][0].TraceId)
	for _, s := range servers {
		if !strings.Contains(s.log.String(), `"logging.googleapis.com/trace":"projects/`+emulated.Project+`/traces/`+trace+`"`) {
			t.Errorf("no line of the log of %s is of the trace:\n%.2000s", s.name, s.log)
		}
	}
}

// linked holds that the two uploads are analysed at once: in the trace of the one that was
// first merged, with a link to the merge of the other.
func (c *cloud) linked(t *testing.T, all spans, two [][]span) {
	t.Helper()
	slices.SortFunc(two, func(a, b []span) int { return len(b) - len(a) })
	first, second := two[0], two[1]
	if len(first) != len(asked)+len(analysed) || len(second) != len(asked) {
		t.Fatalf("of two uploads at once the one goes %q, the other %q", names(first), names(second))
	}
	asks, merge := first[len(asked)], second[len(second)-1]
	if len(asks.Links) != 1 || !bytes.Equal(asks.Links[0].SpanId, merge.SpanId) || !bytes.Equal(asks.Links[0].TraceId, merge.TraceId) {
		t.Errorf("what asks for both is linked to %v, want %x", asks.Links, merge.SpanId)
	}
	if n := len(all.below(first[len(asked)-1], "send analyses")); n != 1 {
		t.Errorf("it is asked for %d times", n)
	}
}

// beat sends a minute of a heart.
func (c *cloud) beat(t *testing.T, url, id, day string) {
	at := day + "T09:30:00Z"
	body := fmt.Sprintf(`{"schema": "clarity.upload/1", "installationId": "a", "timeZone": "UTC", "samples": [{"uuid": "1b7d1f0a-3f6e-4c0e-9a55-%012x", "type": "HKQuantityTypeIdentifierHeartRate",
		"start": %q, "end": %q, "value": 71.5, "unit": "count/min", "source": {"bundleId": "com.apple.health", "productType": "Watch7,5"}}], "deleted": [], "cursor": {}, "stage": "daily", "final": true}`, len(id), at, at)
	if status, text := c.ask(t, http.MethodPut, url+"/v1/uploads/"+id, body); status/100 != 2 {
		t.Errorf("upload: %d %s", status, text)
	}
}
