package sim_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A following is what a device has heard of events.
type following struct {
	life int
	last uint64
	id   string // that is the last's, "" before any
}

// heard is an event as a device hears it.
type heard struct {
	id                 uint64
	kind, ref, version string
}

// follow has the device listen from the last event on that it heard, until the stream
// is quiet or breaks. What it hears comes in order, and none is left out in silence.
func (d *device) follow() {
	w, r := d.world, d.someIngress()
	if r == nil {
		return
	}
	if d.following.life != d.life {
		d.following = following{life: d.life}
	}
	stream := fmt.Sprintf("%s follows %d", d.task.name, w.loom.steps)
	r.serve(stream, true)
	w.listening.Add(1)
	var events []heard
	var ids []string
	var e heard
	var last string
	status, err := r.door.follow(d.uid, cmp.Or(d.following.id, fmt.Sprintf("%016x", 0)), func(line string) bool {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "": // a sign of life, or the end of an event
			return !strings.HasPrefix(line, ":")
		case "id":
			number, _, _ := strings.Cut(value, "-")
			e.id, _ = strconv.ParseUint(number, 16, 64)
			last = value
		case "event":
			e.kind = value
		case "data":
			var about struct{ Ref, Version string }
			_ = json.Unmarshal([]byte(value), &about)
			e.ref, e.version = about.Ref, about.Version
			events, ids = append(events, e), append(ids, last)
		}
		return true
	})
	w.listening.Add(-1)
	r.serve(stream, false)
	w.loom.wait(d.task, fmt.Sprintf("follows events: %d, %d", status, len(events)), time.Time{}, false)
	if err != nil {
		w.fault("%s: follow events: %v", d.uid, err)
	}
	if d.life == d.following.life && !d.erased {
		d.hears(events)
		if len(ids) > 0 {
			d.following.id = ids[len(ids)-1]
		}
	}
}

func (d *device) hears(events []heard) {
	f := &d.following
	for _, e := range events {
		if e.kind != "reset" && e.id != f.last+1 {
			d.world.fault("%s: event %d is heard behind %d", d.uid, e.id, f.last)
		}
		if f.last = e.id; e.kind == "reset" {
			continue
		}
		if d.heard == nil || d.heardIn != d.life {
			d.heardIn, d.heard = d.life, map[uint64]heard{}
		}
		if other, twice := d.heard[e.id]; twice && other != e {
			d.world.fault("%s: event %d is %v and %v", d.uid, e.id, other, e)
		}
		d.heard[e.id] = e
	}
}

// someIngress is one that runs, nil where none does.
func (d *device) someIngress() *replica {
	var open []*replica
	for _, r := range d.world.processes {
		if r.kind == "ingress" && !r.dying {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[d.random.IntN(len(open))]
}

// serve notes that the process is at a request of that name, or is no more: it is
// started anew when its last one is over.
func (r *replica) serve(name string, begins bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if begins {
		r.serving[name] = true
		return
	}
	delete(r.serving, name)
}

// serves says whether the process is at a request of that name.
func (r *replica) serves(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.serving[name]
}
