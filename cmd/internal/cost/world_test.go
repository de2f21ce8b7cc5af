package cost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
	"github.com/clarity-loop/clarity/internal/logtest"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/blobtest"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// quiet is how long a person must be quiet before they are analysed.
const quiet = 10 * time.Millisecond

// A world is a platform, every stage but erasure's in one process, with a clock
// that the test moves and a meter in front of the drivers.
type world struct {
	t     testing.TB
	dir   string
	now   *clock
	log   *logtest.Log
	meter *Meter
	// Of the process that runs.
	stop    func()
	url     string
	queue   *queuetest.MemoryQueue
	clients map[string]*phone.Client
	// What processes leave to each other.
	documents *storetest.MemoryDriver
	objects   *blobtest.MemoryStore
	messages  *queuetest.Place
	keys      *keyringtest.Keys
}

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, dir: t.TempDir(), now: &clock{at: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}, log: &logtest.Log{}}
	now := w.now.read
	w.documents, w.objects, w.messages, w.keys = storetest.Memory(now), blobtest.Memory(now), queuetest.Memory(now), keyringtest.Memory(now, time.Second)
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// restart ends the process and begins a new one, which has seen nobody.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

func (w *world) start() {
	w.t.Helper()
	w.meter, w.clients, w.queue = NewMeter(), map[string]*phone.Client{}, w.messages.Open(flow.Consumers())
	config := platform.Config{
		Stages:   []string{stages.Ingress, stages.Worker, stages.Insights, stages.Delivery},
		Backends: platform.Backends{Store: "memory", Blobs: "memory", Queue: "memory", Keys: "memory", Audit: "memory", Identity: "local:" + filepath.Join(w.dir, "identity"), Writer: "template"},
		Listen:   platform.Listen{API: "127.0.0.1:0"},
		Ingress:  platform.Ingress{Unlimited: true},
		Worker:   platform.Worker{Debounce: quiet},
		Log:      platform.Log{Format: "text", Level: "warn"},
	}
	p, err := platform.Open(w.t.Context(), config, w.meter.Over(w.drivers()), stages.All(), platform.Env{Now: w.now.read, Log: logger(w.log), Version: "test"})
	w.must(err)
	w.url = p.URL()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		for _, c := range w.clients {
			c.Close()
		}
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.until("the sweep at the start is over", func() bool { return w.meter.Listed() >= len(blob.PersonKinds())+1 })
	w.settle()
}

// drivers are in memory; what they keep outlives a process.
func (w *world) drivers() platform.Drivers {
	return platform.Drivers{
		Store:    opening[store.Driver](w.documents),
		Blobs:    opening[blob.Store](w.objects),
		Queue:    opening[queue.Driver](orderly{w.queue}),
		Keys:     opening[platform.Keyring](w.keys.Process()),
		Audit:    opening[audit.Log](nobodysLog{}),
		Identity: map[string]platform.Opener[identity.Verifier]{"local": issuer.Open},
		Writer:   map[string]platform.Opener[narrative.Writer]{"template": func(context.Context, string, platform.Env) (narrative.Writer, error) { return template.New(), nil }},
	}
}

// opening has one driver, and one name for it.
func opening[T any](driver T) map[string]platform.Opener[T] {
	return map[string]platform.Opener[T]{"memory": func(context.Context, string, platform.Env) (T, error) { return driver, nil }}
}

// orderly hands out the messages of a topic once those before it in the flow have
// none, so that a run can be repeated: what is done twice for two stages that run
// beside each other is not counted.
type orderly struct{ *queuetest.MemoryQueue }

func (q orderly) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	return q.MemoryQueue.Receive(ctx, sub, func(ctx context.Context, d queue.Delivery) queue.Verdict {
		for !q.clear(ctx, sub.Topic) {
			select {
			case <-ctx.Done():
				return queue.Postpone(0, "the process stops")
			case <-time.After(time.Millisecond):
			}
		}
		return handle(ctx, d)
	})
}

// clear says whether no topic before the one has messages.
func (q orderly) clear(ctx context.Context, topic string) bool {
	for _, before := range flow.Topics() {
		if before == topic {
			return true
		}
		for _, name := range flow.Consumers()[before] {
			if d, err := q.Depth(ctx, before, name); err != nil || d.Waiting+d.Leased > 0 {
				return false
			}
		}
	}
	return true
}

// nobodysLog keeps nothing: the entries are counted before they come to it.
type nobodysLog struct{}

func (nobodysLog) Append(context.Context, audit.Event) error { return nil }
func (nobodysLog) Verify(context.Context) (int64, error)     { return 0, nil }

// waiting is how many messages there are, in hands or not.
func (w *world) waiting() (n int) {
	for topic, consumers := range flow.Consumers() {
		for _, name := range consumers {
			d, err := w.queue.Depth(w.t.Context(), topic, name)
			w.must(err)
			if n += d.Waiting + d.Leased; d.Dead > 0 {
				w.t.Fatalf("dead letters of %s:\n%s", topic, w.log.String())
			}
		}
	}
	return n
}

