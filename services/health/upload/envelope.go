package upload

import (
	"slices"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/series"
)

// MaxAnchorBytes bounds the anchor of one type in a cursor.
const MaxAnchorBytes = 8 << 10

// The members of the envelope, as bits.
const (
	memberSchema = 1 << iota
	memberInstallation
	memberZone
	memberSamples
	memberDeleted
	memberCursor
	memberStage
	memberFinal
	memberSeries
)

// envelope reads the body's one object.
func (d *decoder) envelope(i int) int {
	if i >= len(d.data) || d.data[i] != '{' {
		if i = d.value(i, 1); i < 0 {
			return i
		}
		return d.invalid(0, "an upload is an object")
	}
	seen := 0
	i, more := d.first(i+1, '}')
	for more {
		at := i
		d.arena = d.arena[:0]
		var name []byte
		if name, i = d.name(i); i < 0 {
			return i
		}
		bit, path := envelopeMember(name)
		switch {
		case bit == 0:
			return d.invalid(at, "the envelope has a member that the contract does not know")
		case seen&bit != 0:
			d.where = path
			return d.malformed(at, "the envelope has a member twice")
		}
		seen |= bit
		d.where = path
		if i = d.member(bit, i); i < 0 {
			return i
		}
		d.where = ""
		i, more = d.next(i, '}')
	}
	if i < 0 {
		return i
	}
	switch {
	case seen&memberSchema == 0:
		return d.invalid(i, "schema is missing")
	case seen&memberSeries != 0 && d.kind != series.Schema:
		return d.invalid(i, "series are an upload of their own: its schema is "+series.Schema)
	case seen&memberSamples != 0 && d.kind != Schema:
		return d.invalid(i, "samples are an upload of their own: its schema is "+Schema)
	case seen&memberInstallation == 0:
		return d.invalid(i, "installationId is missing")
	case seen&memberZone == 0:
		return d.invalid(i, "timeZone is missing")
	}
	return i
}

func envelopeMember(name []byte) (bit int, path string) {
	switch string(name) {
	case "schema":
		return memberSchema, "/schema"
	case "installationId":
		return memberInstallation, "/installationId"
	case "timeZone":
		return memberZone, "/timeZone"
	case "samples":
		return memberSamples, "/samples"
	case "series":
		return memberSeries, listOfSeries
	case "deleted":
		return memberDeleted, "/deleted"
	case "cursor":
		return memberCursor, "/cursor"
	case "stage":
		return memberStage, "/stage"
	case "final":
		return memberFinal, "/final"
	}
	return 0, ""
}

func (d *decoder) member(bit, i int) int {
	switch bit {
	case memberSamples:
		return d.entries(i, d.sample)
	case memberSeries:
		return d.entries(i, d.readSeries)
	case memberDeleted:
		return d.entries(i, d.deletion)
	case memberCursor:
		return d.cursor(i)
	case memberFinal:
		return d.final(i)
	}
	at := i
	s, i := d.envelopeText(i, MaxTextBytes)
	if i < 0 {
		return i
	}
	switch bit {
	case memberSchema:
		if d.kind = string(s); d.kind != Schema && d.kind != series.Schema {
			return d.fail(BadSchema, at, "the schema is neither "+Schema+" nor "+series.Schema)
		}
	case memberInstallation:
		d.env.InstallationID = string(s)
	case memberZone:
		zone, ok := d.zones.find(s)
		if !ok {
			return d.invalid(at, "timeZone is neither an IANA time zone nor GMT and an offset")
		}
		d.env.TimeZone = zone
	case memberStage:
		switch stage := Stage(s); stage {
		case Daily, Historical:
			d.env.Stage = stage
		default:
			return d.invalid(at, "stage is neither daily nor historical")
		}
	}
	return i
}

// envelopeText reads a string that must be there and must be text.
func (d *decoder) envelopeText(i, most int) (s []byte, next int) {
	if i >= len(d.data) || d.data[i] != '"' {
		at := i
		if i = d.value(i, 2); i < 0 {
			return nil, i
		}
		return nil, d.invalid(at, "the member is not a string")
	}
	next, escaped := d.text(i + 1)
	if next < 0 {
		return nil, next
	}
	s = d.data[i+1 : next-1]
	if len(s) > 6*most {
		return nil, d.invalid(i, "the text is too long")
	}
	if escaped {
		s = d.unescape(s)
	}
	if len(s) == 0 || len(s) > most || d.halfPair || escaped && hasControl(s) {
		return nil, d.invalid(i, "the text is empty, too long, or holds characters that are not text")
	}
	return s, next
}

