package upload_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
)

// nested is a value of lists and objects in turn, so deep.
func nested(deep int) string {
	var open, closing strings.Builder
	for i := range deep {
		if i%2 == 0 {
			open.WriteString(`[`)
		} else {
			open.WriteString(`{"a":`)
		}
		if (deep-1-i)%2 == 0 {
			closing.WriteString(`]`)
		} else {
			closing.WriteString(`}`)
		}
	}
	return open.String() + "1" + closing.String()
}

// Wherever a value may stand, it may be nested until all is 32 deep.
func TestHowDeepABodyMayBe(t *testing.T) {
	sample := func(more string) string { return string(bodyOf(`{` + more + `:@}`)) }
	deletion := func(more string) string { return with(`,"deleted":[{` + more + `:@}]`) }
	for name, tt := range map[string]struct {
		body string // with a value at @
		deep int    // how deep it may be
	}{
		"the body":                            {`@`, 32},
		"a member that must be text":          {`{"schema":@}`, 31},
		"a member that must be true or false": {`{"final":@}`, 31},
		"samples in an object":                {`{"samples":{"a":@}}`, 30},
		"a cursor in a list":                  {`{"cursor":[@]}`, 30},
		"a sample that is none":               {with(`,"samples":[@]`), 30},
		"a uuid":                              {sample(`"uuid"`), 29},
		"a value":                             {sample(`"value"`), 29},
		"a source that is none":               {sample(`"source"`), 29},
		"metadata that are none":              {sample(`"metadata"`), 29},
		"a member of an unknown type":         {sample(`"x"`), 29},
		"a member of a rejected sample":       {sample(`"uuid":1,"x"`), 29},
		"a member of metadata":                {sample(`"metadata":{"a":@},"x"`), 28},
		"whether a user entered it":           {sample(`"metadata":{"HKWasUserEntered":@},"x"`), 28},
		"metadata of a rejected sample":       {sample(`"metadata":{"HKTimeZone":"x","a":@},"x"`), 28},
		"a member of a source":                {sample(`"source":{"a":@},"x"`), 28},
		"a source's name again":               {sample(`"source":{"name":"a","name":@},"x"`), 28},
		"a member of a rejected source":       {sample(`"source":{"name":1,"a":@},"x"`), 28},
		"a member of a deletion":              {deletion(`"x"`), 29},
		"a member of a rejected deletion":     {deletion(`"uuid":1,"x"`), 29},
	} {
		t.Run(name, func(t *testing.T) {
			for deep, want := range map[int]bool{tt.deep: false, tt.deep + 1: true} {
				body := strings.Replace(tt.body, "@", nested(deep), 1)
				body = strings.ReplaceAll(body, "@", "1")
				_, err := upload.Decode([]byte(body), now, nil)
				var e *upload.Error
				if tooDeep := errors.As(err, &e) && e.Code == upload.TooDeep; tooDeep != want {
					t.Errorf("%d deep: %v", deep, err)
				}
			}
		})
	}
}

