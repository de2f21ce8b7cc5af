package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/veil"
)

// A person has one phone or two, and decides. What they did, and what came of it,
// is what the platform is held to at rest.
type person struct {
	world *world
	uid   string
	name  string // to drivers

	sent     []*sent
	samples  []string // uuids that some upload had
	decides  int      // decisions whose outcome is not known
	granted  bool
	since    int // the step at which the last decision was known
	life     int
	erased   bool
	done     int // devices
	devices  int
	priority string
	zone     string
	exports  []export // that were promised
	heardIn  int      // the life of what was heard
	heard    map[uint64]heard
}

// An export is one that was asked for.
type export struct {
	id   string
	life int
}

// A sent upload is one body under one id.
type sent struct {
	id      string
	body    []byte
	samples []string
	deleted []string
	life    int
	acked   bool
	maybe   bool // nobody knows: an answer was lost, and no later one told
	unread  bool // no metric reads what is in it
	damaged bool // its body was damaged once it was acked
}

// measured says whether a metric reads some of it. Of what none does the days are
// analysed on which they are the first, which no inspection demands.
func (x *sent) measured() bool {
	return !x.unread && slices.ContainsFunc(x.samples, func(uuid string) bool {
		kind, _ := kindOf(uuid)
		return analysis.Measures(kind)
	})
}

// A device is one phone of a person's.
type device struct {
	*person
	n         int
	task      *task
	random    *rand.Rand
	following following
}

func (w *world) populate() {
	for i := range 2 + w.loom.random.IntN(2) {
		p := &person{world: w, uid: fmt.Sprintf("p%d-%d", w.seed, i), devices: 1 + w.loom.random.IntN(2), zone: zones()[w.loom.random.IntN(len(zones()))]}
		name, err := w.keys.Process().Pseudonym(context.Background(), p.uid)
		if err != nil {
			w.fault("name %s: %v", p.uid, err)
		}
		p.name = name
		w.people = append(w.people, p)
		for n := range p.devices {
			d := &device{person: p, n: n, random: rand.New(rand.NewPCG(w.seed, uint64(1000+i*10+n)))}
			d.task = &task{name: fmt.Sprintf("phone/%s/%d", p.uid, n)}
			w.loom.start(context.Background(), d.task, func(context.Context) { d.live() })
			synctest.Wait()
		}
	}
}

// zones are where people are.
func zones() []string { return []string{"UTC", "UTC", "Asia/Tokyo", "America/New_York", "GMT+0100"} }

// live is all that a device does.
func (d *device) live() {
	defer func() { d.done++ }()
	if d.n == 0 {
		d.decide(true)
	}
	for range 4 + d.random.IntN(5) {
		d.sleep()
		d.act()
	}
}

// sleep is mostly short, and sometimes hours.
func (d *device) sleep() {
	d.rest([]time.Duration{time.Millisecond, 100 * time.Millisecond, 2 * time.Second, 10 * time.Second, time.Minute, 3 * time.Hour}[d.random.IntN(6)])
}

func (d *device) rest(most time.Duration) {
	d.world.loom.wait(d.task, "wakes", time.Now().Add(time.Duration(d.random.Int64N(int64(most)))), false)
}

func (d *device) act() {
	if d.erased {
		if d.n == 0 {
			d.comeBack()
		}
		return
	}
	n := d.random.IntN(100)
	if d.n > 0 || !d.granted && n >= 50 && n < 58 {
		n = d.random.IntN(78)
	}
	switch {
	case n < 34:
		d.upload(d.fresh(), nil)
	case n < 38:
		d.route()
	case n < 42:
		d.regret()
	case n < 45:
		d.follow()
	case n < 49 && len(d.sent) > 0: // the same body again
		d.put(d.sent[d.random.IntN(len(d.sent))])
	case n < 53 && len(d.samples) > 0: // the same samples under another id
		d.upload([]string{d.samples[d.random.IntN(len(d.samples))]}, nil)
	case n < 70 && len(d.samples) > 0:
		d.upload(nil, []string{d.samples[d.random.IntN(len(d.samples))]})
	case n < 73:
		d.poison()
	case n < 75:
		d.export()
	case n < 78:
		d.upload(d.fresh(), []string{uuidOf(d.random)})
	case n < 85:
		d.waver()
	case n < 92:
		d.decide(!d.granted)
	case n < 97:
		d.profile()
	case d.n == 0:
		d.erase()
	}
}

