package appleexport

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// everything has each kind of element that an export can have.
const everything = "\xef\xbb\xbf" + dtd + `<HealthData>
 <ExportDate value="2026-11-20 06:58:01 +0200"/><Me a="b"><c/></Me><Puzzle><d>text</d></Puzzle><Dream ` + times + `/>
 <!-- a comment - with -- dashes --><![CDATA[ a ]] section ]]><?an instruction?>
 <Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="&#49;&#x30;" ` + times + `><MetadataEntry key="a" value="b"/></Record>
 <Record type="HKQuantityTypeIdentifierStepCount" unit="kg" value="1" ` + times + `/>
 <Workout ` + watch + ` ` + times + `><MetadataEntry key="a" value="b"/><WorkoutEvent type="x"><e/></WorkoutEvent><WorkoutRoute><f/></WorkoutRoute></Workout>
 <Workout><WorkoutRoute/></Workout>
 <Correlation type="x" ` + times + `><Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="1" ` + times + `/></Correlation>
 <ActivitySummary dateComponents="2026-11-20"/>
</HealthData>
<!-- end -->
`

func outcomes(records []record.Record) []string {
	var list []string
	for _, r := range records {
		list = append(list, strings.TrimRight(fmt.Sprintf("%s %s %s %s", r.Place, r.Sample.Type, r.Verdict, r.Code), " "))
	}
	return list
}

var everythingIs = []string{
	"line 11  skipped not_a_sample", "line 11  skipped not_a_sample", "line 11  skipped unknown_record", "line 11 HKExportDream accepted",
	"line 13 HKQuantityTypeIdentifierStepCount accepted", "line 14  rejected unknown_unit",
	"line 15 HKWorkoutRouteTypeIdentifier accepted", "line 15 HKWorkoutTypeIdentifier accepted", "line 16  rejected missing_field", "line 16  rejected missing_field",
	"line 17 HKQuantityTypeIdentifierStepCount accepted", "line 17 x accepted", "line 18 HKActivitySummaryTypeIdentifier accepted",
}

