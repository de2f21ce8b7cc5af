// Package gemini has a Gemini model on Vertex AI put facts into words.
//
// # What a model is told
//
// A system instruction, prompts/N.txt, whose number is a part of the writer's name; and
// narrative.Known facts: id, label, text and direction, each made anew by us of an id on
// our list and a number. No uid, name, date, device or text of anybody's is in a request,
// nor can be: labels and texts that come with a fact are not used. It answers in JSON of
// a schema in which it can cite the facts' ids alone, at temperature 0, of a fixed seed,
// with 1,024 tokens at most, minimal thinking, no tools and safety settings of our own.
//
// # What an answer is held to
//
// It is read if the model stopped of itself (STOP), of the schema alone, and of 1 MiB at
// most. What it says is checked against the facts by who asked (package grounded), and
// counted here. Whatever else comes is an error that says the outcome and a status, and
// never what was sent or answered.
//
// # Costs and failures
//
// A text is one request; nothing is asked again. All of it takes Config.Timeout at most.
// A token bucket bounds the requests of the process, five failures in a row open a
// circuit for up to half a minute: both refuse at once, and ask nobody. How much each
// person may ask for is the affair of who asks.
//
// # Never run on Google's own
//
// The words of a model, its share of answers that keep to their facts, quotas, latency,
// billing, and how a model version is retired. What ran is a stand-in that speaks the
// same HTTP: see the tests.
package gemini

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"google.golang.org/genai"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
)

// What Config says where it says nothing.
const (
	defaultTimeout   = 8 * time.Second
	defaultPerMinute = 300
)

// Config is which model is asked, and how often.
type Config struct {
	Project  string
	Location string // a region, or the multi-region us or eu; "global" is no place
	Model    string // as Vertex AI names it, such as gemini-3.5-flash-lite
	// PerMinute is how many requests this process may make: the project's quota by the
	// number of processes. 0 is 300.
	PerMinute int
	// Timeout is how long a text may take in all; 0 is eight seconds, which is the most.
	Timeout time.Duration
	// Emulator is HOST:PORT of a stand-in, which is asked without credentials; "" is none.
	Emulator string
}

