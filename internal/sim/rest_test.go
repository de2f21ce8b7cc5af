package sim_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/veil"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// rest has nothing go wrong any more, and holds the platform to what it promises
// once it has had its time.
func (w *world) rest() {
	w.loom.note("rest", happens)
	w.calm, w.store.Worst = true, 0
	clear(w.gone)
	for i, p := range w.people {
		if !p.erased && !p.granted && w.loom.chance(700) {
			d := &device{person: p, random: rand.New(rand.NewPCG(w.seed, uint64(2000+i))), task: &task{name: "phone/" + p.uid + "/rest"}}
			w.loom.start(context.Background(), d.task, func(context.Context) { d.decide(true) })
			synctest.Wait()
		}
	}
	if !w.until(bound) {
		return
	}
	s := w.inspect()
	s.finished()
	s.promised()
	if !w.until(settled) {
		return
	}
	for _, r := range w.processes {
		if r.kind == "worker" {
			w.pass(r, "retention")
			break
		}
	}
	w.until(time.Minute)
	s.promised()
	s.cleared()
}

// until lets so much time pass. It reports false where the platform never stands still.
func (w *world) until(d time.Duration) bool {
	end := time.Now().Add(d)
	for range 2 { // and what the end of the time wakes: a stream that nobody listens to
		w.sleep(time.Millisecond)
		for w.step(end) {
			if w.loom.steps > mostSteps {
				w.fault("it never comes to rest: %s", w.standing())
				return false
			}
		}
		w.sleep(time.Until(end))
	}
	return true
}

// An inspection looks at what is kept, by drivers to which nothing happens.
type inspection struct {
	*world
	ctx       context.Context
	documents *veil.Documents
	store     *store.Store
	objects   *vault.Vault
	chunks    *timeline.Reader
	again     *analyse.Stage
}

func (w *world) inspect() *inspection {
	keys := w.keys.Process()
	s := &inspection{world: w, ctx: context.Background(), documents: veil.NewDocuments(w.memory, keys)}
	s.store = store.New(s.documents, keys)
	s.objects = vault.New(w.blobs, keys)
	s.chunks = timeline.NewReader(s.objects)
	s.again = analyse.New(analyse.Needs{Store: s.store, Chunks: s.chunks, Queue: nobody{}, Audit: nobody{}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Windows: &due.Windows{Store: s.store, Now: time.Now}})
	return s
}

// nobody hears what is said.
type nobody struct{}

func (nobody) Publish(context.Context, ...queue.Message) error { return nil }
func (nobody) Append(context.Context, audit.Event) error       { return nil }
func (nobody) Forget(context.Context, string) error            { return nil }
func (nobody) Inc()                                            {}
func (nobody) Wake(context.Context, string, push.Wake) error   { return nil }

func (s *inspection) must(err error) {
	if err != nil {
		s.fault("look at what is kept: %v", err)
	}
}

// finished says that nothing waits whose cause is gone.
func (s *inspection) finished() {
	s.loom.mu.Lock()
	for _, p := range s.loom.parked {
		s.fault("%s waits for ever", p.what)
	}
	s.loom.mu.Unlock()
	for _, topic := range flow.Topics() {
		for _, consumer := range flow.Consumers()[topic] {
			depth, err := s.place.Open(flow.Consumers()).Depth(s.ctx, topic, consumer)
			s.must(err)
			if depth.Waiting+depth.Leased > 0 {
				s.fault("%s for %s: %+v at rest", topic, consumer, depth)
			}
		}
	}
	for _, p := range s.people {
		account, err := s.store.Standing(s.ctx, p.uid)
		s.must(err)
		agreed := account.Value.Permitted() == nil
		if want := p.granted && !p.erased; agreed != want && p.decides == 0 {
			s.fault("%s agreed: %v, want %v", p.uid, agreed, want)
		}
		if p.erased {
			if !account.Value.Erasure.Finished() {
				s.fault("%s: the erasure waits: %+v", p.uid, account.Value.Erasure)
			}
			continue
		}
		s.unfinishedOf(p, agreed)
	}
}

