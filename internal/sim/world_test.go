package sim_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob/blobtest"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/erasure"
	"github.com/clarity-loop/clarity/services/exports"
	"github.com/clarity-loop/clarity/services/feed"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/exporting"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/flow/waking"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/insights"
	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/news"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/relay"
	"github.com/clarity-loop/clarity/services/retention"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/veil"
	"github.com/clarity-loop/clarity/services/wake"
	"github.com/clarity-loop/clarity/services/webhook"
	"github.com/clarity-loop/clarity/services/worker/analyse"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

// replicas is how many processes there are of each kind.
const replicas = 3

// lag is how long a process may not know that a key is destroyed.
const lag = 10 * time.Second

// longest is how late a call may be.
const longest = 30 * time.Second

// A world is the platform: its drivers, its processes and its people.
type world struct {
	seed uint64
	loom *loom

	memory  *storetest.MemoryDriver
	store   *storetest.HostileDriver
	blobs   *blobtest.MemoryStore
	place   *queuetest.Place
	keys    *keyringtest.Keys
	audited []audit.Event

	calm   bool            // nothing goes wrong any more
	gone   map[string]bool // drivers that are away
	outage time.Time       // until when
	shown  [store.Shards]bool
	doomed []*replica // that die at the end of the step
	kills  int

	subscriptions []subscription
	processes     []*replica
	hands         map[string][]*replica // that handle a subscription
	doors         []*door
	ghosts        []ghost // messages that come once more, though they were acked
	people        []*person
	poison        map[string]bool // bodies
	faults        []string        // of the platform, found on the way

	listening atomic.Int32 // devices at a stream of events

	told    map[store.Key]int     // at which step, by the document of the events
	removed map[store.Key]removal // Results and Insights
}

// A removal is the last of a document: at which step, between which steps there was
// none before that, and at which it was made anew, 0 for not.
type removal struct{ at, from, until, made int }

// told says whether who was told last at that step, with an end of it or not, knows
// that there is none: it was when there was none, or of an end, and of none since.
func (r removal) told(last int, end bool) bool {
	return last >= r.at || end && r.from <= last && last < r.until
}

// A subscription is one consumer of a topic, in a word, too.
type subscription struct{ topic, consumer, at string }

// A replica is one process.
type replica struct {
	world   *world
	kind    string
	n       int
	life    int
	skew    time.Duration
	slow    bool // its calls are late more often
	dying   bool // its last calls are not over
	up      time.Time
	mu      sync.Mutex
	tasks   map[*task]bool
	request *task // of an ingress: all of its requests
	looked  map[string]time.Time

	handle  map[string]queue.Handler // by topic and consumer
	passes  map[string]func(context.Context) (int, error)
	quiet   map[string]int  // passes in a row that found nothing
	serving map[string]bool // people with a request in hand
	door    *door
}

// A ghost is a delivery that comes again.
type ghost struct {
	topic    string
	delivery queue.Delivery
	at       time.Time
}

// hands are how many messages a process handles at a time.
const hands = 3

// now is the process's clock, which may be wrong.
func (r *replica) now() time.Time { return time.Now().Add(r.skew) }

func (r *replica) name() string { return fmt.Sprintf("%s%d", r.kind, r.n) }

func newWorld(seed uint64, doors []*door) *world {
	w := &world{seed: seed, loom: newLoom(seed), gone: map[string]bool{}, poison: map[string]bool{}, doors: doors, told: map[store.Key]int{}, removed: map[store.Key]removal{}, hands: map[string][]*replica{}}
	w.memory = storetest.Memory(time.Now)
	w.store = storetest.Hostile(w.memory, storetest.Options{Seed: seed, Worst: 0.01 * float64(w.loom.random.IntN(5)), Now: time.Now})
	w.blobs, w.place, w.keys = blobtest.Memory(time.Now), queuetest.Memory(time.Now), keyringtest.Memory(time.Now, lag)
	for _, topic := range flow.Topics() {
		for _, consumer := range flow.Consumers()[topic] {
			w.subscriptions = append(w.subscriptions, subscription{topic, consumer, at(topic, consumer)})
		}
	}
	for _, kind := range []string{"ingress", "worker", "words", "feed", "erasure", "copies"} {
		for n := range replicas {
			r := &replica{world: w, kind: kind, n: n}
			if w.loom.chance(150) {
				r.skew = time.Duration(w.loom.random.Int64N(int64(4*time.Hour))) - 2*time.Hour
			}
			if kind == "ingress" && n == 0 { // by wrong clocks alone no sign-in is fresh, and nobody can erase an account
				r.skew = 0
			}
			r.slow = w.loom.chance(150)
			w.processes = append(w.processes, r)
			r.start()
			for topic := range r.handle {
				w.hands[topic] = append(w.hands[topic], r)
			}
		}
	}
	return w
}

