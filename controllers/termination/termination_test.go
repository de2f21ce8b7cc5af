package termination

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/v1alpha1"
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
			if !IsReason(reason) {
				t.Errorf("%q passed as a reason", reason)
			}
		}
	})
}

func TestAResultIsReadOrRefused(t *testing.T) {
	good := map[string]Result{
		`{"verified":true}`:                                           {Verified: true},
		`{"cases":5,"passed":5,"maxError":"1.2e-05"}`:                 {ValidationStatus: v1alpha1.ValidationStatus{Cases: 5, Passed: 5, MaxError: "1.2e-05"}},
		`{"reason":"DigestMismatch","message":"it is another","x":1}`: {Reason: "DigestMismatch", Message: "it is another"},
		`{"cases":5,"passed":0,"maxError":"nan"}`:                     {ValidationStatus: v1alpha1.ValidationStatus{Cases: 5, MaxError: "nan"}},
	}
	for message, want := range good {
		got, err := ParseResult(message)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", message, err, diff)
		}
	}
	for _, message := range []string{
		"", "secret", `{"verified":"yes"}`, `{"reason":"evil word"}`, `{"cases":-1}`, `{"cases":1,"passed":2}`, `{"maxError":"<script>"}`,
		`{"message":"a\u0000b"}`, `{"message":"` + strings.Repeat("x", maxMessage) + `"}`, `{"cases":1e99}`,
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
		if r.Passed > r.Cases || r.Passed < 0 || r.Reason != "" && !IsReason(r.Reason) || len(r.Message) > 3*maxMessage || len(r.MaxError) > 24 {
			t.Errorf("read %+v", r)
		}
	})
}
