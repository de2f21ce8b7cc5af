package gate_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/internal/kubelab/prometheustest"
)

// A line is a TCP line to Prometheus that can be held up or cut.
type line struct {
	to       string
	listener net.Listener
	held     atomic.Bool // bytes stay where they are
	cut      atomic.Bool // connections end after a few bytes of the reply
	mu       sync.Mutex
	open     []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{to: strings.TrimPrefix(to, "http://"), listener: listener}
	go l.serve()
	t.Cleanup(func() { listener.Close(); l.closeAll() })
	return l
}

func (l *line) url() string { return "http://" + l.listener.Addr().String() }

func (l *line) serve() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.to)
		if err != nil {
			client.Close()
			continue
		}
		l.mu.Lock()
		l.open = append(l.open, client, server)
		l.mu.Unlock()
		go l.carry(server, client, false)
		go l.carry(client, server, true)
	}
}

func (l *line) carry(to, from net.Conn, reply bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		for l.held.Load() {
			time.Sleep(time.Millisecond)
		}
		if l.cut.Load() && reply {
			n = min(n, 20)
			_, _ = to.Write(buffer[:n])
			return
		}
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

func (l *line) closeAll() {
	l.held.Store(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
}

func wantAnswer(t *testing.T, got gate.Answer, verdict v1alpha1.Verdict, message string) {
	t.Helper()
	if got.Verdict != verdict || !strings.Contains(got.Message, message) {
		t.Errorf("answer is %+v, want %s with %q", got, verdict, message)
	}
}

func TestPrometheusThatDoesNotAnswerIsAnErrorAndComesBack(t *testing.T) {
	server := prometheustest.Start(t, prometheustest.Options{Samples: describe().openMetrics()})
	l := newLine(t, server.URL)
	gates, clock := newGatesAndClock(t, l.url(), func(c *gate.Config) { c.Timeout = duration(3 * time.Second) })
	ask := func(model string) gate.Answer {
		return gates.Ask(t.Context(), atMost(errorRate(), "0.01"), question(model), false)
	}
	later := func() { clock.SetTime(clock.Now().Add(6 * time.Second)) }
	recovers := func() {
		t.Helper()
		for range 10 { // a machine under load may need more than one timeout
			if later(); ask("good").Verdict == pass {
				return
			}
		}
		t.Errorf("Prometheus is there, and the answer is %+v", ask("good"))
	}
	recovers()

	l.held.Store(true)
	began := time.Now()
	wantAnswer(t, ask("good"), erro, "Prometheus did not answer within 3s")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the answer took %v, though the timeout is 3s", took)
	}
	began = time.Now()
	for range 100 {
		wantAnswer(t, ask("failing"), erro, "Prometheus did not answer within 3s")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("100 questions right after a timeout took %v: each waited by itself", took)
	}
	if n, err := gates.Samples(t.Context(), question("good"), false); err == nil {
		t.Errorf("%d samples though Prometheus does not answer", n)
	}
	l.closeAll()
	recovers()

	l.cut.Store(true)
	wantAnswer(t, ask("good"), erro, "Prometheus cannot be asked")
	l.cut.Store(false)
	recovers()

	server.Stop()
	l.closeAll()
	wantAnswer(t, ask("good"), erro, "Prometheus cannot be asked")
	later()
	wantAnswer(t, newGates(t, server.URL).Ask(t.Context(), atMost(nan(), "0"), question("good"), false), erro, "connection refused")
	server.Start()
	recovers()
	wantAnswer(t, ask("failing"), fail, "")
}

func TestOneModelsBadQueryHoldsUpNoOtherModel(t *testing.T) {
	server := prometheustest.Start(t, prometheustest.Options{Samples: describe().openMetrics()})
	l := newLine(t, server.URL)
	gates, _ := newGatesAndClock(t, l.url(), func(c *gate.Config) { c.Timeout = duration(3 * time.Second) })
	for name, query := range map[string]string{
		"not PromQL": `sum(`, "a string": `"x"`,
		"slow": `count_over_time(count_over_time(count_over_time(vector(1)[30d:1s])[30d:1s])[30d:1s])`,
	} {
		wantAnswer(t, gates.Ask(t.Context(), atMost(promQL(query), "1"), question("slow"), false), erro, "")
		if got := gates.Ask(t.Context(), atMost(errorRate(), "0.01"), question("good"), false); got.Verdict != pass {
			t.Errorf("after a query that is %s another model's gate says %+v", name, got)
		}
	}
}

func TestAQuestionThatIsWithdrawnBlamesNobody(t *testing.T) {
	server := prometheustest.Start(t, prometheustest.Options{Samples: describe().openMetrics()})
	gates := newGates(t, server.URL)
	withdrawn, cancel := context.WithCancel(t.Context())
	cancel()
	wantAnswer(t, gates.Ask(withdrawn, atMost(errorRate(), "0.01"), question("good"), false), erro, "withdrawn")
	wantAnswer(t, gates.Ask(t.Context(), atMost(errorRate(), "0.01"), question("good"), false), pass, "")
}

// A Prometheus that reads a second store which is down answers with a warning and what it has itself.
func TestAPartOfTheDataCanFailAVersionAndNotPassOne(t *testing.T) {
	url := prometheustest.Start(t, prometheustest.Options{Samples: describe().openMetrics(), RemoteRead: "http://127.0.0.1:1/read"}).URL
	gates := newGates(t, url)
	const part = "Prometheus answered with a part of the data"
	wantAnswer(t, gates.Ask(t.Context(), atMost(errorRate(), "0.01"), question("good"), false), erro, part)
	wantAnswer(t, gates.Ask(t.Context(), policy(atMost(promQL(`sum(nothing)`), "1"), v1alpha1.InsufficientPass), question("good"), false), erro, part)
	wantAnswer(t, gates.Ask(t.Context(), atMost(errorRate(), "0.01"), question("failing"), false), fail, "beyond")
	if n, err := gates.Samples(t.Context(), question("good"), false); err == nil {
		t.Errorf("%d samples of a part of the data", n)
	}
}

func TestTheTokenIsReadAnewAndFollowsNoRedirect(t *testing.T) {
	var seen []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		if len(seen) == 3 {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gates, clock := newGatesAndClock(t, server.URL, func(c *gate.Config) { c.BearerTokenFile = file })
	ask := func() gate.Answer {
		clock.SetTime(clock.Now().Add(time.Minute))
		return gates.Ask(t.Context(), atMost(promQL("1"), "1"), question("m"), false)
	}
	write("one\n")
	wantAnswer(t, ask(), pass, "")
	write("two\n")
	wantAnswer(t, ask(), pass, "")
	wantAnswer(t, ask(), erro, "the reply to the query is not one number: bad response code 307")
	if want := "Bearer one,Bearer two,Bearer two"; strings.Join(seen, ",") != want {
		t.Errorf("the server saw %q, want %q", seen, want)
	}
	for name, content := range map[string]string{"empty": " \n", "two lines": "secret\nanother"} {
		write(content)
		got := ask()
		wantAnswer(t, got, erro, "bearerTokenFile")
		if strings.Contains(got.Message, "secret") {
			t.Errorf("%s: the message quotes the token: %s", name, got.Message)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, ask(), erro, "read bearerTokenFile")
}

func TestAnythingElseThatAnswersIsAnError(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   string
	}{
		"a page":            {200, "<html>secret page</html>", "not one number"},
		"nothing":           {200, "", "not one number"},
		"an endless reply":  {200, `{"status":"success","data":{"resultType":"scalar","result":[1,"` + strings.Repeat("1", 2<<20), "not one number"},
		"not authorized":    {401, "secret page", "did not answer the query: client error: 401"},
		"forbidden":         {403, "secret page", "did not answer the query: client error: 403"},
		"not found":         {404, "secret page", "did not answer the query: client error: 404"},
		"a bad gateway":     {502, "secret page", "did not answer the query: server error: 502"},
		"a histogram":       {200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"1","buckets":[]}]}]}}`, "is a histogram"},
		"too slow by query": {503, `{"status":"error","errorType":"timeout","error":"query timed out"}`, "did not answer the query: server error: 503"},
		"withdrawn":         {422, `{"status":"error","errorType":"timeout","error":"query timed out"}`, "gave the query up: query timed out"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			gates := newGates(t, server.URL)
			got := gates.Ask(t.Context(), atMost(errorRate(), "1"), question("m"), false)
			wantAnswer(t, got, erro, tt.want)
			if strings.Contains(got.Message, "secret") || len(got.Message) > 403 {
				t.Errorf("the message passes on what answered: %s", got.Message)
			}
		})
	}
}
