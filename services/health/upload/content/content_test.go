package content_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload/content"
)

// contentBody is an upload of two samples, of which one is of a type that nobody knows.
func contentBody(samples, rest string) string {
	return `{"schema":"clarity.upload/1","installationId":"i","timeZone":"Europe/Berlin","samples":[` + samples + `],"cursor":{"HKA":"a/b","HKB":"c"}` + rest + `}`
}

const (
	knownSample   = `{"uuid":"00000000-0000-4000-8000-000000000001","type":"HKQuantityTypeIdentifierHeartRate","start":"2026-04-01T06:00:00Z","end":"2026-04-01T06:00:00Z","value":61,"unit":"count/min","metadata":{"a":1,"b":"x"}}`
	unknownSample = `{"uuid":"00000000-0000-4000-8000-000000000002","type":"HKOdd","start":"2026-04-01T06:00:00Z","end":"2026-04-01T06:00:00Z","odd":{"p":1,"q":2}}`
)

func TestContentIsWhatABodySays(t *testing.T) {
	now := health.InstantOf(time.Date(2026, 4, 1, 8, 0, 0, 0, time.UTC))
	of := func(body string) string {
		t.Helper()
		digest, err := content.Of([]byte(body), now)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	first := of(contentBody(knownSample+","+unknownSample, ""))
	for name, tt := range map[string]struct {
		body string
		same bool
	}{
		"the same": {contentBody(knownSample+","+unknownSample, ""), true},
		"with members in another order, other white space and escapes": {fmt.Sprintf(
			` {"timeZone":"Europe/Berlin", "cursor":{"HKB":"c","HKA":"a\/b"}, "installationId":"\u0069","schema":"clarity.upload\/1","samples":[ %s, %s ]}`,
			`{"metadata":{"b":"x","a":1},"unit":"count\/min","value":61,"end":"2026-04-01T06:00:00Z","start":"2026-04-01T06:00:00Z","type":"HKQuantityTypeIdentifierHeartRate","uuid":"00000000-0000-4000-8000-000000000001"}`,
			`{"odd":{"q":2,"p":1},"end":"2026-04-01T06:00:00Z","start":"2026-04-01T06:00:00Z","type":"HKOdd","uuid":"00000000-0000-4000-8000-000000000002"}`), true},
		"samples in another order":          {contentBody(unknownSample+","+knownSample, ""), false},
		"one sample":                        {contentBody(knownSample, ""), false},
		"a sample that is refused beside":   {contentBody(knownSample+","+unknownSample+",7", ""), false},
		"a deletion beside":                 {contentBody(knownSample+","+unknownSample, `,"deleted":[{"uuid":"00000000-0000-4000-8000-000000000003","type":"HKOdd"}]`), false},
		"of the past":                       {contentBody(knownSample+","+unknownSample, `,"stage":"historical"`), false},
		"another number in what is unknown": {contentBody(knownSample+","+`{"uuid":"00000000-0000-4000-8000-000000000002","type":"HKOdd","start":"2026-04-01T06:00:00Z","end":"2026-04-01T06:00:00Z","odd":{"p":1,"q":3}}`, ""), false},
	} {
		if got := of(tt.body); (got == first) != tt.same {
			t.Errorf("%s: the same %v, want %v", name, got == first, tt.same)
		}
	}
	if _, err := content.Of([]byte("{"), now); err == nil {
		t.Error("what cannot be read has a content")
	}
}