func (s *inspection) unfinishedOf(p *person, agreed bool) {
	uploads, err := s.store.Uploads.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, u := range uploads {
		switch state := u.Value.State; {
		case state == record.UploadReceived, state == record.UploadHeld && agreed:
			s.fault("%s: upload %s is %s at rest", p.uid, u.Key, state)
		case state == record.UploadHeld && time.Until(u.Due) < settled:
			s.fault("%s: upload %s is held, and asked for at rest, at %v", p.uid, u.Key, u.Due)
		case state == record.UploadFailed && !slices.ContainsFunc(p.sent, func(x *sent) bool { return x.id == u.Key && x.damaged }):
			s.fault("%s: upload %s failed: %s", p.uid, u.Key, u.Value.Reason)
		}
	}
	errands, err := s.store.Agenda.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, e := range errands {
		if e.Value.Kind != agenda.Export && (agreed || time.Until(e.Due) < settled) { // an export is there until its time is over
			s.fault("%s: %s is on the agenda at rest, due %v: %+v", p.uid, e.Key, e.Due, e.Value)
		}
	}
}

// promised says that what was acked is in the results, and nothing else is.
func (s *inspection) promised() {
	for _, p := range s.people {
		if p.erased {
			for _, collection := range store.Personal() {
				docs, err := s.documents.List(s.ctx, store.Query{Collection: collection, UID: p.uid, Limit: 10})
				s.must(err)
				if len(docs) > 0 {
					s.fault("%s is erased, and has %d documents in %s: %s", p.uid, len(docs), collection, docs[0].Key.Key)
				}
			}
			continue
		}
		account, err := s.store.Standing(s.ctx, p.uid)
		s.must(err)
		s.samplesOf(p, account.Value.Permitted() == nil)
		s.exportsOf(p)
		if account.Value.Permitted() == nil {
			s.digestOf(p)
			s.resultsOf(p)
			s.eventsOf(p)
		}
	}
	s.letters()
}

