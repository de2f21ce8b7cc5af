package gemini_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/narrative/gemini"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A told fact is one as the model is given it.
type told struct{ ID, What, Say, Direction string }

// A stub speaks the HTTP of Vertex AI's generateContent and answers as it is told.
type stub struct {
	*httptest.Server
	answer func(w http.ResponseWriter, facts []told)

	mu       sync.Mutex
	requests []request
}

type request struct {
	path   string
	header http.Header
	body   []byte
}

func newStub(t *testing.T, answer func(http.ResponseWriter, []told)) *stub {
	s := &stub{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, request{r.URL.Path, r.Header, body})
		s.mu.Unlock()
		facts, err := asked(body)
		if err != nil {
			t.Errorf("the question cannot be read: %v", err)
		}
		s.answer(w, facts)
	}))
	t.Cleanup(s.Close)
	return s
}

// asked are the facts of a question.
func asked(body []byte) (facts []told, err error) {
	var q struct {
		Contents []struct{ Parts []struct{ Text string } }
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	return facts, json.Unmarshal([]byte(q.Contents[0].Parts[0].Text), &facts)
}

// seen are the requests so far.
func (s *stub) seen() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.requests...)
}

// open is a writer that asks the stub.
func (s *stub) open(t *testing.T, change func(*gemini.Config), now func() time.Time) *gemini.Writer {
	t.Helper()
	c := gemini.Config{Project: "demo-clarity", Location: "europe-west1", Model: "gemini-3.5-flash-lite",
		PerMinute: 600_000, Emulator: strings.TrimPrefix(s.URL, "http://")}
	if change != nil {
		change(&c)
	}
	w, err := gemini.Open(t.Context(), c, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// finished is an answer that ended for the reason with the text.
func finished(reason, text string) map[string]any {
	return map[string]any{
		"candidates":    []any{map[string]any{"content": map[string]any{"role": "model", "parts": []any{map[string]any{"text": text}}}, "finishReason": reason}},
		"usageMetadata": map[string]any{"promptTokenCount": 700, "candidatesTokenCount": 90, "thoughtsTokenCount": 10, "totalTokenCount": 800},
		"modelVersion":  "gemini-3.5-flash-lite",
	}
}

func send(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// says answers with sentences; each has a text and what it cites behind it.
func says(sentences ...[]string) func(http.ResponseWriter, []told) {
	return func(w http.ResponseWriter, _ []told) { send(w, http.StatusOK, finished("STOP", spoken(sentences...))) }
}

func spoken(sentences ...[]string) string {
	list := []any{}
	for _, s := range sentences {
		list = append(list, map[string]any{"text": s[0], "facts": append([]string{}, s[1:]...)})
	}
	text, _ := json.Marshal(map[string]any{"sentences": list})
	return string(text)
}

// honest answers as a model would that keeps to what it is told.
func honest(w http.ResponseWriter, facts []told) {
	texts := map[string]string{
		"sleep.total_sleep_time_minutes":        "You slept %s a night.",
		"change.sleep.total_sleep_time_minutes": "You slept %s %d a night than in the week before.",
		"sleep.midpoint_minutes":                "The middle of your sleep was at %s.",
		"activity.steps_per_day":                "You walked %s steps a day.",
		"cardio.resting_heart_rate_bpm":         "Your resting heart rate was %s beats a minute.",
	}
	sentences := [][]string{}
	for _, f := range facts {
		if text, is := texts[f.ID]; is && (f.Direction != "" || !strings.Contains(text, "%d")) {
			sentences = append(sentences, []string{strings.NewReplacer("%s", f.Say, "%d", f.Direction).Replace(text), f.ID})
		}
	}
	if len(sentences) == 0 {
		sentences = [][]string{{"There was not enough data to say anything about your week."}}
	}
	says(sentences...)(w, facts)
}

// counts are a writer's metrics, by name and label.
func counts(t *testing.T, w *gemini.Writer) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	if err := r.Register(w); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "clarity_writer_"), "_total")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			v := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if v > 0 {
				all[name] = v
			}
		}
	}
	return all
}
