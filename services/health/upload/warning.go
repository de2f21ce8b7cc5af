package upload

import "github.com/clarity-loop/clarity/services/health/reject"

// The kinds of warnings, in the order of the receipt.
const (
	warnZone = iota
	warnValue
	warnField
	warnKinds
)

// warn counts what was not understood of the sample that was just accepted.
func (d *decoder) warn() {
	for kind := range d.warnings {
		if d.record.warned&(1<<kind) == 0 {
			continue
		}
		w := &d.warnings[kind]
		if w.Count++; w.Count > 1 {
			continue
		}
		w.First = d.index
		switch kind {
		case warnZone:
			w.Code, w.Detail = reject.UnreadZone, "HKTimeZone is neither an IANA time zone nor GMT and an offset: the upload's timeZone decides the day, and the metadata keeps it"
		case warnValue:
			w.Code, w.Detail = reject.UnknownValue, "value is not one of the type's enumeration: the sample is kept as it was sent, and read once the value is known"
		case warnField:
			w.Code, w.Detail = reject.UnknownMember, "the sample or its source has a member that the contract does not have: the sample is read, and kept as it was sent"
		}
	}
}