// However the bytes arrive, the records are the same.
func TestBytesOneByOne(t *testing.T) {
	for name, r := range map[string]io.Reader{
		"whole":             strings.NewReader(everything),
		"byte by byte":      iotest.OneByteReader(strings.NewReader(everything)),
		"the end with data": iotest.DataErrReader(strings.NewReader(everything)),
	} {
		t.Run(name, func(t *testing.T) {
			var records []record.Record
			for r, err := range XML(r, record.Options{}) {
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, r)
			}
			if diff := cmp.Diff(everythingIs, outcomes(records)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// A caller may leave after any record: the language panics where it goes on.
func TestTheCallerMayLeaveAfterAnyRecord(t *testing.T) {
	for stop := 1; stop <= len(everythingIs); stop++ {
		n := 0
		for _, err := range XML(strings.NewReader(everything), record.Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("%d records, want %d", n, stop)
		}
	}
}

func TestACutExportIsAnError(t *testing.T) {
	for n := range strings.Index(everything, "</HealthData>") + len("</HealthData>") {
		records, err := read(everything[:n], record.Options{})
		if err == nil {
			t.Fatalf("cut to %d bytes it is taken for whole", n)
		}
		if diff := cmp.Diff(everythingIs[:len(records)], outcomes(records), cmp.Transformer("empty", func(l []string) []string { return append([]string{}, l...) })); diff != "" {
			t.Errorf("cut to %d bytes (-want +got):\n%s", n, diff)
		}
	}
}

func TestAReaderThatFails(t *testing.T) {
	pulled := errors.New("cable pulled")
	for name, tt := range map[string]struct {
		r    io.Reader
		want error
	}{
		"at once":               {iotest.ErrReader(pulled), pulled},
		"within":                {io.MultiReader(strings.NewReader(everything[:900]), iotest.ErrReader(pulled)), pulled},
		"behind the root":       {io.MultiReader(strings.NewReader(everything), iotest.ErrReader(pulled)), pulled},
		"a reader that is mute": {mute{}, io.ErrNoProgress},
	} {
		t.Run(name, func(t *testing.T) {
			var last error
			for _, err := range XML(tt.r, record.Options{}) {
				last = err
			}
			if !errors.Is(last, tt.want) {
				t.Errorf("error %v, want %v", last, tt.want)
			}
		})
	}
}

type mute struct{}

func (mute) Read([]byte) (int, error) { return 0, nil }

// What XML forbids, or an export has no use for, at its edges.
func TestWhereXMLEnds(t *testing.T) {
	const step = `<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="10" ` + times + `/>`
	attributes := func(n int) string { return strings.TrimSuffix(manyAttributes(n), " ") }
	doctype := func(n int) string {
		return `<!DOCTYPE` + strings.Repeat(" ", n-1) + `><HealthData>` + step + `</HealthData>`
	}
	for name, tt := range map[string]struct {
		file string
		want string // of the error, or "" for a file of one step count
	}{
		"64 attributes":                          {`<HealthData ` + attributes(64) + `>` + step + `</HealthData>`, ""},
		"65 attributes":                          {`<HealthData ` + attributes(65) + `>` + step + `</HealthData>`, "more than 64 attributes"},
		"a tag of 200 KiB":                       {`<HealthData a="` + strings.Repeat("x", 200<<10) + `">` + step + `</HealthData>`, ""},
		"32 levels":                              {`<HealthData>` + step[:len(step)-2] + `>` + strings.Repeat("<a>", 30) + strings.Repeat("</a>", 30) + `</Record></HealthData>`, ""},
		"33 levels":                              {`<HealthData>` + step[:len(step)-2] + `>` + strings.Repeat("<a>", 31) + strings.Repeat("</a>", 31) + `</Record></HealthData>`, "nested deeper than 32"},
		"a document type of a MiB":               {doctype(1 << 20), ""},
		"a document type of a byte more":         {doctype(1<<20 + 1), "line 1: the document type is longer than 1048576 bytes"},
		"a comment of dashes in the type":        {`<!DOCTYPE HealthData [<!---> it's "> <!ENTITY a 'b'> ]> -->]><HealthData>` + step + `</HealthData>`, ""},
		"a comment in the type that is cut":      {`<!DOCTYPE HealthData [<!-- `, "the file ends inside a comment"},
		"dashes in the type that are no comment": {`<!DOCTYPE HealthData [<!ELEMENT a-b--c (d)> - -- ]><HealthData>` + step + `</HealthData>`, ""},
		"single quotes in the type":              {`<!DOCTYPE HealthData [<!ATTLIST a b CDATA 'x ]> "y <!ENTITY '>]><HealthData>` + step + `</HealthData>`, ""},
		"a comment that begins with a bracket":   {`<HealthData><!--> <Record/> -->` + step + `</HealthData>`, ""},
		"an empty comment":                       {`<HealthData><!---->` + step + `<!-- --></HealthData>`, ""},
		"an empty section":                       {`<HealthData><![CDATA[]]>` + step + `<![CDATA[ ]]></HealthData>`, ""},
		"a declaration of something":             {`<HealthData><!SOMETHING else>` + step + `</HealthData>`, "a '<!' that begins nothing known"},
		"every space between attributes":         {"<HealthData\r\n\ta=\"1\"\r>" + step + "</HealthData\r\n>", ""},
		"names of every kind":                    {`<HealthData a_b-c.d:e9Z="1" Ā="2">` + step + `</HealthData>`, ""},
		"a name with a brace":                    {`<HealthData a{="1"/>`, "no name or no value"},
		"a name with a backquote":                {"<HealthData a`=\"1\"/>", "no name or no value"},
		"a name with a slash":                    {`<HealthData a/b="1"/>`, "no name or no value"},
		"a name with a semicolon":                {`<HealthData a;="1"/>`, "no name or no value"},
		"an attribute of no name":                {`<HealthData $="1"/>`, "no name or no value"},
		"a slash within a tag":                   {`<HealthData /a="1">` + step + `</HealthData>`, "a '/' inside a tag"},
		"a letter before the root":               {`x<HealthData/>`, "line 1: there is text outside"},
		"text behind the root, on its line":      {"<HealthData/>\n\nhello\n\n", "line 3: there is text outside"},
		"a byte order mark that comes late":      {"<HealthData/>\xef\xbb\xbf", "text outside"},
		"two byte order marks":                   {"\xef\xbb\xbf\xef\xbb\xbf<HealthData/>", "text outside"},
		"a byte order mark that is cut":          {"\xef\xbb", "text outside"},
		"cut in the root's tag":                  {"<HealthDa", "the file ends inside a tag"},
		"a declared encoding of ASCII":           {`<?xml version="1.0" encoding="US-ASCII"?><HealthData>` + step + `</HealthData>`, ""},
		"an entity of no name":                   {`<HealthData a="&;"/>`, "not one of XML's own"},
		"a reference without a number":           {`<HealthData a="&#;"/>`, "not one of XML's own"},
		"a reference without a digit":            {`<HealthData a="&#x;"/>`, "not one of XML's own"},
		"a reference to beyond 32 bits":          {`<HealthData a="&#4294967361;"/>`, "not one of XML's own"},
		"a reference with eleven characters":     {`<HealthData a="&#x00000041;">` + step + `</HealthData>`, ""},
		"a reference with twelve characters":     {`<HealthData a="&#x0000000041;"/>`, "an '&' without an entity"},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := read(tt.file, record.Options{})
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil || len(records) != 1 || records[0].Sample.Value != 10 {
				t.Errorf("%d records, %v", len(records), err)
			}
		})
	}
}

func TestEntitiesAreResolved(t *testing.T) {
	got := one(t, `<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="10" sourceName="a&amp;b&lt;c&gt;d&quot;e&apos;f&#x41;&#66; g" `+times+`/>`, record.Options{})
	if name := got.Sample.Source.Name; name != `a&b<c>d"e'fAB g` {
		t.Errorf("the source is %q", name)
	}
}

// An unknown type is kept as the upload contract sends it.
func TestAnUnknownTypeIsKeptWhole(t *testing.T) {
	const source = `,"source":{"name":"Anna’s Apple Watch","productType":"Watch7,5","osVersion":"12.1"}`
	for name, tt := range map[string]struct{ body, kind, raw string }{
		"a number":         {`type="HKQuantityTypeIdentifierFuture" unit="q" value="12.5"/>`, "HKQuantityTypeIdentifierFuture", `{"unit":"q","value":12.5}`},
		"a word":           {`type="x" value="Often"/>`, "x", `{"value":"Often"}`},
		"nothing":          {`type="x"/>`, "x", `{"value":0}`},
		"a source":         {`type="x" value="1" ` + watch + `/>`, "x", `{` + source[1:] + `,"value":1}`},
		"metadata":         {`type="x" value="1"><MetadataEntry key="k" value="v"/></Record>`, "x", `{"metadata":{"k":"v"},"value":1}`},
		"a unit of a name": {`type="x" value="y" unit="a &quot;b&quot;"/>`, "x", `{"unit":"a \"b\"","value":"y"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := one(t, `<Record `+times+` `+tt.body, record.Options{})
			if got.Sample.Type != tt.kind || got.Sample.Raw != tt.raw {
				t.Errorf("%s is %s, want %s (%s)", got.Sample.Type, got.Sample.Raw, tt.raw, got.Detail)
			}
		})
	}
}

func TestACategoryHasNoUnit(t *testing.T) {
	got := one(t, `<Record type="HKCategoryTypeIdentifierSleepAnalysis" unit="min" value="HKCategoryValueSleepAnalysisAsleepREM" `+times+`/>`, record.Options{})
	if s := got.Sample; s.Value != 5 || s.OriginalValue != 5 || s.Unit != "" || s.OriginalUnit != "" {
		t.Errorf("got %+v", s)
	}
}

func TestOneHeartbeatStays(t *testing.T) {
	got := one(t, `<Record type="HKQuantityTypeIdentifierHeartRateVariabilitySDNN" unit="ms" `+times+` value="42.5"><HeartRateVariabilityMetadataList><InstantaneousBeatsPerMinute bpm="61"/></HeartRateVariabilityMetadataList></Record>`, record.Options{})
	if want := `{"HeartRateVariabilityMetadataList":[{"element":"InstantaneousBeatsPerMinute","bpm":"61"}]}`; got.Sample.Metadata != want {
		t.Errorf("metadata %s", got.Sample.Metadata)
	}
}

// The export's date gives its offset to what has a day but no time.
func TestASummaryIsADayWhereTheExportWas(t *testing.T) {
	records, err := read(document(`<ExportDate value="2026-11-20 06:58:01 +0200"/><ActivitySummary dateComponents="2026-11-20"><MetadataEntry key="HKWasUserEntered" value="1"/><MetadataEntry key="k" value="v"/></ActivitySummary>`), record.Options{})
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	s := records[1].Sample
	if s.Zone != "Etc/GMT-2" || s.Start != instant(t, "2026-11-20 00:00:00 +0200") || s.End != instant(t, "2026-11-21 00:00:00 +0200") {
		t.Errorf("from %v to %v in %s", s.Start.Time(), s.End.Time(), s.Zone)
	}
	if !s.UserEntered || s.Metadata != `{"k":"v"}` {
		t.Errorf("typed %v, metadata %s", s.UserEntered, s.Metadata)
	}
	bad := one(t, `<ActivitySummary dateComponents="2026-11-20"/>`, record.Options{DefaultZone: "Mars/Olympus"})
	if bad.Verdict != record.Rejected || bad.Code != reject.InvalidZone {
		t.Errorf("in no zone: %s %s", bad.Verdict, bad.Code)
	}
}

func TestVerdictsOnRawElements(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want []string
	}{
		"an empty type":                      {`<Workout type="" ` + times + `/>`, []string{"line 10 HKWorkoutTypeIdentifier accepted"}},
		"a type of one letter":               {`<Audiogram type="x" ` + times + `/>`, []string{"line 10 x accepted"}},
		"a record of an empty type":          {`<Record type="" value="1" ` + times + `/>`, []string{"line 10  rejected missing_field"}},
		"a bad end alone":                    {`<Workout startDate="2026-11-20 06:58:01 +0100" endDate="later"/>`, []string{"line 10  rejected invalid_time"}},
		"a bad start alone":                  {`<Workout startDate="then" endDate="2026-11-20 06:58:01 +0100"/>`, []string{"line 10  rejected invalid_time"}},
		"a workout without time to give":     {`<Workout><WorkoutRoute/></Workout>`, []string{"line 10  rejected missing_field", "line 10  rejected missing_field"}},
		"bad text below":                     {"<Workout " + times + "><WorkoutEvent a=\"\xff\"/></Workout>", []string{"line 10  rejected invalid_text"}},
		"bad text below what has no time":    {"<Workout><WorkoutEvent a=\"\xff\"/></Workout>", []string{"line 10  rejected missing_field"}},
		"bad text below what is a record":    {"<Record type=\"x\" value=\"1\"><a b=\"\xff\"/></Record>", []string{"line 10  rejected missing_field"}},
		"a prescription by its date alone":   {`<VisionPrescription dateIssued="2026-11-20 06:58:01 +0100"/>`, []string{"line 10 HKVisionPrescriptionTypeIdentifier accepted"}},
		"a route that has a time of its own": {`<Workout ` + times + `><WorkoutRoute startDate="x"/></Workout>`, []string{"line 10  rejected invalid_time", "line 10 HKWorkoutTypeIdentifier accepted"}},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := read(document(tt.body), record.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, outcomes(records)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// Attributes stay as they are, but for an address in memory and for names that
// the JSON has a use for.
func TestAttributesOfARawElement(t *testing.T) {
	got := one(t, `<Workout `+times+` device="&lt;&lt;HKDevice: 0x30&gt;, name:Ring&gt;" element="a" children="b" note="&lt;&lt;HKDevice: 0x30&gt;, kept&gt;"><WorkoutEvent device="&lt;Ring&gt;, kept"/></Workout>`, record.Options{})
	want := `{"record":{"element":"Workout","startDate":"2026-11-20 06:58:01 +0100","endDate":"2026-11-20 06:59:01 +0100","device":"<name:Ring>","@element":"a","@children":"b",` +
		`"note":"<<HKDevice: 0x30>, kept>","children":[{"element":"WorkoutEvent","device":"<Ring>, kept"}]}}`
	if diff := cmp.Diff(want, got.Sample.Raw); diff != "" {
		t.Errorf("raw (-want +got):\n%s", diff)
	}
	if got.Sample.Source.ProductType != "" {
		t.Errorf("the product is %q", got.Sample.Source.ProductType)
	}
	if bare := one(t, `<Workout `+times+` device="x"/>`, record.Options{}); bare.Sample.Source.ProductType != "x" {
		t.Errorf("the bare product is %q", bare.Sample.Source.ProductType)
	}
}

// What is kept may be as large as its bound, and not a byte larger.
func TestKeptAtItsBound(t *testing.T) {
	const maxRaw = record.MaxRaw
	wrapped := len(`{"record":`) + len(`}`)
	for name, tt := range map[string]struct {
		body func(n int) string // with a text of n bytes
		text int                // as much as may be
		size func(r record.Record) int
		want int
	}{
		"the metadata as it is written": {func(n int) string {
			return `<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="1" ` + times + `><MetadataEntry key="a" value="` + strings.Repeat("x", n) + `"/></Record>`
		}, 16<<10 - len(`{"HKTimeZone":"Etc/GMT-1","a":""`), func(r record.Record) int { return len(r.Sample.Metadata) + len(`"HKTimeZone":"Etc/GMT-1",`) - len(`}`) }, 16 << 10},
		"an element and its metadata together": {func(n int) string {
			return `<Workout ` + times + ` a="` + strings.Repeat("x", n) + `"><MetadataEntry key="a" value="` + strings.Repeat("y", 10<<10) + `"/></Workout>`
		}, 54995, func(r record.Record) int { return len(record.AppendUploadSample(nil, &r.Sample)) }, 64 << 10},
		"the metadata as it is read": {func(n int) string {
			const entry = `<MetadataEntry key="a" value="%s"/>`
			return `<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="1" ` + times + `>` + strings.Repeat(fmt.Sprintf(entry, strings.Repeat("x", 1017)), 15) +
				fmt.Sprintf(entry, strings.Repeat("x", n)) + `</Record>`
		}, 1017, func(r record.Record) int { return len(r.Sample.Metadata) }, 1017 + len(`{"a":""}`)},
		"an element": {func(n int) string { return `<Workout ` + times + ` a="` + strings.Repeat("x", n) + `"/>` },
			maxRaw - len(`{"element":"Workout","startDate":"2026-11-20 06:58:01 +0100","endDate":"2026-11-20 06:59:01 +0100","a":""}`),
			func(r record.Record) int { return len(r.Sample.Raw) }, maxRaw + wrapped},
		"an element with others in it": {func(n int) string {
			return `<Workout ` + times + `><a b="` + strings.Repeat("x", n) + `"/><c/></Workout>`
		}, maxRaw - len(`{"element":"Workout","startDate":"2026-11-20 06:58:01 +0100","endDate":"2026-11-20 06:59:01 +0100","children":[{"element":"a","b":""},{"element":"c"}]}`),
			func(r record.Record) int { return len(r.Sample.Raw) }, maxRaw + wrapped},
	} {
		t.Run(name, func(t *testing.T) {
			if got := one(t, tt.body(tt.text), record.Options{}); got.Verdict != record.Accepted || tt.size(got) != tt.want {
				t.Errorf("at the bound: %s %s, %d bytes, want %d", got.Verdict, got.Code, tt.size(got), tt.want)
			}
			if got := one(t, tt.body(tt.text+1), record.Options{}); got.Verdict != record.Rejected || got.Code != record.CodeTooLarge {
				t.Errorf("a byte more: %s %s", got.Verdict, got.Code)
			}
		})
	}
}
