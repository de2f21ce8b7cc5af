package upload

import (
	"github.com/clarity-loop/clarity/services/health/reject"
)

// readMetadata takes out the members that are fields of a Sample and keeps the
// others as they were sent.
func (d *decoder) readMetadata(i int) int {
	if i >= len(d.data) || d.data[i] != '{' {
		d.reject(reject.WrongType, "metadata is not an object")
		return d.value(i, 4)
	}
	outer, limit, detail := len(d.names), d.limit, d.limitDetail
	d.limit, d.limitDetail = i+maxMetaBytes, "metadata is too long"
	i, more := d.first(i+1, '}')
	for more {
		var name []byte
		if name, i = d.name(i); i < 0 {
			return i
		}
		if d.code != "" {
			d.arena = d.arena[:0]
			i = d.value(i, 5)
		} else {
			d.names = append(d.names, name)
			i = d.metadataMember(name, i)
		}
		if i < 0 {
			return i
		}
		if i > d.limit {
			d.reject(reject.InvalidText, d.limitDetail)
		}
		i, more = d.next(i, '}')
	}
	if i < 0 {
		return i
	}
	if d.code == "" && repeats(d.names[outer:]) {
		d.reject(reject.DuplicateKey, "metadata has a name twice")
	}
	d.names, d.limit, d.limitDetail = d.names[:outer], limit, detail
	return i
}

func (d *decoder) metadataMember(name []byte, i int) int {
	switch string(name) {
	case "HKTimeZone":
		s, i := d.string(i, "HKTimeZone")
		if i < 0 || d.code != "" {
			return i
		}
		var ok bool
		if d.record.zone, ok = d.zones.find(s); !ok {
			d.reject(reject.InvalidZone, "HKTimeZone is not an IANA time zone")
		}
		return i
	case "HKWasUserEntered":
		end := d.value(i, 5)
		if end < 0 {
			return end
		}
		switch string(d.data[i:end]) {
		case "true", "1":
			d.record.userEntered = true
		case "false", "0":
		default:
			d.reject(reject.WrongType, "HKWasUserEntered is not true or false")
		}
		return end
	}
	end := d.value(i, 5)
	if end >= 0 {
		d.members = append(d.members, member{name, d.data[i:end]})
	}
	return end
}