// ask asks one of the processes until it answers; status 0 is that it died, or
// that the answer was lost.
func (d *device) ask(method, path string, body []byte, header map[string]string) answer {
	w := d.world
	for {
		var open []*replica
		for _, r := range w.processes {
			if r.kind == "ingress" && !r.dying && !r.serves(d.uid) {
				open = append(open, r)
			}
		}
		if len(open) == 0 {
			w.loom.wait(d.task, "finds nobody", time.Now().Add(time.Second), false)
			continue
		}
		r := open[d.random.IntN(len(open))]
		r.serve(d.uid, true)
		a := r.door.do(method, path, d.uid, body, header)
		if r.dying {
			a = answer{}
		}
		r.serve(d.uid, false)
		w.loom.wait(d.task, fmt.Sprintf("%s %s: %d", method, pathOf(path), a.status), time.Time{}, false)
		if a.status >= 500 && w.loom.tell != nil {
			w.loom.aside(string(a.body))
		}
		if !w.calm && a.status != 0 && d.random.IntN(30) == 0 {
			w.loom.note(d.task.name+" does not hear it", happens)
			return answer{}
		}
		return a
	}
}

// pathOf is a path without what is random in it.
func pathOf(path string) string { return path }

// insist asks until there is an answer that will not change by itself.
func (d *device) insist(method, path string, body []byte, header map[string]string) (a answer, lost bool) {
	for {
		a = d.ask(method, path, body, header)
		if a.status != 0 && a.status < 500 && a.status != 401 && a.status != 429 {
			return a, lost
		}
		lost = true
		d.world.loom.wait(d.task, "asks again", time.Now().Add(time.Duration(d.random.Int64N(int64(20*time.Second)))), false)
	}
}

// fresh are new samples.
func (d *device) fresh() []string {
	n := 1 + d.random.IntN(4)
	if d.random.IntN(25) == 0 {
		n = 150
	}
	uuids := make([]string, n)
	for i := range uuids {
		uuids[i] = uuidOf(d.random)
	}
	return uuids
}

func uuidOf(r *rand.Rand) string {
	high, low := r.Uint64()&^0xf000|0x4000, r.Uint64()&^(3<<62)|2<<62
	return fmt.Sprintf("%08X-%04X-%04X-%04X-%012X", high>>32, high>>16&0xffff, high&0xffff, low>>48, low&0xffffffffffff)
}

// upload puts a body of these.
func (d *device) upload(samples, deleted []string) {
	d.put(d.pack(bodyOf(d.zone, samples, deleted), samples, deleted))
}

// pack is an upload that is about to be sent.
func (d *device) pack(body []byte, samples, deleted []string) *sent {
	u := &sent{id: fmt.Sprintf("up-%d-%06d", d.n, len(d.sent)), body: body, samples: samples, deleted: deleted, life: d.life}
	d.sent = append(d.sent, u)
	for _, s := range samples {
		if !slices.Contains(d.samples, s) {
			d.samples = append(d.samples, s)
		}
	}
	return u
}

// route uploads a series: a sample whose points lie in an object of their own.
func (d *device) route() {
	uuid := uuidOf(d.random)
	u := d.pack(seriesOf(d.zone, uuid), []string{uuid}, nil)
	u.unread = true
	d.put(u)
}

// regret sends samples, sends them once more or not, and deletes them at once: the one
// may be merged while the other is.
func (d *device) regret() {
	samples := d.fresh()
	d.upload(samples, nil)
	if d.random.IntN(2) == 0 {
		d.upload(samples, nil)
	}
	d.rest(2 * time.Second)
	d.upload(nil, samples[:1])
}

// waver is to withdraw the consent while an upload is under way, and to give it again.
func (d *device) waver() {
	if !d.granted {
		d.decide(true)
		return
	}
	d.upload(d.fresh(), nil)
	d.decide(false)
	d.rest(10 * time.Second)
	if !d.erased {
		d.decide(true)
	}
}

// export asks for a copy of everything, once: three are kept, and no other is made.
func (d *device) export() {
	life, sure := d.life, d.decides == 0
	a := d.ask("POST", "/v1/exports", nil, nil)
	var e struct{ ExportID string }
	switch {
	case a.status == 201 && json.Unmarshal(a.body, &e) == nil && e.ExportID != "":
		if sure && d.decides == 0 && life == d.life && !d.erased {
			d.exports = append(d.exports, export{e.ExportID, life})
		}
	case a.status != 0 && a.status < 500 && a.status != 403 && a.status != 409 && a.status != 410 && a.status != 429:
		d.world.fault("%s: an export is answered %d %.200s", d.uid, a.status, a.body)
	}
}

