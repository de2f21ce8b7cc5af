package ingress

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health/upload"
)

// Whoever builds a server is told everything that is missing, at once.
func TestEverythingThatIsMissingIsTold(t *testing.T) {
	s, err := New(Needs{})
	if err == nil || s != nil {
		t.Fatalf("%v %v", s, err)
	}
	var want []string
	for _, need := range []string{"a Store", "Blobs", "a Queue", "Keys", "a Verifier", "an Audit log", "a Writer", "a Template", "Series", "a Registry", "a Logger", "a clock (Now)"} {
		want = append(want, "ingress needs "+need)
	}
	for _, limit := range []string{"BodyBytes", "BodyRate", "BodyWindow", "Connections", "PerAddress", "FirstByte", "Unacked", "ReadTimeout", "WriteTimeout", "IdleTimeout", "HandlerTimeout", "StreamsPerUser", "DownloadsPerUser", "StreamLifetime", "Heartbeat", "InsightsPerDay", "PersonTTL"} {
		want = append(want, "ingress limit "+limit+" must be positive, is 0")
	}
	want = append(want, "ingress limit Heartbeat (0s) must be shorter than WriteTimeout (0s)")
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestLimitsThatAreNone(t *testing.T) {
	tests := map[string]struct {
		change func(*Limits)
		want   string
	}{
		"the defaults":                 {func(*Limits) {}, ""},
		"no rates: they limit nothing": {func(l *Limits) { l.UserRate, l.AddressRate = Rate{}, Rate{} }, ""},
		"the least of each": {func(l *Limits) {
			l.BodyBytes, l.Connections, l.StreamsPerUser, l.InsightsPerDay, l.PersonTTL = 1, 1, 1, 1, 1
		}, ""},
		"a negative one":                       {func(l *Limits) { l.PersonTTL = -1 }, "ingress limit PersonTTL must be positive, is -1"},
		"none":                                 {func(l *Limits) { l.StreamsPerUser = 0 }, "ingress limit StreamsPerUser must be positive, is 0"},
		"a sign of life just in time":          {func(l *Limits) { l.Heartbeat, l.WriteTimeout = time.Second-1, time.Second }, ""},
		"a sign of life when it is too late":   {func(l *Limits) { l.Heartbeat, l.WriteTimeout = time.Second, time.Second }, "ingress limit Heartbeat (1s) must be shorter than WriteTimeout (1s)"},
		"a sign of life later than it is over": {func(l *Limits) { l.Heartbeat, l.WriteTimeout = 2*time.Second, time.Second }, "ingress limit Heartbeat (2s) must be shorter than WriteTimeout (1s)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l, got := DefaultLimits(), ""
			tt.change(&l)
			if err := l.validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// The limits that clients are told of, and those that operators count on.
func TestTheDefaultLimits(t *testing.T) {
	want := Limits{
		BodyBytes: upload.MaxBodyBytes, RecordBytes: 256 << 10, BodyRate: 4096, BodyWindow: 15 * time.Second,
		Connections: 4096, PerAddress: 512, FirstByte: 5 * time.Second, Unacked: 30 * time.Second,
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 75 * time.Second, HandlerTimeout: 15 * time.Second,
		UserRate: Rate{PerSecond: 20, Burst: 200}, AddressRate: Rate{PerSecond: 200, Burst: 1000},
		StreamsPerUser: 8, DownloadsPerUser: 2, StreamLifetime: 15 * time.Minute, Heartbeat: 15 * time.Second, InsightsPerDay: 20, PersonTTL: 3 * time.Second,
	}
	if diff := cmp.Diff(want, DefaultLimits()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

// What fiber is told of the limits.
func TestTheServersOwnLimits(t *testing.T) {
	l := DefaultLimits()
	c := (&Server{Needs: Needs{Limits: l}}).config(nil)
	if c.BodyLimit != l.BodyBytes || c.Concurrency != 4096+closing || c.ReadTimeout != l.ReadTimeout || c.WriteTimeout != l.WriteTimeout || c.IdleTimeout != l.IdleTimeout {
		t.Errorf("%+v", c)
	}
	if !c.Immutable || !c.CaseSensitive || !c.StrictRouting || !c.DisableStartupMessage || !c.DisablePreParseMultipartForm || !c.StreamRequestBody {
		t.Errorf("%+v", c)
	}
}
