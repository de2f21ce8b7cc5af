package upload

import (
	"bytes"

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
	d.limit, d.limitDetail = i+maxMetaBytes, "metadata is larger than 16 KiB"
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
			d.reject(reject.TooLarge, d.limitDetail)
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

// quoted is the text of a JSON value, nothing of one that is no string.
func (d *decoder) quoted(value []byte) []byte {
	if value[0] != '"' {
		return nil
	}
	text := value[1 : len(value)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		return d.unescape(text)
	}
	return text
}

func (d *decoder) metadataMember(name []byte, i int) int {
	switch string(name) {
	case "HKTimeZone":
		end := d.value(i, 5)
		if end < 0 || d.code != "" {
			return end
		}
		var ok bool
		if d.record.zone, ok = d.zones.find(d.quoted(d.data[i:end])); !ok {
			d.record.warned |= 1 << warnZone
			d.members = append(d.members, member{name, d.data[i:end]})
		}
		return end
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
