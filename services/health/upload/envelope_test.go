package upload_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// body is an upload with more members behind the three that must be there.
func body(installation, more string) []byte {
	return []byte(`{"schema":"clarity.upload/1","installationId":` + installation + `,"timeZone":"Europe/Berlin"` + more + `}`)
}

func TestTheEnvelopeComesBack(t *testing.T) {
	const uuid = `"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d"`
	id, err := health.ParseUUID(strings.Trim(uuid, `"`))
	if err != nil {
		t.Fatal(err)
	}
	plain := upload.Envelope{InstallationID: "i", TimeZone: "Europe/Berlin", Stage: upload.Daily} // daily, where nothing is said
	with := func(change func(e *upload.Envelope)) upload.Envelope {
		e := plain
		change(&e)
		return e
	}
	tests := map[string]struct {
		body []byte
		want upload.Envelope
	}{
		"no more than it must have": {body(`"i"`, ""), plain},
		"an identity with escapes":  {body(`"a\"\u0062\\"`, ""), with(func(e *upload.Envelope) { e.InstallationID = `a"b\` })},
		"white space":               {[]byte(" \r\n\t" + string(body(` "i" `, ` , "final" : true `)) + " \n"), with(func(e *upload.Envelope) { e.Final = true })},
		"daily":                     {body(`"i"`, `,"stage":"daily","final":false`), with(func(e *upload.Envelope) { e.Stage = upload.Daily })},
		"historical, the last":      {body(`"i"`, `,"stage":"historical","final":true`), with(func(e *upload.Envelope) { e.Stage, e.Final = upload.Historical, true })},
		"a cursor":                  {body(`"i"`, `,"cursor":{"a":"1","b\u0063":"2\/"}`), with(func(e *upload.Envelope) { e.Cursor = map[string]string{"a": "1", "bc": "2/"} })},
		"an empty cursor":           {body(`"i"`, `,"cursor":{}`), with(func(e *upload.Envelope) { e.Cursor = map[string]string{} })},
		"empty lists":               {body(`"i"`, `,"samples":[],"deleted":[]`), plain},
		"a deletion": {body(`"i"`, `,"deleted":[{"type":"\u0061b","uuid":`+uuid+`}]`), with(func(e *upload.Envelope) {
			e.Received, e.Accepted, e.Deleted = 1, 1, []upload.Deletion{{UUID: id, Type: "ab"}}
		})},
		"a deletion without a type": {body(`"i"`, `,"deleted":[{"uuid":`+uuid+`}]`), with(func(e *upload.Envelope) {
			e.Received, e.Rejected = 1, []health.Rejection{{In: "deleted", Code: reject.MissingField, Detail: "type is missing"}}
		})},
		"a deletion without a uuid": {body(`"i"`, `,"deleted":[{"type":"a"}]`), with(func(e *upload.Envelope) {
			e.Received, e.Rejected = 1, []health.Rejection{{In: "deleted", Code: reject.MissingField, Detail: "uuid is missing"}}
		})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := upload.Decode(tt.body, now, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("envelope (-want +got):\n%s", diff)
			}
		})
	}
}

// Texts may be as long as their bound, counted without their escapes.
func TestTheBoundsOfTheEnvelopesTexts(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	escaped := func(n int) string { return strings.Repeat(`\u0078`, n) }
	tests := map[string]struct {
		body []byte
		ok   bool
	}{
		"an identity of 1024 bytes":            {body(`"`+x(1024)+`"`, ""), true},
		"an identity of 1025 bytes":            {body(`"`+x(1025)+`"`, ""), false},
		"an identity of 1024 escapes":          {body(`"`+escaped(1024)+`"`, ""), true},
		"an identity of 1025 escapes":          {body(`"`+escaped(1025)+`"`, ""), false},
		"no identity":                          {body(`""`, ""), false},
		"an identity with an escaped control":  {body(`"a\u0000"`, ""), false},
		"an identity with an escaped line":     {body(`"a\n"`, ""), false},
		"a type of 1024 bytes in the cursor":   {body(`"i"`, `,"cursor":{"`+x(1024)+`":"a"}`), true},
		"a type of 1025 bytes in the cursor":   {body(`"i"`, `,"cursor":{"`+x(1025)+`":"a"}`), false},
		"a type of no name in the cursor":      {body(`"i"`, `,"cursor":{"":"a"}`), false},
		"a type with a control in the cursor":  {body(`"i"`, `,"cursor":{"a\u0001":"a"}`), false},
		"a type with half a pair":              {body(`"i"`, `,"cursor":{"a\ud800":"a"}`), false},
		"an anchor of 8 KiB":                   {body(`"i"`, `,"cursor":{"a":"`+x(8<<10)+`"}`), true},
		"an anchor of a byte more":             {body(`"i"`, `,"cursor":{"a":"`+x(8<<10+1)+`"}`), false},
		"512 types in the cursor":              {body(`"i"`, `,"cursor":{`+numbered(512, `"t%d":"a"`)+`}`), true},
		"a cursor as deep as nothing there is": {body(`"i"`, `,"cursor":{"a":["b"]}`), false},
		"a stage of another name":              {body(`"i"`, `,"stage":"weekly"`), false},
		"a final that is a word":               {body(`"i"`, `,"final":"true"`), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := upload.Decode(tt.body, now, nil)
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want none: %v", err, tt.ok)
			}
		})
	}
}

func TestInflateAtItsBounds(t *testing.T) {
	most := make([]byte, upload.MaxBodyBytes)
	if got, err := upload.Inflate(nil, "identity", most); err != nil || len(got) != upload.MaxBodyBytes {
		t.Errorf("as much as may be: %d bytes, %v", len(got), err)
	}
	for encoding, want := range map[string]string{
		"gzip": "the gzip body is truncated", "zstd": "the zstd body is truncated", "br": "the content encoding is none of gzip, zstd and identity",
	} {
		if _, err := upload.Inflate(nil, encoding, nil); err == nil || err.Error() != want {
			t.Errorf("nothing as %s: %v, want %s", encoding, err, want)
		}
	}
	if _, err := upload.Inflate(nil, "gzip", []byte("not gzip at all, but long enough")); err == nil || err.Error() != "the body is not valid gzip" {
		t.Errorf("error %v", err)
	}
	if _, err := upload.Inflate(nil, "identity", append(most, 0)); err == nil || err.Error() != "the inflated body is larger than 33554432 bytes" {
		t.Errorf("a byte more: %v", err)
	}
}