// unfinished is how many entries the agenda has.
func (w *world) unfinished() (n int) {
	for shard := range store.Shards {
		docs, err := w.documents.Due(w.t.Context(), []string{"agenda", "uploads", "accounts"}, shard, w.now.read().Add(24*time.Hour), store.MaxLimit)
		w.must(err)
		n += len(docs)
	}
	return n
}

func (w *world) client(uid string) *phone.Client {
	w.t.Helper()
	if w.clients[uid] == nil {
		token, err := issuer.Token(issuer.Request{Dir: w.dir, User: uid, TTL: 24 * time.Hour, Now: w.now.read})
		w.must(err)
		w.clients[uid] = phone.New(w.url, token, time.Minute, nil)
	}
	return w.clients[uid]
}

// A kind is a type of sample.
type kind struct {
	name, unit string
	value      float64
}

// water is of a type that no metric reads.
var water = kind{"HKQuantityTypeIdentifierDietaryWater", "mL", 250}

var steps = kind{"HKQuantityTypeIdentifierStepCount", "count", 90}

// measured are eight types that a watch has every hour.
func measured() []kind {
	const quantity = "HKQuantityTypeIdentifier"
	return []kind{
		{quantity + "HeartRate", "count/min", 61},
		steps,
		{quantity + "ActiveEnergyBurned", "kcal", 4},
		{quantity + "BasalEnergyBurned", "kcal", 7},
		{quantity + "RespiratoryRate", "count/min", 14},
		{quantity + "OxygenSaturation", "%", 0.97},
		{quantity + "HeartRateVariabilitySDNN", "ms", 42},
		{quantity + "DistanceWalkingRunning", "m", 70},
	}
}

// A body is an upload.
type body struct {
	Schema         string            `json:"schema"`
	InstallationID string            `json:"installationId"`
	TimeZone       string            `json:"timeZone"`
	Stage          string            `json:"stage"`
	Cursor         map[string]string `json:"cursor"`
	Samples        []sample          `json:"samples"`
	Deleted        []deletion        `json:"deleted"`
}

type sample struct {
	UUID     string            `json:"uuid"`
	Type     string            `json:"type"`
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end"`
	Value    float64           `json:"value"`
	Unit     string            `json:"unit"`
	Source   map[string]string `json:"source"`
	Metadata map[string]string `json:"metadata"`
}

type deletion struct {
	UUID string `json:"uuid"`
	Type string `json:"type"`
}

func newBody(stage string) body {
	return body{Schema: "clarity.upload/1", InstallationID: "phone-1", TimeZone: "Europe/Berlin", Stage: stage,
		Cursor: map[string]string{}, Samples: []sample{}, Deleted: []deletion{}}
}

func (b body) encode(t testing.TB) []byte {
	t.Helper()
	data, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// again is the same samples with other anchors: another upload.
func (b body) again(n int) body {
	b.Cursor = map[string]string{}
	for _, s := range b.Samples {
		b.Cursor[s.Type] = fmt.Sprint("again-", n)
	}
	return b
}

func (b *body) add(k kind, at time.Time) {
	// As random as a phone's: what looks for a uuid without reading all days counts on it.
	id := strings.ToUpper(uuid.NewSHA1(uuid.Nil, fmt.Append(nil, k.name, at.Unix())).String())
	b.Samples = append(b.Samples, sample{UUID: id, Type: k.name, Start: at, End: at.Add(time.Minute), Value: k.value, Unit: k.unit,
		Source:   map[string]string{"bundleId": "com.apple.health.0B3A5C1E", "name": "Watch", "productType": "Watch7,5", "osVersion": "12.1"},
		Metadata: map[string]string{"HKTimeZone": "Europe/Berlin"}})
	b.Cursor[k.name] = "anchor-" + id
}

// history is the days before today with so many hours each: one sample of each
// type an hour, as the phone sends a person's past.
func (w *world) history(days, hours int, kinds ...kind) (bodies []body) {
	b := newBody("historical")
	for day := days; day > 0; day-- {
		noon := w.now.read().Truncate(24*time.Hour).AddDate(0, 0, -day).Add(6 * time.Hour)
		for hour := range hours {
			for _, k := range kinds {
				b.add(k, noon.Add(time.Duration(hour)*time.Hour))
			}
		}
		if len(b.Samples) >= 480 || day == 1 {
			bodies = append(bodies, b)
			b = newBody("historical")
		}
	}
	return bodies
}

// hour is what a phone sends each hour: the last one, every ten minutes a sample
// of each type.
func (w *world) hour(kinds ...kind) body {
	if len(kinds) == 0 {
		kinds = measured()
	}
	b := newBody("daily")
	for i := range 6 {
		for _, k := range kinds {
			b.add(k, w.now.read().Add(time.Duration(i*10-60)*time.Minute))
		}
	}
	return b
}

// deletion deletes the sample of so many days ago.
func (w *world) deletion(day int) body {
	first := w.history(day, 1, steps)[0].Samples[0]
	b := newBody("daily")
	b.Deleted = append(b.Deleted, deletion{first.UUID, first.Type})
	b.Cursor[steps.name] = "deleted"
	return b
}
