package upload

import (
	"github.com/clarity-loop/clarity/services/health/reject"
)

// A seenSource is a source object of this body, byte for byte, and its strings.
type seenSource struct {
	text   []byte
	source [4][]byte
}

// readSource reads the source object. A phone has few sources and repeats them
// in every sample: the last few are recognised by their bytes.
func (d *decoder) readSource(i int) int {
	for k := range d.sources {
		s := &d.sources[k]
		if n := len(s.text); n > 0 && i+n <= len(d.data) && string(d.data[i:i+n]) == string(s.text) && d.code == "" {
			d.record.source = s.source
			return i + n
		}
	}
	// Strings with escapes lie in the arena, which the next sample uses again.
	unescaped, unknown := len(d.arena), d.record.unknown
	d.record.unknown = false
	end := d.parseSource(i)
	if end >= 0 && d.code == "" && !d.record.unknown && len(d.arena) == unescaped {
		d.sources[d.nextSource%len(d.sources)] = seenSource{d.data[i:end], d.record.source}
		d.nextSource++
	}
	d.record.unknown = d.record.unknown || unknown
	return end
}

func (d *decoder) parseSource(i int) int {
	if i >= len(d.data) || d.data[i] != '{' {
		d.reject(reject.WrongType, "source is not an object")
		return d.value(i, 4)
	}
	outer, seen := len(d.names), 0
	i, more := d.first(i+1, '}')
	for more {
		var name []byte
		if name, i = d.name(i); i < 0 {
			return i
		}
		field := -1
		switch string(name) {
		case "bundleId":
			field = 0
		case "name":
			field = 1
		case "productType":
			field = 2
		case "osVersion":
			field = 3
		}
		switch {
		case d.code != "":
			d.arena = d.arena[:0]
			i = d.value(i, 5)
		case field < 0:
			d.record.unknown = true
			d.names = append(d.names, name)
			i = d.value(i, 5)
			if i > d.limit {
				d.reject(reject.TooLarge, d.limitDetail)
			}
		case seen&(1<<field) != 0:
			d.reject(reject.DuplicateKey, "source has a member twice")
			i = d.value(i, 5)
		default:
			seen |= 1 << field
			d.record.source[field], i = d.string(i, "a member of source")
		}
		if i < 0 {
			return i
		}
		i, more = d.next(i, '}')
	}
	if i >= 0 && d.code == "" && repeats(d.names[outer:]) {
		d.reject(reject.DuplicateKey, "source has a member twice")
	}
	d.names = d.names[:outer]
	return i
}