func (d *decoder) final(i int) int {
	end := d.value(i, 2)
	if end < 0 {
		return end
	}
	switch string(d.data[i:end]) {
	case "true":
		d.env.Final = true
	case "false":
	default:
		return d.invalid(i, "final is not true or false")
	}
	return end
}

// entries reads the objects of a list and counts them.
func (d *decoder) entries(i int, object func(i int) int) int {
	if i >= len(d.data) || d.data[i] != '[' {
		at := i
		if i = d.value(i, 2); i < 0 {
			return i
		}
		return d.invalid(at, "the member is not a list")
	}
	i, more := d.first(i+1, ']')
	for d.index = 0; more; d.index++ {
		if d.env.Received++; d.env.Received > MaxSamples {
			return d.fail(TooManySamples, i, "the upload has more than 10000 samples, series and deletions together")
		}
		d.begin(i)
		if i < len(d.data) && d.data[i] == '{' {
			i = object(i + 1)
		} else {
			d.reject(reject.WrongType, "the entry is not an object")
			i = d.value(i, 3)
		}
		if i < 0 {
			return i
		}
		d.verdict(i)
		i, more = d.next(i, ']')
	}
	if i >= 0 {
		d.index, d.halfPair = -1, false
	}
	return i
}

// entryMembers reads the members of an entry of a list, of which i is behind the brace.
func (d *decoder) entryMembers(i int, member func(name []byte, i int) int) int {
	i, more := d.first(i, '}')
	for more {
		var name []byte
		if name, i = d.name(i); i < 0 {
			return i
		}
		if d.code == "" {
			i = member(name, i)
		} else {
			d.arena = d.arena[:0]
			i = d.value(i, 4)
		}
		if i < 0 {
			return i
		}
		i, more = d.next(i, '}')
	}
	return i
}

// begin starts an entry of a list.
func (d *decoder) begin(i int) {
	d.record = record{from: i}
	d.code, d.strict, d.halfPair = "", true, false
	d.limit, d.limitDetail = i+maxRawBytes, tooLong
	d.names, d.members, d.arena = d.names[:0], d.members[:0], d.arena[:0]
}

// verdict ends an entry of a list; i is behind it.
func (d *decoder) verdict(i int) {
	deletion, ofPoints := d.where == "/deleted", d.where == listOfSeries
	if d.code == "" && d.halfPair {
		d.reject(reject.InvalidText, "a string holds half a surrogate pair")
	}
	if d.code == "" && deletion {
		d.checkDeletion()
	} else if d.code == "" && ofPoints {
		d.checkSeries()
	} else if d.code == "" {
		d.check(i)
	}
	switch {
	case d.code != "":
		d.pointOut()
		r := health.Rejection{Index: d.index, Code: d.code, Detail: d.detail}
		if deletion || ofPoints {
			r.In = d.where[1:]
		}
		d.rejected = append(d.rejected, r)
		return
	case deletion:
		d.env.Deleted = append(d.env.Deleted, Deletion{d.record.uuid, d.typeName()})
	case d.keep && ofPoints:
		d.buildSeries(i)
	case d.keep:
		d.build(i)
	}
	d.env.Accepted++
	if d.record.warned != 0 {
		d.warn()
	}
}

func (d *decoder) cursor(i int) int {
	at := i
	if i >= len(d.data) || d.data[i] != '{' {
		if i = d.value(i, 2); i < 0 {
			return i
		}
		return d.invalid(at, "the cursor is not an object")
	}
	d.env.Cursor = map[string]string{}
	i, more := d.first(i+1, '}')
	for more {
		at := i
		var name, anchor []byte
		d.arena = d.arena[:0]
		if name, i = d.name(i); i < 0 {
			return i
		}
		if len(name) == 0 || len(name) > MaxTextBytes || d.halfPair || hasControl(name) {
			return d.invalid(at, "a type in the cursor is empty, too long, or holds characters that are not text")
		}
		if _, twice := d.env.Cursor[string(name)]; twice {
			return d.malformed(at, "the cursor has a type twice")
		}
		if len(d.env.Cursor) == maxAnchors {
			return d.invalid(at, "the cursor has more than 512 types")
		}
		if anchor, i = d.envelopeText(i, MaxAnchorBytes); i < 0 {
			return i
		}
		d.env.Cursor[string(name)] = string(anchor)
		i, more = d.next(i, '}')
	}
	return i
}

// finishEnvelope checks what follows the object.
func (d *decoder) finishEnvelope(i int) int {
	if i = d.space(i); i < len(d.data) {
		return d.malformed(i, "there are bytes behind the upload")
	}
	if len(d.rejected) > 0 {
		d.env.Rejected = slices.Clone(d.rejected)
	}
	for _, w := range d.warnings {
		if w.Count > 0 {
			d.env.Warnings = append(d.env.Warnings, w)
		}
	}
	return i
}