// start builds the process anew: what it remembered is gone.
func (r *replica) start() {
	w := r.world
	r.life++
	r.dying, r.tasks, r.serving, r.looked, r.quiet = false, map[*task]bool{}, map[string]bool{}, map[string]time.Time{}, map[string]int{}
	r.handle, r.passes = map[string]queue.Handler{}, map[string]func(context.Context) (int, error){}
	keys := ring{w.keys.Process(), r}
	q := messages{w.place.Open(flow.Consumers()), r}
	st, log := store.New(veil.NewDocuments(documents{r}, keys), keys), slog.New(slog.DiscardHandler)
	switch r.kind {
	case "ingress":
		r.request = &task{name: r.name(), replica: r}
		r.door = w.doors[r.n]
		r.door.open(r, keys, q)
	case "worker":
		vaulted := vault.New(vault.Recent(objects{r}, 1<<20), keys)
		windows := &due.Windows{Store: st, Now: r.now, Quiet: due.DefaultQuiet}
		merger := intake.New(intake.Needs{Store: st, Objects: vaulted, News: news.NewBook(st, r.now), Windows: windows, Queue: q, Now: r.now, Log: log})
		analyser := analyse.New(analyse.Needs{Store: st, Chunks: timeline.NewReader(vaulted), Queue: q, Windows: windows, Audit: ledger{r}, Now: r.now, Log: log})
		looker := due.New(due.Needs{Store: st, Queue: q, Windows: windows, PutOff: nobody{}, Now: r.now, Log: log})
		sweeper := retention.New(objects{r}, st, keys, r.now)
		r.handle[at(flow.TopicUploads, flow.Intake)], r.handle[at(flow.TopicHistory, flow.Intake)], r.handle[at(flow.TopicAnalyses, flow.Analyse)] = merger.Handle, merger.Handle, analyser.Handle
		r.passes["agenda"] = looker.Pass
		r.passes["retention"] = sweeper.Sweep
	case "words":
		words := insights.New(insights.Needs{Store: st, Queue: q, Audit: ledger{r}, Words: grounded.New(template.New(), template.New(), nil, time.Second), Now: r.now, Log: log})
		r.handle[at(flow.TopicResults, flow.Insights)] = words.Handle
	case "feed":
		told := feed.New(feed.Needs{Store: st, Queue: q, News: news.NewBook(st, r.now), Log: log})
		r.handle[at(flow.TopicResults, flow.Feed)], r.handle[at(flow.TopicEvents, flow.Feed)] = told.HandleResults, told.Handle
		hooks := webhook.New(webhook.Needs{Book: webhook.NewBook(st, q, r.now), Now: r.now, Log: log})
		r.handle[at(hooking.Topic, hooking.Consumer)] = hooks.Handle
		wakes := wake.New(wake.Needs{Store: st, Sender: nobody{}, Every: wake.DefaultEvery, Now: r.now, Log: log})
		r.handle[at(waking.Topic, waking.Consumer)] = wakes.Handle
	case "erasure":
		eraser := erasure.New(erasure.Needs{Store: st, Keys: keys, Names: keys, Blobs: objects{r}, Queue: q, Relay: relay.New(st, nil, nil, nil), Audit: ledger{r}, Longest: longest + time.Second, Now: r.now, Log: log})
		r.passes["erasures"] = eraser.Pass
	case "copies":
		vaulted := vault.New(objects{r}, keys)
		chunks := timeline.NewReader(vaulted)
		needs := exports.Needs{Store: st, Objects: vaulted, Queue: q, Now: r.now, Log: log}
		held := ingress.Held{Store: st, Objects: vaulted, Samples: chunks.Samples, Deleted: chunks.Deleted, Series: chunks.Series}
		for _, section := range held.Sections() {
			needs.Held = append(needs.Held, exports.Section(section))
		}
		r.handle[at(exporting.Topic, exporting.Consumer)] = exports.New(needs).Handle
	}
}

// die ends the process, between any two calls; it is started again after a while.
func (r *replica) die() {
	w := r.world
	w.loom.note("kill "+r.name(), happens)
	w.kills++
	r.dying = true
	for t := range r.tasks {
		t.dead = true
	}
	w.loom.kill(func(t *task) bool { return t.replica == r })
	if r.kind != "ingress" {
		r.tasks = map[*task]bool{}
	}
	r.up = time.Now().Add(time.Duration(1+w.loom.random.IntN(60)) * time.Second)
}

