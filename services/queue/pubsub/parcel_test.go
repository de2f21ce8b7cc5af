package pubsub

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	client "cloud.google.com/go/pubsub/v2"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// Whatever a message says of itself, it is handled within bounds, and waits on the
// shelf as it came.
func FuzzReceived(f *testing.F) {
	f.Add("k", []byte("body"), "1", "1700000000000000000", "5000000000", "1", "0", "one")
	f.Add("", []byte{}, "", "-1", "99999999999999999999", "-5", "x", "")
	f.Fuzz(func(t *testing.T, key string, body []byte, form, nb, wait, attempt, fell, one string) {
		m := &client.Message{OrderingKey: key, Data: body, PublishTime: time.Unix(1700000000, 0), Attributes: map[string]string{
			attrForm: form, attrBefore: nb, attrWait: wait, attrAttempt: attempt, attrFell: fell, attrFor: one,
		}}
		p := received(m)
		now := func() time.Time { return time.Unix(1700000000, 0) }
		if held := (&receiver{q: &Queue{now: now}}).early(p); held < 0 || held > hold {
			t.Errorf("it is held for %v", held)
		}
		d := p.delivery("uploads")
		if d.Attempt < 1 || d.Key != key || !bytes.Equal(d.Body, body) || !d.Published.Equal(m.PublishTime) {
			t.Errorf("it is handled as %+v", d)
		}
		p.add(attrAttempt)
		if again := p.delivery("uploads"); again.Attempt < d.Attempt {
			t.Errorf("attempt %d after %d", again.Attempt, d.Attempt)
		}
		data, err := json.Marshal(waiting{p.forOne("two"), time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		var back waiting
		if err := json.Unmarshal(data, &back); err != nil || !bytes.Equal(back.Body, body) || back.Attrs[attrFor] != "two" {
			t.Errorf("it comes back as %+v, %v", back, err)
		}
	})
}

// An ID names a letter that a store can have, or none.
func FuzzParseLetter(f *testing.F) {
	f.Add("uploads.intake.000603f4a5b6c7d8:m1")
	f.Add("a.b.c.d")
	f.Fuzz(func(t *testing.T, id string) {
		s, k, err := parseLetter(id)
		if err != nil {
			if !errors.Is(err, queue.ErrNoLetter) {
				t.Errorf("%v", err)
			}
			return
		}
		if err := k.Check(); err != nil {
			t.Errorf("the key of %q: %v", id, err)
		}
		if again := s.letter(k.Key); again != id {
			t.Errorf("%q becomes %q", id, again)
		}
	})
}

func TestTimesInKeys(t *testing.T) {
	at := time.UnixMicro(1764480000123456)
	key := later.key(at, "x")
	if got := later.time(key); !got.Equal(at) {
		t.Errorf("the time of %s is %v, want %v", key, got, at)
	}
	if got := later.time("later:short"); !got.Equal(time.UnixMicro(0)) {
		t.Errorf("the time of what is none is %v", got)
	}
	if later.from(at) >= later.from(at.Add(time.Microsecond)) || later.from(at.Add(100*365*24*time.Hour)) >= string(later)+behindAll {
		t.Error("keys are not in the order of times")
	}
	for _, s := range []subscription{{"uploads", "intake"}, {"a-b_c", "D"}} {
		if err := (store.Key{Collection: agenda, UID: s.lane("somebody"), Key: key}).Check(); err != nil {
			t.Error(err)
		}
	}
	s := subscription{"uploads", "intake"}
	if s.lane("u1") != s.lane("u1/day") {
		t.Error("what is the same person's is in two lanes")
	}
}

func TestNamesOfSubscriptions(t *testing.T) {
	n := names{"project", "clarity-"}
	for _, s := range []subscription{{"uploads", "intake"}, {"a_b", "c-d"}} {
		if got, ok := n.parse(n.subscription(s)); !ok || got != s {
			t.Errorf("%s is parsed as %v, %v", n.subscription(s), got, ok)
		}
	}
	for _, name := range []string{"projects/project/subscriptions/other-uploads.intake", "projects/project/subscriptions/clarity-uploads", "projects/project/subscriptions/clarity-uploads.lost", "projects/project/subscriptions/clarity-a.b.c"} {
		if s, ok := n.parse(name); ok {
			t.Errorf("%s is parsed as %v", name, s)
		}
	}
}
