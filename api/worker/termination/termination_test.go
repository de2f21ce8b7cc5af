package termination

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReport(t *testing.T) {
	tests := map[string]struct {
		message string
		fails   bool
	}{
		"a report":                     {`{"subjects":3,"succeeded":1,"skipped":1,"failed":1,"reasons":{"NoEpochs":1}}`, false},
		"nothing to do":                {`{"subjects":0,"succeeded":0,"skipped":0,"failed":0}`, false},
		"a field of a newer worker":    {`{"subjects":1,"succeeded":1,"skipped":0,"failed":0,"bytes":9}`, false},
		"empty":                        {``, true},
		"a log line":                   {`panic: boom`, true},
		"a sum that is none":           {`{"subjects":3,"succeeded":1}`, true},
		"a negative count":             {`{"subjects":0,"succeeded":-1,"failed":1}`, true},
		"an absurd count":              {`{"subjects":9e15,"succeeded":9e15}`, true},
		"a reason that is a sentence":  {`{"subjects":1,"failed":1,"reasons":{"user anna@example.com had no data":1}}`, true},
		"a reason that is a number":    {`{"subjects":1,"failed":1,"reasons":{"72":1}}`, true},
		"a reason with a long tail":    {`{"subjects":1,"failed":1,"reasons":{"A` + strings.Repeat("a", 60) + `":1}}`, true},
		"more than a message may hold": {strings.Repeat(" ", 5000) + `{}`, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseReport(tt.message)
			if (err != nil) != tt.fails {
				t.Errorf("error %v, want one: %v", err, tt.fails)
			}
			if err != nil && strings.Contains(err.Error(), "anna") {
				t.Errorf("the error quotes the message: %v", err)
			}
		})
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add(`{"subjects":3,"succeeded":1,"skipped":1,"failed":1,"reasons":{"NoEpochs":1}}`)
	f.Fuzz(func(t *testing.T, message string) {
		r, err := ParseReport(message)
		if err != nil {
			return
		}
		if r.Subjects != r.Succeeded+r.Skipped+r.Failed || r.Subjects < 0 {
			t.Errorf("counts do not add up: %+v", r)
		}
		for reason := range r.Reasons {
			if !IsWord(reason) {
				t.Errorf("%q passed as a reason", reason)
			}
		}
	})
}

func TestAResultIsReadOrRefused(t *testing.T) {
	good := map[string]Result{
		`{"verified":true}`:                                           {Verified: true},
		`{"cases":5,"passed":5,"maxError":"1.2e-05"}`:                 {Tally: &Tally{Cases: 5, Passed: 5, MaxError: "1.2e-05"}},
		`{"reason":"DigestMismatch","message":"it is another","x":1}`: {Reason: "DigestMismatch", Message: "it is another"},
		`{"cases":5,"passed":0,"maxError":"nan"}`:                     {Tally: &Tally{Cases: 5, MaxError: "nan"}},
	}
	for message, want := range good {
		got, err := ParseResult(message)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", message, err, diff)
		}
	}
	for _, message := range []string{
		"", "secret", `{"verified":"yes"}`, `{"reason":"evil word"}`, `{"cases":-1}`, `{"cases":1,"passed":2}`, `{"maxError":"<script>"}`,
		`{"message":"a\u0000b"}`, `{"message":"` + strings.Repeat("x", MaxMessage) + `"}`, `{"cases":1e99}`,
	} {
		if got, err := ParseResult(message); err == nil {
			t.Errorf("%.40s is read as %+v", message, got)
		} else if len(message) > 3 && strings.Contains(err.Error(), message[1:]) {
			t.Errorf("the error quotes what the pod wrote: %v", err)
		}
	}
}

func FuzzParseResult(f *testing.F) {
	for _, seed := range []string{`{"verified":true}`, `{"cases":5,"passed":5,"maxError":"1e-5","reason":"Unreadable","message":"x"}`, "{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		r, err := ParseResult(message)
		if err != nil {
			return
		}
		n := r.Counts()
		if n.Passed > n.Cases || n.Passed < 0 || r.Reason != "" && !IsWord(string(r.Reason)) || len(r.Message) > 3*MaxMessage || len(n.MaxError) > 24 {
			t.Errorf("read %+v", r)
		}
	})
}

// What a worker writes is what stands in the documentation, byte for byte, and
// what the operator reads of it is what was said.
func TestWhatIsWrittenIsRead(t *testing.T) {
	results := map[string]Result{
		`{"verified":true}`: {Verified: true},
		`{"reason":"DigestMismatch","message":"it is another"}`:                                                      {Reason: DigestMismatch, Message: "it is another"},
		`{"cases":3,"passed":3,"maxError":"1.2e-05"}`:                                                                {Tally: &Tally{Cases: 3, Passed: 3, MaxError: "1.2e-05"}},
		`{"cases":0,"passed":0,"reason":"Unreadable","message":"no tolerance"}`:                                      {Tally: &Tally{}, Reason: Unreadable, Message: "no tolerance"},
		`{"cases":3,"passed":1,"maxError":"0.2","reason":"ValidationFailed","message":"2 of 3 cases \u003c golden"}`: {Tally: &Tally{3, 1, "0.2"}, Reason: ValidationFailed, Message: "2 of 3 cases < golden"},
	}
	for want, r := range results {
		raw, err := json.Marshal(r)
		if err != nil || string(raw) != want {
			t.Errorf("written as %s, want %s; %v", raw, want, err)
		}
		back, err := ParseResult(string(raw))
		if diff := cmp.Diff(r, back); err != nil || diff != "" {
			t.Errorf("%s: %v (-written +read):\n%s", raw, err, diff)
		}
	}
	r := Report{Subjects: 120, Succeeded: 100, Skipped: 15, Failed: 5, Reasons: map[string]int64{"NoData": 5}}
	raw, err := json.Marshal(r)
	if want := `{"subjects":120,"succeeded":100,"skipped":15,"failed":5,"reasons":{"NoData":5}}`; err != nil || string(raw) != want {
		t.Errorf("written as %s, want %s; %v", raw, want, err)
	}
	back, err := ParseReport(string(raw))
	if diff := cmp.Diff(r, back); err != nil || diff != "" {
		t.Errorf("%v (-written +read):\n%s", err, diff)
	}
}