// revive starts what was killed, once the last of its calls is over.
func (w *world) revive() {
	for _, r := range w.processes {
		if r.dying && len(r.serving) == 0 && (w.calm || !r.up.After(time.Now())) {
			w.loom.note("start "+r.name(), happens)
			r.start()
		}
	}
}

// unlucky is whether what may go wrong goes wrong.
func (w *world) unlucky() bool { return !w.calm && w.loom.chance(20) }

// fateOf is what becomes of a call.
func (w *world) fateOf(s *stop) fate {
	if w.calm || !s.calls {
		return happens
	}
	inRoom := s.of.replica != nil
	switch n := w.loom.random.IntN(1000); {
	case n < 6 && inRoom && w.kills < mostKills:
		return []fate{dies, diesBehind}[n%2]
	case n < 12:
		return failsBefore
	case n < 18:
		return failsBehind
	}
	return happens
}

const mostKills = 12

// turn has one stop go on.
func (w *world) turn(s *stop) {
	late := 8
	if s.of.replica != nil && s.of.replica.slow {
		late = 80
	}
	if !w.calm && s.calls && w.loom.chance(late) {
		s.from = time.Now().Add(time.Duration(w.loom.random.Int64N(int64(longest))))
		w.loom.note("late: "+s.what, happens)
		return
	}
	f := w.fateOf(s)
	if f == dies {
		s.of.replica.die()
		return
	}
	w.loom.release(s, f)
	for len(w.doomed) > 0 {
		r := w.doomed[0]
		w.doomed = w.doomed[1:]
		if !r.dying {
			r.die()
		}
	}
}

// at is a subscription in a word.
func at(topic, consumer string) string { return topic + " for " + consumer }

// deliver hands a message to a process, whose handler runs as a task.
func (w *world) deliver(topic string, h *queuetest.Held) {
	able := w.able(topic)
	r := able[w.loom.random.IntN(len(able))]
	d := h.Take()
	if !w.calm && w.loom.chance(40) && len(able) > 1 { // two at once
		w.handle(able[w.loom.random.IntN(len(able))], topic, d, "twin ", nil)
	}
	w.handle(r, topic, d, "", h)
}

func (w *world) able(topic string) (able []*replica) {
	for _, r := range w.hands[topic] {
		if !r.dying && len(r.tasks) < hands {
			able = append(able, r)
		}
	}
	return able
}

// handle runs a handler; h is nil where nobody waits for the verdict.
func (w *world) handle(r *replica, topic string, d queue.Delivery, what string, h *queuetest.Held) {
	t := &task{name: fmt.Sprintf("%s/%s%s/%s/%d", r.name(), what, topic, d.Key, w.loom.steps), replica: r}
	r.tasks[t] = true
	handler, steps := r.handle[topic], w.loom.steps
	w.loom.note("deliver to "+t.name, happens)
	w.loom.start(context.Background(), t, func(ctx context.Context) {
		v := handler(ctx, d)
		f := w.loom.wait(t, "verdict", time.Time{}, h != nil)
		r.ends(t)
		if h == nil {
			return
		}
		if f != happens || t.dead { // the lease runs out
			h.Settle(queue.Postpone(30*time.Second, "lost"))
			if f == diesBehind {
				w.doomed = append(w.doomed, r)
			}
			return
		}
		h.Settle(v)
		if !w.calm && (uint64(steps)*2654435761+w.seed)%31 == 0 {
			w.ghosts = append(w.ghosts, ghost{topic, d, time.Now().Add(time.Duration(w.loom.random.Int64N(int64(time.Hour))))})
		}
	})
	synctest.Wait()
}

// pass has a process look at what is due, or sweep.
func (w *world) pass(r *replica, what string) {
	t := &task{name: fmt.Sprintf("%s/%s/%d", r.name(), what, w.loom.steps), replica: r, pass: what}
	r.looked[what] = time.Now()
	r.tasks[t] = true
	pass := r.passes[what]
	w.loom.note(t.name, happens)
	w.loom.start(context.Background(), t, func(ctx context.Context) {
		found, err := pass(ctx)
		w.loom.wait(t, "ends", time.Time{}, false)
		r.mu.Lock() // several end at once where a process dies
		if r.quiet[what]++; found > 0 {
			r.quiet[what] = 0
		}
		r.mu.Unlock()
		if err != nil && w.loom.tell != nil {
			w.loom.aside(err.Error())
		}
		r.ends(t)
	})
	synctest.Wait()
}

// ends takes a task off: several may end at once where a process dies.
func (r *replica) ends(t *task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tasks, t)
}

// running says whether the process is at such a pass.
func (r *replica) running(what string) bool {
	for t := range r.tasks {
		if t.pass == what {
			return true
		}
	}
	return false
}