var (
	projectForm  = regexp.MustCompile(`^[a-z][a-z0-9-]{3,28}[a-z0-9]$`)
	locationForm = regexp.MustCompile(`^[a-z][a-z0-9-]{1,31}$`)
	modelForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}[a-z0-9]$`)
)

// Parse reads PROJECT/LOCATION/MODEL, which ?perMinute=N may follow, and validates it.
func Parse(place string) (Config, error) {
	where, options, _ := strings.Cut(place, "?")
	parts := strings.Split(where, "/")
	if len(parts) != 3 {
		return Config{}, errors.New("a model of Gemini is written PROJECT/LOCATION/MODEL")
	}
	c := Config{Project: parts[0], Location: parts[1], Model: parts[2]}
	values, err := url.ParseQuery(options)
	if err != nil {
		return Config{}, errors.New("what follows ? is options, as perMinute=N")
	}
	for name, v := range values {
		n, err := strconv.Atoi(v[0])
		if name != "perMinute" || len(v) != 1 || err != nil || n < 1 {
			return Config{}, errors.New("the one option is perMinute=N, a number of requests")
		}
		c.PerMinute = n
	}
	return c, c.Validate()
}

// Validate says everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	if !projectForm.MatchString(c.Project) {
		faults = append(faults, errors.New("project is the id of a Google Cloud project"))
	}
	if !locationForm.MatchString(c.Location) || c.Location == "global" {
		faults = append(faults, errors.New("location is a region, us or eu: global says nothing of where facts are read"))
	}
	if !modelForm.MatchString(c.Model) {
		faults = append(faults, errors.New("model is a model's name, such as gemini-3.5-flash-lite"))
	}
	if c.PerMinute < 0 {
		faults = append(faults, errors.New("perMinute cannot be negative"))
	}
	if c.Timeout < 0 || c.Timeout > defaultTimeout {
		faults = append(faults, fmt.Errorf("timeout is at most %v", defaultTimeout))
	}
	if u, err := url.Parse("http://" + c.Emulator); c.Emulator != "" && (err != nil || u.Host != c.Emulator || u.Port() == "") {
		faults = append(faults, errors.New("emulator is HOST:PORT"))
	}
	return errors.Join(faults...)
}

// A Writer is a narrative.Writer by a model of Gemini, and a prometheus.Collector of what
// it did. It may be used at once by many.
type Writer struct {
	*metrics
	model   string
	client  *http.Client
	models  *genai.Models
	timeout time.Duration
	gate    *gate
	now     func() time.Time
}

var _ narrative.Writer = (*Writer)(nil)

// Open is the Writer of the configuration, with the credentials of where it runs. It asks
// nobody anything yet.
func Open(ctx context.Context, c Config, now func() time.Time) (*Writer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open gemini: %w", err)
	}
	client, err := transport(c)
	if err != nil {
		return nil, fmt.Errorf("open gemini: %w", err)
	}
	// Everything is said: what is left out the SDK takes from the environment.
	sdk, err := genai.NewClient(ctx, &genai.ClientConfig{
		Backend: genai.BackendEnterprise, Project: c.Project, Location: c.Location, HTTPClient: client,
		HTTPOptions: genai.HTTPOptions{BaseURL: c.base(), APIVersion: "v1beta1"}, // no RetryOptions: nothing is asked again
	})
	if err != nil {
		return nil, fmt.Errorf("open gemini: %w", err)
	}
	w := &Writer{model: c.Model, client: client, models: sdk.Models, timeout: c.Timeout, now: now}
	if w.timeout == 0 {
		w.timeout = defaultTimeout
	}
	perMinute := c.PerMinute
	if perMinute == 0 {
		perMinute = defaultPerMinute
	}
	w.metrics, w.gate = newMetrics(), newGate(perMinute, now)
	return w, nil
}

// base is where the model is asked.
func (c Config) base() string {
	switch {
	case c.Emulator != "":
		return "http://" + c.Emulator + "/"
	case c.Location == "us" || c.Location == "eu":
		return "https://aiplatform." + c.Location + ".rep.googleapis.com/"
	}
	return "https://" + c.Location + "-aiplatform.googleapis.com/"
}

// transport is a client that reads no endless answer and follows nobody elsewhere: who
// redirects is not told the facts again.
func transport(c Config) (client *http.Client, err error) {
	base, _ := http.DefaultTransport.(*http.Transport)
	short := bounded{base.Clone()}
	if c.Emulator != "" {
		client = &http.Client{Transport: short}
	} else if client, err = httptransport.NewClient(&httptransport.Options{
		DisableTelemetry: true, BaseRoundTripper: short,
		DetectOpts: &credentials.DetectOptions{Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}},
	}); err != nil {
		return nil, fmt.Errorf("find credentials: %w", err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client, nil
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 1 << 20

// bounded cuts every answer off behind maxAnswer.
type bounded struct{ *http.Transport }

// RoundTrip is http.RoundTripper's.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxAnswer), res.Body}
	return res, nil
}

// Name is the model and the version of the prompt: what a text rests on beside its facts.
func (w *Writer) Name() string { return w.model + "/prompt-" + promptVersion }

// Close ends idle connections.
func (w *Writer) Close() error {
	w.client.CloseIdleConnections()
	return nil
}

// Write has the model put the facts into words. What cannot be used is an error.
func (w *Writer) Write(ctx context.Context, facts []analysis.Fact) ([]analysis.Claim, error) {
	began := w.now()
	known := narrative.Known(facts)
	claims, err := w.ask(ctx, known)
	outcome := outcomeOf(err)
	if err == nil && narrative.Check(known, claims) != nil { // who asked refuses it, and says so
		outcome = ungrounded
	}
	w.count(outcome, w.now().Sub(began))
	return claims, err
}

// ask asks the model once, if it may.
func (w *Writer) ask(ctx context.Context, known []analysis.Fact) ([]analysis.Claim, error) {
	text, err := question(known)
	if err != nil {
		return nil, err
	}
	leave, why := w.gate.enter()
	if why != "" {
		return nil, &refusal{outcome: why}
	}
	limited, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	answer, err := w.models.GenerateContent(limited, w.model, genai.Text(text), settings(known))
	failed := failure(ctx, limited, err)
	leave(failed)
	if failed != nil {
		return nil, failed
	}
	w.used(answer.UsageMetadata)
	claims, failed := read(answer)
	if failed != nil {
		return nil, failed
	}
	return claims, nil
}