// The error says what should be where; it does not say what is there.
func TestWhatIsSaidOfABody(t *testing.T) {
	for body, want := range map[string]upload.Error{
		"":                                   {Code: upload.Malformed, Offset: 0, Detail: "the body ends where a value should be (byte 0)"},
		"{":                                  {Code: upload.Malformed, Offset: 1, Detail: "the body ends where a member's name should be (byte 1)"},
		"{7}":                                {Code: upload.Malformed, Offset: 1, Detail: "there should be a member's name (byte 1)"},
		`{}`:                                 {Code: upload.BadEnvelope, Offset: 2, Detail: "schema is missing (byte 2)"},
		` [] `:                               {Code: upload.BadEnvelope, Offset: 0, Detail: "an upload is an object (byte 0)"},
		`{"schema`:                           {Code: upload.Malformed, Offset: 8, Detail: "the body ends within a string (byte 8)"},
		`{"schema"`:                          {Code: upload.Malformed, Offset: 9, Detail: "the body ends where a colon should be (byte 9)"},
		`{"schema" 1`:                        {Code: upload.Malformed, Offset: 10, Detail: "there should be a colon (byte 10)"},
		`{"final":tru}`:                      {Code: upload.Malformed, Offset: 9, Path: "/final", Detail: "there should be a value (byte 9)"},
		`{"final":true`:                      {Code: upload.Malformed, Offset: 13, Detail: "the body ends where a comma or the end of the list should be (byte 13)"},
		`{"final":true 1`:                    {Code: upload.Malformed, Offset: 14, Detail: "there should be a comma or the end of the list (byte 14)"},
		`{"final":1.}`:                       {Code: upload.Malformed, Offset: 11, Path: "/final", Detail: "there should be a digit (byte 11)"},
		`{"final":1e+}`:                      {Code: upload.Malformed, Offset: 12, Path: "/final", Detail: "there should be a digit (byte 12)"},
		`{"final":-}`:                        {Code: upload.Malformed, Offset: 9, Path: "/final", Detail: "there should be a value (byte 9)"},
		`{"final":"a\x"}`:                    {Code: upload.Malformed, Offset: 12, Path: "/final", Detail: "a string has an escape that JSON does not know (byte 12)"},
		`{"final":"a\`:                       {Code: upload.Malformed, Offset: 12, Path: "/final", Detail: "the body ends within a string (byte 12)"},
		`{"final":"\u12g4"}`:                 {Code: upload.Malformed, Offset: 11, Path: "/final", Detail: "a \\u escape has not four hexadecimal digits (byte 11)"},
		"{\"final\":\"a\x01\"}":              {Code: upload.Malformed, Offset: 11, Path: "/final", Detail: "a string holds a control character that is not escaped (byte 11)"},
		"{\"final\":\"a\xff\"}":              {Code: upload.Malformed, Offset: 10, Path: "/final", Detail: "a string is not valid UTF-8 (byte 10)"},
		strings.Repeat("[", 33):              {Code: upload.TooDeep, Offset: 33, Detail: "the body is nested more than 32 deep (byte 33)"},
		with("") + " 1":                      {Code: upload.Malformed, Offset: len(with("")) + 1, Detail: "there are bytes behind the upload (byte 68)"},
		with(`,"samples":[1],"final":"x"`):   {Code: upload.BadEnvelope, Offset: 89, Path: "/final", Detail: "final is not true or false (byte 89)"},
		with(`,"samples":[1,{"x":1}],"a":1`): {Code: upload.BadEnvelope, Offset: 89, Detail: "the envelope has a member that the contract does not know (byte 89)"},
	} {
		_, err := upload.Decode([]byte(body), now, nil)
		var e *upload.Error
		if !errors.As(err, &e) || *e != want {
			t.Errorf("of %s is said %+v", body, e)
		}
	}
}

// What is wrong with one sample is forgotten behind it.
func TestHalfAPairIsItsOwnSamplesMatter(t *testing.T) {
	e, err := upload.Decode([]byte(with(`,"samples":[{"x":"\ud800"}],"cursor":{"a":"b"},"stage":"daily"`)), now, nil)
	if err != nil || e.Cursor["a"] != "b" || len(e.Rejected) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}

// Each bound of a sample: what is as large as may be, and a little more.
func TestTheBoundsOfASample(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	escaped := func(n int) string { return strings.Repeat(`\u0078`, n) }
	good := members(id, heart, times, sixtyOne)
	of := func(more string) string { return members(id, heart, times, sixtyOne, more) }
	unknown := func(bytes int) string {
		short := members(id, workout, times, `"a":""`)
		return members(id, workout, times, `"a":"`+x(bytes-len(short))+`"`)
	}
	for name, tt := range map[string]struct {
		sample string
		code   reject.Code
	}{
		"a name of 1024 bytes":               {of(`"source":{"name":"` + x(1024) + `"}`), ""},
		"a name of 1025 bytes":               {of(`"source":{"name":"` + x(1025) + `"}`), reject.InvalidText},
		"a name of 1024 escapes":             {of(`"source":{"name":"` + escaped(1024) + `"}`), ""},
		"a name of 1025 escapes":             {of(`"source":{"name":"` + escaped(1025) + `"}`), reject.InvalidText},
		"metadata of 16 KiB":                 {of(`"metadata":{"a":"` + x(16<<10-len(`{"a":""`)) + `"}`), ""},
		"metadata of a byte more":            {of(`"metadata":{"a":"` + x(16<<10-len(`{"a":""`)+1) + `"}`), reject.TooLarge},
		"metadata of a byte more, nested":    {of(`"metadata":{"a":{"b":"` + x(16<<10-len(`{"a":{"b":""`)) + `"}}`), reject.TooLarge},
		"an unknown type of 64 KiB":          {unknown(64 << 10), ""},
		"an unknown type of a byte more":     {unknown(64<<10 + 1), reject.TooLarge},
		"an unknown type of 64 members":      {members(id, workout, times, numbered(64, `"m%d":1`)), ""},
		"an unknown type of 65 members":      {members(id, workout, times, numbered(65, `"m%d":1`)), reject.UnknownField},
		"a day ahead":                        {members(id, heart, startEnd("2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z"), sixtyOne), ""},
		"a day and a millisecond ahead":      {members(id, heart, startEnd("2026-11-21T12:00:00.001Z", "2026-11-21T12:00:00.001Z"), sixtyOne), reject.FutureTime},
		"an end at its start":                {members(id, heart, startEnd("2026-11-20T06:00:00Z", "2026-11-20T06:00:00Z"), sixtyOne), ""},
		"an end a millisecond before":        {members(id, heart, startEnd("2026-11-20T06:00:00.001Z", "2026-11-20T06:00:00Z"), sixtyOne), reject.EndBeforeStart},
		"1900":                               {members(id, workout, startEnd("1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z")), ""},
		"the last moment of 2200":            {members(id, workout, startEnd("2000-01-01T00:00:00Z", "2200-12-31T23:59:59Z")), ""},
		"2201":                               {members(id, workout, startEnd("2000-01-01T00:00:00Z", "2201-01-01T00:00:00Z")), reject.InvalidTime},
		"month 0":                            {members(id, workout, startEnd("2000-00-01T00:00:00Z", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"month 13":                           {members(id, workout, startEnd("2000-13-01T00:00:00Z", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"day 0":                              {members(id, workout, startEnd("2000-01-00T00:00:00Z", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"April 31":                           {members(id, workout, startEnd("2000-04-31T00:00:00Z", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"December 31 at a second before":     {members(id, workout, startEnd("2000-12-31T23:59:59.9999Z", "2001-01-01T00:00:00Z")), ""},
		"December 32":                        {members(id, workout, startEnd("2000-12-32T00:00:00Z", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"minute 60":                          {members(id, workout, startEnd("2000-01-01T00:60:00Z", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"an offset's minute 60":              {members(id, workout, startEnd("2000-01-01T00:00:00+00:60", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"an offset of 23:59":                 {members(id, workout, startEnd("2000-01-01T00:00:00+23:59", "2001-01-01T00:00:00-23:59")), ""},
		"an offset of letters":               {members(id, workout, startEnd("2000-01-01T00:00:00+0a:00", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"a colon too few":                    {members(id, workout, startEnd("2000-01-01T00:00:00+00.00", "2001-01-01T00:00:00Z")), reject.InvalidTime},
		"a zone that is none, and more":      {of(`"metadata":{"HKTimeZone":"Nowhere","a":{"b":"\u0061"},"c":1}`), ""},
		"user entered, as a number":          {of(`"metadata":{"HKWasUserEntered":1}`), ""},
		"user entered, as another number":    {of(`"metadata":{"HKWasUserEntered":2}`), reject.WrongType},
		"a number of 1024 digits":            {members(id, heart, times, `"value":61.`+strings.Repeat("0", 1021)+`,"unit":"count/min"`), ""},
		"a number of 1025 digits":            {members(id, heart, times, `"value":61.`+strings.Repeat("0", 1022)+`,"unit":"count/min"`), reject.InvalidNumber},
		"a repeated name among twelve":       {of(`"metadata":{` + numbered(11, `"m%d":1`) + `,"m0":1}`), reject.DuplicateKey},
		"a repeated name among thirteen":     {of(`"metadata":{` + numbered(12, `"m%d":1`) + `,"m0":1}`), reject.DuplicateKey},
		"thirteen names":                     {of(`"metadata":{` + numbered(13, `"m%d":1`) + `}`), ""},
		"a sample as good as its neighbours": {good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := upload.Decode(bodyOf(good, tt.sample, good), now, nil)
			if err != nil {
				t.Fatal(err)
			}
			var code reject.Code
			for _, r := range e.Rejected {
				code = r.Code
				if r.Index != 1 {
					t.Errorf("rejected is %+v", r)
				}
			}
			if code != tt.code {
				t.Errorf("code %q, want %q: %v", code, tt.code, e.Rejected)
			}
		})
	}
}

// padded is a gzip of a body, of exactly so many bytes.
func padded(t *testing.T, body []byte, length int) []byte {
	t.Helper()
	pack := func(extra int) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Extra = make([]byte, extra)
		if _, err := z.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	packed := pack(1 + length - len(pack(1)))
	if len(packed) != length {
		t.Fatalf("%d bytes, want %d", len(packed), length)
	}
	return packed
}

func TestHowMuchABodyMayInflate(t *testing.T) {
	large := append(noise(1<<20), make([]byte, upload.MaxBodyBytes-1<<20+1)...)
	most := large[:upload.MaxBodyBytes]
	unpacked := noise(6 << 20)
	packed := uploadtest.Gzip(unpacked)
	wrong := bytes.Clone(packed)
	wrong[len(wrong)-8] ^= 1 // of the checksum
	for name, tt := range map[string]struct {
		encoding string
		packed   []byte
		want     []byte
		err      *upload.Error
	}{
		"64 KiB, whatever the ratio": {"gzip", uploadtest.Gzip(make([]byte, 64<<10)), make([]byte, 64<<10), nil},
		"a byte more":                {"gzip", padded(t, make([]byte, 64<<10+1), 300), nil, &upload.Error{Code: upload.BadRatio, Offset: 300, Detail: "the body inflates to more than 200 times its size"}},
		"200-fold":                   {"gzip", padded(t, make([]byte, 400_000), 2000), make([]byte, 400_000), nil},
		"a byte more than 200-fold":  {"gzip", padded(t, make([]byte, 400_001), 2000), nil, &upload.Error{Code: upload.BadRatio, Offset: 2000, Detail: "the body inflates to more than 200 times its size"}},
		"32 MiB in gzip":             {"gzip", uploadtest.Gzip(most), most, nil},
		"32 MiB in zstd":             {"zstd", zstandard(t, most, zstd.WithEncoderLevel(zstd.SpeedFastest)), most, nil},
		"a byte more than 32 MiB":    {"zstd", zstandard(t, large, zstd.WithEncoderLevel(zstd.SpeedFastest)), nil, &upload.Error{Code: upload.TooLarge, Detail: "the inflated body is larger than 33554432 bytes"}},
		"many MiB":                   {"gzip", packed, unpacked, nil},
		"many MiB, cut":              {"gzip", packed[:len(packed)-1], nil, &upload.Error{Code: upload.BadEncoding, Offset: len(packed) - 1, Detail: "the gzip body is truncated"}},
		"many MiB, with a fault":     {"gzip", wrong, nil, &upload.Error{Code: upload.BadEncoding, Offset: len(packed), Detail: "the body is not valid gzip"}},
		"no gzip":                    {"gzip", []byte("not gzip at all, but long enough"), nil, &upload.Error{Code: upload.BadEncoding, Offset: 10, Detail: "the body is not valid gzip"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := upload.Inflate(nil, tt.encoding, tt.packed)
			if tt.err == nil {
				if err != nil || !bytes.Equal(got, tt.want) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				return
			}
			var e *upload.Error
			if !errors.As(err, &e) || *e != *tt.err || got != nil {
				t.Errorf("%d bytes, %+v, want %+v", len(got), e, tt.err)
			}
		})
	}
}