// samplesOf holds what the days have against what was acked.
func (s *inspection) samplesOf(p *person, agreed bool) {
	kept, maybe, gone, maybeGone := map[string]string{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	days, err := s.store.Days.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, d := range days {
		samples, err := s.chunks.Samples(s.ctx, p.uid, d.Value.Chunk)
		if err != nil {
			s.fault("%s: the chunk of %s: %v", p.uid, d.Key, err)
		}
		for _, x := range samples {
			uuid := strings.ToUpper(x.UUID.String())
			if other, twice := kept[uuid]; twice {
				s.fault("%s: sample %s is on %s and on %s", p.uid, uuid, d.Key, other)
			}
			kept[uuid] = d.Key
		}
	}
	for _, u := range p.sent {
		for _, x := range u.deleted {
			maybeGone[x] = maybeGone[x] || u.maybe || u.acked
			gone[x] = gone[x] || u.acked && u.life == p.life && !u.damaged
		}
		for _, x := range u.samples {
			maybe[x] = maybe[x] || u.acked || u.maybe
		}
	}
	for _, u := range p.sent {
		for _, x := range u.samples {
			if agreed && u.acked && u.life == p.life && !u.damaged && !maybeGone[x] && kept[x] == "" {
				s.fault("%s: sample %s of upload %s was acked, and is nowhere", p.uid, x, u.id)
			}
		}
	}
	for x, day := range kept {
		switch {
		case !maybe[x]:
			s.fault("%s: sample %s on %s was never taken in", p.uid, x, day)
		case gone[x] && agreed:
			s.fault("%s: sample %s on %s was deleted", p.uid, x, day)
		}
	}
}

// exportsOf says that each export that was promised is there, and each that is there
// is whole.
func (s *inspection) exportsOf(p *person) {
	exports, err := s.store.Exports.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	there := map[string]bool{}
	damaged := slices.ContainsFunc(p.sent, func(u *sent) bool { return u.damaged }) // which no export can hold
	for _, e := range exports {
		there[e.Key] = true
		digest, length, lines := sha256.New(), 0, 0
		for _, part := range e.Value.Parts {
			packed, err := s.objects.Get(s.ctx, p.uid, part.Object)
			s.must(err)
			text, err := part.Unpack(packed)
			s.must(err)
			_, _ = digest.Write(text)
			length, lines = length+len(text), lines+bytes.Count(text, []byte("\n"))
		}
		if e.Value.State == exported.Failed && damaged {
			continue
		}
		said := 1 // the last
		for _, n := range e.Value.Lines {
			said += n
		}
		if e.Value.State != exported.Ready || e.Value.Bytes != length || lines != said || e.Value.Digest != hex.EncodeToString(digest.Sum(nil)) {
			s.fault("%s: an export is %s %q, and %d bytes and %d lines of %d and %d", p.uid, e.Value.State, e.Value.Reason, length, lines, e.Value.Bytes, said)
		}
	}
	for _, e := range p.exports {
		if e.life == p.life && !there[e.id] && !damaged {
			s.fault("%s: an export was promised, and is not there", p.uid)
		}
	}
}

// resultsOf says that each window's Result rests on what there is now.
func (s *inspection) resultsOf(p *person) {
	digests, begins := map[health.Day]string{}, map[health.Day]health.Instant{}
	days, err := s.store.Days.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, d := range days {
		day, err := health.ParseDay(d.Key)
		s.must(err)
		digests[day], begins[day] = d.Value.Measured.Input, s.begins(p, d.Value.Chunk)
	}
	results, err := s.store.Results.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	there := map[health.Day]bool{}
	for _, r := range results {
		end := r.Value.Result.Window.End
		there[end] = true
		req := analysis.Request{UID: p.uid, End: end}
		first, last := req.Reads()
		var want, got []string
		for day := first; day <= last; day++ {
			if zone, err := health.LoadZone(r.Value.Result.Window.TimeZone); digests[day] != "" && (err != nil || req.Needs(day, begins[day], zone)) {
				want = append(want, digests[day])
			}
		}
		for _, c := range r.Value.Result.Lineage.Chunks {
			got = append(got, c.Basis())
		}
		if !slices.Equal(want, got) {
			s.fault("%s: the result of %v rests on other chunks than there are", p.uid, end)
		}
		fresh, err := s.again.Look(s.ctx, req)
		s.must(err)
		if !fresh.Current {
			s.fault("%s: the result of %v is not current", p.uid, end)
		}
		s.insightOf(p, r.Value.Result)
	}
	for _, end := range s.wanted(p) {
		if there[end] {
			continue
		}
		if outcome, _, err := s.again.Analyse(s.ctx, analysis.Request{UID: p.uid, End: end}, analyse.Order{}); err != nil || outcome != analyse.NoData {
			s.fault("%s: there is no result of %v: %v, %v", p.uid, end, outcome, err)
		}
	}
	insights, err := s.store.Insights.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, i := range insights {
		if day, err := health.ParseDay(i.Key); err != nil || !there[day] {
			s.fault("%s: the insight of %s is of no result", p.uid, i.Key)
		}
	}
}

// digestOf holds the digest of what is held against the records.
func (s *inspection) digestOf(p *person) {
	holding, err := s.store.Holding(s.ctx, p.uid)
	s.must(err)
	truth, err := s.store.Digest(s.ctx, p.uid)
	s.must(err)
	for i := range truth.Days { // one that was written with the digest has no version there
		if h := holding.Value.Held; i < len(h.Days) && h.Days[i].Version == held.Unread {
			truth.Days[i].Version = held.Unread
		}
	}
	if want, got := fmt.Sprintf("%+v", *truth), fmt.Sprintf("%+v", *holding.Value.Held); err == nil && want != got {
		s.fault("%s: the digest is not of the records: %s, want %s", p.uid, got, want)
	}
}

// begins is when the first sample of a chunk does.
func (s *inspection) begins(p *person, chunk string) health.Instant {
	samples, err := s.chunks.Samples(s.ctx, p.uid, chunk)
	s.must(err)
	first := held.Never
	for i := range samples {
		if analysis.Measures(samples[i].Type) {
			first = min(first, samples[i].Start)
		}
	}
	return first
}

func (s *inspection) insightOf(p *person, r analysis.Result) {
	i, err := s.store.Insights.Get(s.ctx, p.uid, r.Window.End.String())
	if err != nil || i.Value.Insight.InputDigest != r.Lineage.InputDigest {
		s.fault("%s: the insight of %v is not of its result: %v", p.uid, r.Window.End, err)
	}
}

// wanted are the windows that some upload must have had analysed.
func (s *inspection) wanted(p *person) (ends []health.Day) {
	zone, err := health.LoadZone(p.zone)
	s.must(err)
	uploads, err := s.store.Uploads.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, u := range uploads {
		if slices.ContainsFunc(p.sent, func(x *sent) bool { return x.id == u.Key && !x.measured() }) {
			continue
		}
		today := health.DayOf(health.InstantOf(u.Value.MergedAt.Add(-time.Minute)), zone)
		for _, day := range u.Value.Days {
			first, last := analysis.Touching(day)
			for end := first; end <= min(last, today) && u.Value.State == record.UploadMerged; end++ {
				if !slices.Contains(ends, end) {
					ends = append(ends, end)
				}
			}
		}
	}
	slices.Sort(ends)
	return ends
}

// eventsOf says that a device which follows sees how all stands: it reads again
// what an event is about, so that there has to be one of each thing's last state.
func (s *inspection) eventsOf(p *person) {
	pages, err := s.store.Events.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	told := map[string]bool{}
	last, ends := map[string]int{}, map[string]bool{} // at which step it was told of last, and whether that was of its end
	var events []notice.Event
	for _, page := range pages {
		if want := fmt.Sprintf("%016x", len(events)+1); page.Key != want {
			s.fault("%s: event %s is the %d.", p.uid, page.Key, len(events)+1)
			return
		}
		for _, e := range page.Value.All() {
			events = append(events, e)
			last[e.Kind.Of()+" "+e.Ref] = s.told[store.Key{Collection: "deliveries", UID: p.name, Key: page.Key}]
			ends[e.Kind.Of()+" "+e.Ref] = e.Kind.Ends()
			told[string(e.Kind)+" "+e.Ref] = true
			told[string(e.Kind)+" "+e.Ref+" "+e.Version] = true
		}
	}
	for n, e := range p.heard {
		if p.heardIn == p.life && (n > uint64(len(events)) || e != heard{n, string(events[n-1].Kind), events[n-1].Ref, events[n-1].Version}) {
			s.fault("%s: a device heard %+v, of %d events", p.uid, e, len(events))
		}
	}
	tell := func(kind flow.EventKind, ref string) {
		if !told[string(kind)+" "+ref] {
			s.fault("%s: nobody was told: %s of %s", p.uid, kind, ref)
		}
	}
	results, err := s.store.Results.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, r := range results {
		tell(flow.ResultStored, r.Key+" "+r.Value.Result.Lineage.InputDigest)
		tell(flow.InsightReady, r.Key)
	}
	for _, e := range events { // of what is gone they are told behind its going, if at all
		if p.life > 0 || e.Kind != flow.ResultStored && e.Kind != flow.InsightReady {
			continue // it may be of the life before: its message was on its way when that ended
		}
		key := store.Key{Collection: e.Kind.Of() + "s", UID: p.uid, Key: e.Ref}
		what := e.Kind.Of() + " " + e.Ref
		if _, gone := s.documents.Get(s.ctx, key); gone != nil && !s.removed[store.Key{Collection: key.Collection, UID: p.name, Key: key.Key}].told(last[what], ends[what]) {
			s.fault("%s: nobody was told that there is no %s of %s any more", p.uid, e.Kind.Of(), e.Ref)
		}
	}
	exports, err := s.store.Exports.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, e := range exports {
		tell(flow.EventKind("export."+string(e.Value.State)), e.Key)
	}
	uploads, err := s.store.Uploads.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
	s.must(err)
	for _, u := range uploads {
		switch u.Value.State {
		case record.UploadMerged:
			tell(flow.UploadMerged, u.Key)
		case record.UploadFailed:
			tell(flow.UploadFailed, u.Key)
		}
	}
}

// letters says that what died is the poison, and no more.
func (s *inspection) letters() {
	left := map[string]bool{}
	for body := range s.poison {
		left[body] = true
	}
	q := s.place.Open(flow.Consumers())
	for _, topic := range flow.Topics() {
		for _, consumer := range flow.Consumers()[topic] {
			letters, err := q.Dead(s.ctx, topic, consumer, "", queue.MaxDead)
			s.must(err)
			for _, l := range letters {
				delete(left, string(l.Body))
				if !s.poison[string(l.Body)] && !s.isDamaged(l) {
					s.fault("%s for %s has a dead letter that is no poison: %s (%s)", topic, consumer, l.Body, l.Reason)
				}
			}
		}
	}
	for body := range left {
		s.fault("poison has become no dead letter: %s", body)
	}
}

func (s *inspection) isDamaged(l queue.DeadLetter) bool {
	var m flow.UploadReceived
	if json.Unmarshal(l.Body, &m) != nil {
		return false
	}
	return slices.ContainsFunc(s.people, func(p *person) bool {
		return p.uid == m.UID && slices.ContainsFunc(p.sent, func(u *sent) bool { return u.id == m.UploadID && u.damaged })
	})
}

// cleared says that nothing is left that nobody refers to, that all that is there
// can be read, and that who is erased has no object.
func (s *inspection) cleared() {
	referred := map[string]bool{}
	for _, p := range s.people {
		if p.erased {
			account, err := s.store.Accounts.Get(s.ctx, p.uid, record.AccountKey)
			s.must(err)
			if e := account.Value.Erasure; e == nil || e.Step != erased.Ended {
				s.fault("%s: the erasure has not ended: %+v", p.uid, e)
			}
			continue
		}
		uploads, err := s.store.Uploads.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
		s.must(err)
		for _, u := range uploads {
			referred[u.Value.Blob] = true
		}
		days, err := s.store.Days.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
		s.must(err)
		for _, d := range days {
			referred[d.Value.Chunk] = true
			for _, x := range d.Value.Series {
				referred[x.Blob] = true
			}
		}
		stones, err := s.store.Tombstones.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
		s.must(err)
		for _, t := range stones {
			referred[t.Value.Blob] = true
		}
		exports, err := s.store.Exports.List(s.ctx, p.uid, store.Query{Limit: store.MaxLimit})
		s.must(err)
		for _, e := range exports {
			for _, part := range e.Value.Parts {
				referred[part.Object] = true
			}
		}
	}
	infos, err := s.blobs.List(s.ctx, "", "", 1_000_000)
	s.must(err)
	for _, info := range infos {
		if !referred[info.Name] {
			s.fault("the object %s is of nobody any more", nameOf(info.Name))
		}
		delete(referred, info.Name)
	}
	for name := range referred {
		if name != "" && !errors.Is(blob.CheckName(name), blob.ErrName) {
			s.fault("the object %s is not there", nameOf(name))
		}
	}
}
