package upload

import (
	"github.com/clarity-loop/clarity/services/health/reject"
)

// deletion reads one; i is behind its brace.
func (d *decoder) deletion(i int) int {
	i, more := d.first(i, '}')
	for more {
		var name []byte
		if name, i = d.name(i); i < 0 {
			return i
		}
		switch {
		case d.code != "":
			d.arena = d.arena[:0]
			i = d.value(i, 4)
		case string(name) == "uuid":
			i = d.readUUID(d.once(memberUUID, i))
		case string(name) == "type":
			i = d.readType(d.once(memberType, i))
		default:
			d.reject(reject.UnknownField, "the deletion has a member that the contract does not have")
			i = d.value(i, 4)
		}
		if i < 0 {
			return i
		}
		i, more = d.next(i, '}')
	}
	return i
}

func (d *decoder) checkDeletion() {
	switch seen := d.record.seen; {
	case seen&memberUUID == 0:
		d.reject(reject.MissingField, "uuid is missing")
	case seen&memberType == 0:
		d.reject(reject.MissingField, "type is missing")
	}
}