// put sends an upload until it is known what came of it, and holds the platform to
// what it said.
func (d *device) put(u *sent) {
	before := *d.person
	a, lost := d.insist("PUT", "/v1/uploads/"+u.id, u.body, nil)
	sure := before.decides == 0 && d.decides == 0 && before.since == d.since && before.life == d.life
	switch {
	case a.status == 202 && sure && d.erased:
		d.world.fault("%s: upload %s is taken in behind the erasure", d.uid, u.id)
	case a.status == 202 && sure && !d.granted && !u.acked && !u.maybe && !lost:
		d.world.fault("%s: upload %s is taken in behind the withdrawal", d.uid, u.id)
	case a.status == 202 && sure && u.life == d.life:
		u.acked = true
	case a.status == 202:
		u.maybe = u.maybe || !u.acked
		u.acked = u.acked || u.life == d.life && !d.erased && before.life == d.life && !before.erased
	case a.status == 403 || a.status == 410:
		u.maybe = u.maybe || lost || !sure
	default:
		d.world.fault("%s: upload %s is answered %d %.200s", d.uid, u.id, a.status, a.body)
	}
}

// decide gives the consent, or withdraws it.
func (d *device) decide(granted bool) {
	d.decides++
	a, _ := d.insist("PUT", "/v1/consents/processing", fmt.Appendf(nil, `{"granted":%v,"version":"1"}`, granted), nil)
	d.decides--
	d.since = d.world.loom.steps
	switch {
	case a.status == 200:
		d.granted = granted
	case a.status != 410 || !d.erased:
		d.world.fault("%s: the answer to the purpose is answered %d %.200s", d.uid, a.status, a.body)
	}
}

// profile changes what every Result rests on.
func (d *device) profile() {
	priority := []string{`["Watch"]`, `["iPhone","Watch"]`, `[]`}[d.random.IntN(3)]
	for {
		now, _ := d.insist("GET", "/v1/profile", nil, nil)
		if now.status != 200 {
			return
		}
		a, _ := d.insist("PUT", "/v1/profile", []byte(`{"sourcePriority":`+priority+`}`), map[string]string{"If-Match": now.etag})
		switch a.status {
		case 200:
			d.priority = priority
			return
		case 412: // of before, or another's
			continue
		case 410:
			return
		}
		d.world.fault("%s: the profile is answered %d %.200s", d.uid, a.status, a.body)
		return
	}
}

// erase ends the account.
func (d *device) erase() {
	d.decides++
	a, _ := d.insist("DELETE", "/v1/account", nil, nil)
	d.decides--
	d.since = d.world.loom.steps
	if a.status != 202 && a.status != 200 {
		d.world.fault("%s: the erasure is answered %d %.200s", d.uid, a.status, a.body)
		return
	}
	d.erased, d.granted = true, false
}

// comeBack begins a new life, mostly.
func (d *device) comeBack() {
	if d.random.IntN(3) == 0 {
		return
	}
	d.decides++
	defer func() { d.decides--; d.since = d.world.loom.steps }()
	for range 40 {
		a, _ := d.insist("POST", "/v1/account", nil, nil)
		switch a.status {
		case 204:
			d.erased, d.life, d.samples = false, d.life+1, nil
			return
		case 409: // it is at work
			d.world.loom.wait(d.task, "waits for the erasure", time.Now().Add(time.Duration(d.random.Int64N(int64(5*time.Minute)))), false)
			continue
		}
		d.world.fault("%s: coming back is answered %d %.200s", d.uid, a.status, a.body)
		return
	}
}

// poison is what can never be handled: a message of no meaning, or a body that is
// damaged once it was acked.
func (d *device) poison() {
	w := d.world
	if d.random.IntN(2) == 0 {
		samples := d.fresh()
		u := &sent{id: fmt.Sprintf("up-%d-%06d", d.n, len(d.sent)), body: bodyOf(d.zone, samples, nil), samples: samples, life: d.life}
		d.sent = append(d.sent, u)
		d.put(u)
		if u.acked && w.damage(d.uid, u.id) {
			u.damaged = true
			w.loom.note("damage "+u.id+" of "+d.uid, happens)
		}
		return
	}
	topic := flow.Topics()[d.random.IntN(len(flow.Topics()))]
	body := fmt.Sprintf("poison %d of %s", len(w.poison), d.uid)
	w.poison[body] = true
	if err := w.place.Open(flow.Consumers()).Publish(context.Background(), queue.Message{Topic: topic, Key: "nobody", Body: []byte(body)}); err != nil {
		w.fault("publish poison: %v", err)
	}
}

// damage damages the body of an upload, where its record says that it is, and reports
// whether there is one.
func (w *world) damage(uid, id string) bool {
	keys := w.keys.Process()
	s := store.New(veil.NewDocuments(w.memory, keys), keys)
	r, err := s.Uploads.Get(context.Background(), uid, id)
	if err != nil || r.Value.Blob != "" {
		return err == nil && w.blobs.Damage(r.Value.Blob) == nil
	}
	if len(r.Value.Body) == 0 { // it is merged
		return false
	}
	r.Value.Body = r.Value.Body[1:]
	_, err = s.Batch(context.Background(), uid, s.Uploads.ToPut(r.Key, r.Version, r.Value).At(r.Due))
	return err == nil
}

