package upload

import (
	"bytes"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// used is a decoder as it is after a body, with something in all its memory.
func used() *decoder {
	d := newDecoder()
	secret := []byte("secret")
	d.data, d.env, d.err = secret, &Envelope{InstallationID: "secret"}, &Error{Detail: "x"}
	d.record, d.code, d.detail, d.halfPair = record{kind: secret, zone: "secret"}, reject.InvalidText, "x", true
	d.names, d.members = [][]byte{secret, secret}, []member{{secret, secret}}
	d.arena, d.canon = bytes.Clone(secret), bytes.Clone(secret)
	d.sources[1], d.nextSource = seenSource{text: secret}, 2
	d.samples, d.rejected = []health.Sample{{Zone: "secret"}}, []health.Rejection{{Code: reject.InvalidText}}
	d.interned["secret"] = "secret"
	d.warnings[0] = health.Warning{Count: 1}
	d.zones.find([]byte("Europe/Berlin"))
	return d
}

// A decoder waits for the next body without anything of the one before it.
func TestADecoderForgets(t *testing.T) {
	d := used()
	d.release()
	if d.data != nil || d.env != nil || d.err != nil || d.record.kind != nil || d.record.zone != "" || d.code != "" || d.detail != "" || d.halfPair {
		t.Errorf("of the body: %+v", d)
	}
	for name, memory := range map[string][]byte{"arena": d.arena[:cap(d.arena)], "canon": d.canon[:cap(d.canon)]} {
		if bytes.ContainsAny(memory, "secret") {
			t.Errorf("%s holds %q", name, memory)
		}
	}
	for _, name := range d.names[:cap(d.names)] {
		if name != nil {
			t.Errorf("a name is %q", name)
		}
	}
	for _, m := range d.members[:cap(d.members)] {
		if m.name != nil || m.value != nil {
			t.Errorf("a member is %q", m)
		}
	}
	for _, s := range d.samples[:cap(d.samples)] {
		if s.Zone != "" {
			t.Errorf("a sample is %+v", s)
		}
	}
	for _, s := range d.sources {
		if s.text != nil {
			t.Errorf("a source is %q", s.text)
		}
	}
	if len(d.interned) > 0 || d.warnings != [warnKinds]health.Warning{} || d.nextSource != 0 || d.zones.count != 0 || d.zones.last.name != "" || d.zones.asked[0].name != "" {
		t.Errorf("texts %v, sources %d, zones %d", d.interned, d.nextSource, d.zones.count)
	}
	if len(d.samples)+len(d.rejected)+len(d.names)+len(d.members)+len(d.arena)+len(d.canon) > 0 {
		t.Errorf("lengths %d %d %d %d %d %d", len(d.samples), len(d.rejected), len(d.names), len(d.members), len(d.arena), len(d.canon))
	}
}

// A decoder that a body made large is left to the garbage collector as it is.
func TestALargeDecoderIsNotKept(t *testing.T) {
	texts := func(d *decoder, n int) {
		for i := range n - len(d.interned) {
			d.interned[string(rune(0x4e00+i))] = ""
		}
	}
	for name, grow := range map[string]func(d *decoder, more int){
		"samples":    func(d *decoder, more int) { d.samples = make([]health.Sample, 0, 4096+more) },
		"rejections": func(d *decoder, more int) { d.rejected = make([]health.Rejection, 0, 4096+more) },
		"strings":    func(d *decoder, more int) { d.arena, d.canon = make([]byte, 0, 1<<17+more), make([]byte, 0, 1<<17) },
		"metadata":   func(d *decoder, more int) { d.arena, d.canon = make([]byte, 0, 1<<17), make([]byte, 0, 1<<17+more) },
		"texts":      func(d *decoder, more int) { texts(d, 4096+more) },
		"names":      func(d *decoder, more int) { d.names, d.members = make([][]byte, 0, 256+more), make([]member, 0, 256) },
		"members":    func(d *decoder, more int) { d.names, d.members = make([][]byte, 0, 256), make([]member, 0, 256+more) },
	} {
		t.Run(name, func(t *testing.T) {
			most, beyond := used(), used()
			grow(most, 0)
			grow(beyond, 1)
			most.release()
			beyond.release()
			if most.data != nil {
				t.Error("as large as may be it is not kept")
			}
			if beyond.data == nil {
				t.Error("larger it is kept")
			}
		})
	}
}

func TestBuffersGrowByTheirBounds(t *testing.T) {
	kept := append(make([]byte, 0, 4), 1, 2, 3)
	if got := reserve(kept, 3); cap(got) != 4 || len(got) != 3 {
		t.Errorf("what is there: %d of %d bytes", len(got), cap(got))
	}
	if got := reserve(kept, 4); cap(got) < 5 || !bytes.Equal(got, kept) {
		t.Errorf("a byte more: %v of %d bytes", got, cap(got))
	}
	if got := reserve(nil, 2*MaxBodyBytes); cap(got) < MaxBodyBytes+1 || cap(got) > MaxBodyBytes+64<<10 {
		t.Errorf("no more than a body: %d bytes", cap(got))
	}
	for length, want := range map[int]int{0: 64 << 10, 327: 64 << 10, 328: 65_600, 167_772: 33_554_400, 167_773: MaxBodyBytes} {
		if got := (stream{body: make([]byte, length)}).most(); got != want {
			t.Errorf("%d bytes may inflate to %d, want %d", length, got, want)
		}
	}
}
