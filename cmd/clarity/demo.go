package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/history"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/flow"
)

const demoHelp = `Starts the platform in a temporary directory, plays four weeks of a made-up
person's phone into it over HTTP, and prints what comes out. Nothing is real
but the code: the uploads and the stages are those of "clarity up". With --server
it plays them into a platform that runs already, for whoever the token is of, who
should have sent nothing yet.`

// debounce is how long the demo's platform waits for more uploads before it
// analyses; that of "clarity up" waits longer.
const debounce = 200 * time.Millisecond

// glance is how long the demo waits for an event before it looks for itself, and
// steady how long a result must have stayed as it is to be shown: weeks before it
// may still come, with which a model compares it.
const (
	glance = 200 * time.Millisecond
	steady = 1500 * time.Millisecond
)

func demo(ctx context.Context, c *call) error {
	fs := c.flags(demoHelp)
	keep := fs.Bool("keep", false, "keep the data, and keep the platform running until Ctrl-C")
	model := fs.String("model", models.Preview, "`MODEL` that looks at each week: preview (trained on simulated data), none, or a bundle's file")
	seed := fs.Uint64("seed", history.Default().Seed, "`SEED` of the person's noise")
	server := fs.String("server", "", "`URL` of a platform that runs already; without it, one of the demo's own")
	token := fs.String("token", "", "bearer `TOKEN` for --server, else $CLARITY_TOKEN")
	if err := c.parseNone(fs); err != nil {
		return err
	}
	if *server != "" {
		return (&demonstration{call: c, seed: *seed, began: time.Now()}).visit(ctx, *server, cmp.Or(*token, c.getenv("CLARITY_TOKEN")), given(fs))
	}
	if strings.HasPrefix(*model, trafficPlan) {
		return usagef("demo takes one model, not a traffic plan: --model is none, %s or a bundle's file", models.Preview)
	}
	if err := models.Find(*model); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // `clarity demo | head` goes on unread to its end, and removes what it made
	dir, err := os.MkdirTemp("", "clarity-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	data := filepath.Join(dir, "data") // its keys lie beside it
	d := &demonstration{call: c, dir: data, keep: *keep, seed: *seed, model: *model, began: time.Now()}
	err = d.run(ctx)
	if *keep {
		say(c.stdout, "The data stays in %s; `clarity up --data %s` goes on with it.\n", data, data)
		return err
	}
	if removed := os.RemoveAll(dir); removed != nil && err == nil {
		return fmt.Errorf("remove the demo's data: %w", removed)
	}
	return err
}

// A demonstration is one run of the demo.
type demonstration struct {
	*call
	afar  bool // another's platform
	dir   string
	keep  bool
	seed  uint64
	model string
	began time.Time

	client *phone.Client
	events chan seenEvent
	acks   []time.Duration
	waits  []time.Duration // from ack to result
}

type seenEvent struct {
	flow.EventKind
	ref string
	at  time.Time
}

// run starts the platform and, beside it, the phone; when either ends, both do.
func (d *demonstration) run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(d.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	config := defaults().Config
	config.Listen.API, config.Backends.Model = "127.0.0.1:0", d.model
	config.Ingress.Unlimited, config.Worker.Debounce = true, debounce
	p, err := datadir.Open(ctx, d.dir, config, drivers(), stages.All(), platform.Env{Now: time.Now, Log: log, Version: describeBuild()})
	var full *datadir.Fault
	if errors.As(err, &full) {
		full.Told = "TMPDIR" // where temporary directories are made
	}
	if err != nil {
		return asUsage(err)
	}
	token, err := issuer.Token(issuer.Request{Dir: d.dir, User: "demo", TTL: time.Hour, Now: time.Now})
	if err != nil {
		return errors.Join(err, p.Close())
	}
	say(d.stdout, "Platform   %s, data in %s\n", p.URL(), d.dir)
	both, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(ctx)
	both.Go(func() error { return p.Run(serving) })
	both.Go(func() error {
		defer stop()
		d.client = phone.New(p.URL(), token, stepTimeout, nil)
		defer d.client.Close()
		if err := d.play(ctx); err != nil {
			return err
		}
		d.whereToLook(p.URL(), token)
		if d.keep {
			<-ctx.Done()
		}
		return nil
	})
	if err := both.Wait(); err != nil {
		return err
	}
	entries, err := datadir.VerifyAudit(context.WithoutCancel(ctx), datadir.Place{Dir: d.dir})
	if err != nil {
		return err
	}
	say(d.stdout, "Audit      %s entries, each verified\n", group(int(entries)))
	return nil
}

// play is the phone: consent, three weeks at once, then a sync a day.
func (d *demonstration) play(ctx context.Context) error {
	config := history.Default()
	config.Seed = d.seed
	h, err := history.Generate(config)
	if err != nil {
		return err
	}
	if err := grantConsent(ctx, d.client); err != nil {
		return err
	}
	say(d.stdout, "Person     made up: four weeks to %s, Watch and iPhone, Berlin and New York; agrees to the processing\n", config.End)
	listening, stop := context.WithCancel(ctx)
	defer stop()
	d.events = make(chan seenEvent, 1024)
	listened := make(chan error, 1)
	go func() { listened <- d.listen(listening) }()
	backfill := slices.IndexFunc(h.Uploads, func(u history.Upload) bool { return u.Stage == "daily" })
	if err := d.backfill(ctx, h.Uploads[:backfill]); err != nil {
		return err
	}
	for _, u := range h.Uploads[backfill:] {
		if err := d.day(ctx, u); err != nil {
			return err
		}
	}
	stop()
	if err := <-listened; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if err := d.settle(ctx, config.End.String()); err != nil {
		return err
	}
	return d.show(ctx, config.End.String())
}

// settle waits until the week's result stays as it is.
func (d *demonstration) settle(ctx context.Context, end string) error {
	for input, since := "", time.Now(); time.Since(since) < steady; {
		now, _, err := weekIsCurrent(ctx, d.client, end)
		if err != nil {
			return err
		}
		if now != input {
			input, since = now, time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(glance):
		}
	}
	return nil
}

// listen passes on the platform's events with the time they came.
func (d *demonstration) listen(ctx context.Context) error {
	return d.client.Events(ctx, phone.FromTheFirst, func(e phone.Event) error {
		var body struct{ Ref string }
		if err := json.Unmarshal([]byte(e.Data), &body); err != nil {
			return fmt.Errorf("read event %s: %w", e.Name, err)
		}
		d.events <- seenEvent{flow.EventKind(e.Name), body.Ref, time.Now()}
		return nil
	})
}

// await is when the event came; events before it are passed over.
func (d *demonstration) await(ctx context.Context, kind flow.EventKind, ref string) (time.Time, error) {
	timeout := time.After(d.patience())
	for {
		select {
		case e := <-d.events:
			if e.EventKind == kind && e.ref == ref {
				return e.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-timeout:
			return time.Time{}, fmt.Errorf("no %s of %s came within %s", kind, ref, d.patience())
		}
	}
}

// awaitWeek is when the result of the week that ends on the day was seen, and
// when its insight was: those of what is held now. A result of what was held
// before may come first, and its insight between the two; both may have come
// while the phone waited for something else; and the result may be made again
// before its insight is there, for it is compared with weeks that change, too.
func (d *demonstration) awaitWeek(ctx context.Context, end string) (stored, insight time.Time, err error) {
	stored, err = d.awaitThat(ctx, flow.ResultStored, end, func() (bool, error) {
		_, current, err := weekIsCurrent(ctx, d.client, end)
		return current, err
	})
	if err != nil {
		return stored, insight, err
	}
	insight, err = d.awaitThat(ctx, flow.InsightReady, end, func() (bool, error) {
		input, _, err := weekIsCurrent(ctx, d.client, end)
		if err != nil {
			return false, err
		}
		var words struct{ Insight analysis.Insight }
		if err := d.client.Get(ctx, "/v1/insights/"+end, &words); err != nil {
			return false, fmt.Errorf("get the insight of %s: %w", end, err)
		}
		return words.Insight.InputDigest == input, nil
	})
	return stored, insight, err
}

// awaitThat is when it held: now, or as one of the events came. What is not there
// yet does not hold.
func (d *demonstration) awaitThat(ctx context.Context, kind flow.EventKind, ref string, holds func() (bool, error)) (time.Time, error) {
	timeout := time.After(d.patience())
	for at := time.Now(); ; {
		held, err := holds()
		if refusal := new(phone.RefusalError); errors.As(err, &refusal) && refusal.Status == http.StatusNotFound {
			err = nil
		}
		if held || err != nil {
			return at, err
		}
		for look, waits := time.After(glance), true; waits; {
			select {
			case <-timeout:
				return at, fmt.Errorf("no %s of %s came within %s", kind, ref, d.patience())
			case <-ctx.Done():
				return at, ctx.Err()
			case e := <-d.events:
				if waits = e.EventKind != kind || e.ref != ref; !waits {
					at = e.at
				}
			case at = <-look: // what changes nothing that is said has no event
				waits = false
			}
		}
	}
}

// put sends one upload and returns its id and when it was acked.
func (d *demonstration) put(ctx context.Context, u history.Upload) (phone.Upload, phone.Receipt, time.Time, error) {
	packed, err := phone.Pack(u.Body, u.Samples, u.Deleted)
	if err != nil {
		return packed, phone.Receipt{}, time.Time{}, err
	}
	began := time.Now()
	r, err := d.client.Put(ctx, packed)
	acked := time.Now()
	d.acks = append(d.acks, acked.Sub(began))
	return packed, r, acked, err
}

func (d *demonstration) backfill(ctx context.Context, uploads []history.Upload) error {
	began, samples, raw, sent := time.Now(), 0, 0, 0
	var last string
	for _, u := range uploads {
		packed, r, _, err := d.put(ctx, u)
		if err != nil {
			return err
		}
		samples, raw, sent, last = samples+r.Accepted, raw+len(u.Body), sent+len(packed.Body), packed.ID
	}
	acked := time.Now()
	if _, err := d.await(ctx, flow.UploadMerged, last); err != nil {
		return err
	}
	say(d.stdout, "Backfill   three weeks: %d uploads, %s samples, %.1f MB (%.1f MB gzip), acked in %.2f s, merged %.2f s later\n",
		len(uploads), group(samples), float64(raw)/1e6, float64(sent)/1e6, acked.Sub(began).Seconds(), time.Since(acked).Seconds())
	return nil
}

// day is one evening's sync, up to the insight of the week that ends that day.
func (d *demonstration) day(ctx context.Context, u history.Upload) error {
	packed, r, acked, err := d.put(ctx, u)
	if err != nil {
		return err
	}
	if _, err := d.await(ctx, flow.UploadMerged, packed.ID); err != nil {
		return err
	}
	stored, insight, err := d.awaitWeek(ctx, u.SentOn.String())
	if err != nil {
		return err
	}
	d.waits = append(d.waits, stored.Sub(acked))
	status, err := d.client.Status(ctx, packed.ID)
	if err != nil {
		return err
	}
	say(d.stdout, "%s %s samples acked in %d ms; result after %.2f s, insight after %.2f s%s\n", u.SentOn, pad(group(r.Accepted), 5),
		d.acks[len(d.acks)-1].Milliseconds(), stored.Sub(acked).Seconds(), insight.Sub(acked).Seconds(), remarks(r, status))
	return nil
}

// remarks is what was special about a sync.
func remarks(r phone.Receipt, s phone.Status) string {
	out := ""
	if s.Duplicates > 0 {
		out += fmt.Sprintf("; %d sent twice", s.Duplicates)
	}
	if s.Deleted > 0 {
		out += fmt.Sprintf("; %d deleted", s.Deleted)
	}
	if len(s.Days) > 2 {
		out += fmt.Sprintf("; reopened %s", s.Days[0])
	}
	for _, rejected := range r.Rejected {
		out += fmt.Sprintf("; 1 rejected (%s)", rejected.Code)
	}
	return out
}

// show prints the last week and its insight.
func (d *demonstration) show(ctx context.Context, end string) error {
	var week struct{ Result analysis.Result }
	if err := d.client.Get(ctx, "/v1/weeks/"+end, &week); err != nil {
		return fmt.Errorf("get the week that ends on %s: %w", end, err)
	}
	say(d.stdout, "\n")
	printResult(d.stdout, &week.Result)
	var insight struct{ Insight analysis.Insight }
	if err := d.client.Get(ctx, "/v1/insights/"+end, &insight); err != nil {
		return fmt.Errorf("get the insight of %s: %w", end, err)
	}
	say(d.stdout, "\nInsight (by %s, every number checked)\n", insight.Insight.Writer)
	for _, s := range insight.Insight.Sentences {
		say(d.stdout, "  %s\n", s.Text)
	}
	for _, s := range insight.Insight.Disclaimers {
		say(d.stdout, "  %s\n", s)
	}
	say(d.stdout, "\nAck        p50 %s, max %s of %d uploads\n", millis(median(d.acks)), millis(slices.Max(d.acks)), len(d.acks))
	say(d.stdout, "Result     p50 %s, max %s after the ack, of %d daily syncs", millis(median(d.waits)), millis(slices.Max(d.waits)), len(d.waits))
	if !d.afar {
		say(d.stdout, "; %s of it to gather more uploads (%s in clarity up)", debounce, due.DefaultQuiet)
	}
	say(d.stdout, "\n")
	say(d.stdout, "Total      %.1f s\n", time.Since(d.began).Seconds())
	return nil
}

// whereToLook says how to go on by hand.
func (d *demonstration) whereToLook(url, token string) {
	if !d.keep {
		say(d.stdout, "Look       `clarity demo --keep` leaves it running, and prints the curl lines to look around\n")
		return
	}
	say(d.stdout, "\nLook       T=%s\n", token)
	for _, path := range []string{"/v1/weeks", "/v1/days", "/v1/sync", "/v1/trends?metric=sleep.total_sleep_time_minutes"} {
		say(d.stdout, "           curl -s -H \"Authorization: Bearer $T\" '%s%s'\n", url, path)
	}
	say(d.stdout, "           curl -s %s/openapi.json\nCtrl-C ends it.\n", url)
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

func pad(s string, width int) string { return fmt.Sprintf("%*s", width, s) }