// fault notes what the platform did wrong on the way.
func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf("at step %d: ", w.loom.steps)+fmt.Sprintf(format, args...))
}

// bodyOf is an upload of these samples, which are of one of the last days, and of
// these deletions.
func bodyOf(zone string, samples, deleted []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"schema":"clarity.upload/1","installationId":"sim","timeZone":%q,"samples":[`, zone)
	for i, uuid := range samples {
		if i > 0 {
			b.WriteByte(',')
		}
		h, at := placeOfSample(uuid)
		product := []string{"Watch7,5", "iPhone16,1"}[h>>7&1]
		kind, unit := kindOf(uuid)
		fmt.Fprintf(&b, `{"uuid":%q,"type":%q,"start":%q,"end":%q,"value":%d,"unit":%q,"source":{"bundleId":"com.apple.health.1","name":%q,"productType":%q,"osVersion":"12.1"},"metadata":{"HKTimeZone":%q}}`,
			uuid, kind, at.Format(time.RFC3339), at.Add(time.Minute).Format(time.RFC3339), 1+h%100, unit, product[:5], product, journey(zone, h))
	}
	b.WriteString(`],"deleted":[`)
	for i, uuid := range deleted {
		if i > 0 {
			b.WriteByte(',')
		}
		kind, _ := kindOf(uuid)
		fmt.Fprintf(&b, `{"uuid":%q,"type":%q}`, uuid, kind)
	}
	b.WriteString(`],"cursor":{"HKQuantityTypeIdentifierStepCount":"a"}}`)
	return b.Bytes()
}

// kindOf is the type of a sample and its unit: of one in four nothing is measured.
func kindOf(uuid string) (kind, unit string) {
	if hashOf(uuid)>>12&3 == 0 {
		return "HKQuantityTypeIdentifierDietaryWater", "mL"
	}
	return "HKQuantityTypeIdentifierStepCount", "count"
}

// hashOf is what decides about a sample: the same whoever sends it again.
func hashOf(uuid string) (h uint64) {
	for _, c := range []byte(uuid) {
		h = h*31 + uint64(c)
	}
	return h
}

// placeOfSample is a number that the sample alone decides, and when it was.
func placeOfSample(uuid string) (h uint64, at time.Time) {
	h = hashOf(uuid)
	return h, began().Add(-time.Duration(24+h%48) * time.Hour).Add(time.Duration(h/64%3600) * time.Second)
}

// journey is the zone of a sample: on a journey its day is another, and may begin in
// the window before.
func journey(zone string, h uint64) string {
	if h>>9&7 == 0 {
		return "Asia/Tokyo"
	}
	return zone
}

// seriesOf is an upload of one route.
func seriesOf(zone, uuid string) []byte {
	h, at := placeOfSample(uuid)
	return fmt.Appendf(nil, `{"schema":"clarity.series/1","installationId":"sim","timeZone":%q,"series":[{"uuid":%q,"type":"HKWorkoutRouteTypeIdentifier","start":%q,"end":%q,"locations":[{"time":%q,"latitude":%d,"longitude":7}]}]}`,
		journey(zone, h), uuid, at.Format(time.RFC3339), at.Add(time.Minute).Format(time.RFC3339), at.Format(time.RFC3339), h%90)
}

// began is when all of it happens.
func began() time.Time { return time.Date(2026, 3, 10, 10, 0, 0, 0, time.UTC) }

// tells notes which documents of events a batch would write, whatever its outcome.
func (w *world) tells(writes []store.Write) {
	for _, x := range writes {
		if x.Key.Collection == "deliveries" {
			w.told[x.Key] = w.loom.steps
		}
	}
}

// wrote is told of each batch of documents that a process has written.
func (w *world) wrote(ctx context.Context, writes []store.Write) {
	t, _ := ctx.Value(taskKey{}).(*task)
	if t == nil {
		return
	}
	for _, x := range writes {
		if x.Key.Collection != "results" && x.Key.Collection != "insights" {
			continue
		}
		r := w.removed[x.Key]
		if x.Data == nil {
			if r.made > 0 {
				r.from, r.until = r.at, r.made
			}
			w.removed[x.Key] = removal{at: w.loom.steps, from: r.from, until: r.until}
			continue
		}
		if r.made == 0 {
			r.made = w.loom.steps
			w.removed[x.Key] = r
		}
		for _, p := range w.people {
			if p.name == x.Key.UID && p.decides == 0 && !p.granted && t.began > p.since {
				w.fault("%s writes %s of %s, whose consent was withdrawn before it began", t.name, x.Key.Collection, p.uid)
			}
		}
	}
}
