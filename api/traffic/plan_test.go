package traffic_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/traffic/traffictest"
)

func TestParsePlan(t *testing.T) {
	tests := map[string]struct {
		change func(*traffic.Plan)
		want   string // "" for no error
	}{
		"two versions": {func(*traffic.Plan) {}, ""},
		"no version":   {func(p *traffic.Plan) { p.Entries = nil }, ""},
		"a shadow": {func(p *traffic.Plan) {
			p.Shadow = &traffic.Shadow{Version: "v3", Percent: 5, Endpoint: "e", Digest: "d"}
		}, ""},
		"no model":                 {func(p *traffic.Plan) { p.Model = "" }, "the model has no name"},
		"weights that leave some":  {func(p *traffic.Plan) { p.Entries[0].Weight-- }, "sum to 99"},
		"a weight of nothing":      {func(p *traffic.Plan) { p.Entries[0].Weight, p.Entries[1].Weight = 0, 100 }, "weight 0"},
		"a weight of too much":     {func(p *traffic.Plan) { p.Entries[0].Weight = 101 }, "weight 101"},
		"weights that wrap around": {func(p *traffic.Plan) { p.Entries[0].Weight, p.Entries[1].Weight = 1<<31-1, 1<<31-1 }, "not 1 to 100"},
		"a version twice":          {func(p *traffic.Plan) { p.Entries[1].Version = "v2" }, "there twice"},
		"no endpoint":              {func(p *traffic.Plan) { p.Entries[1].Endpoint = "" }, "lacks its name, endpoint or digest"},
		"no digest":                {func(p *traffic.Plan) { p.Entries[1].Digest = "" }, "lacks its name, endpoint or digest"},
		"a shadow that serves": {func(p *traffic.Plan) {
			p.Shadow = &traffic.Shadow{Version: "v1", Percent: 5, Endpoint: "e", Digest: "d"}
		}, "in the shadow and serves"},
		"a shadow of nothing": {func(p *traffic.Plan) {
			p.Entries, p.Shadow = nil, &traffic.Shadow{Version: "v3", Percent: 5, Endpoint: "e", Digest: "d"}
		}, "nothing to be compared with"},
		"a shadow without percent": {func(p *traffic.Plan) { p.Shadow = &traffic.Shadow{Version: "v3", Endpoint: "e", Digest: "d"} }, "percent is 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := traffictest.Plan(3, 20)
			tt.change(&p)
			got, err := traffic.ParsePlan(traffictest.Text(t, p))
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with %q", err, tt.want)
				}
				return
			}
			if diff := cmp.Diff(p, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, broken := range []string{"", "null", "{", "[]", `{"model":"pat","entries":[{"weight":"all"}]}`} {
		if p, err := traffic.ParsePlan([]byte(broken)); err == nil {
			t.Errorf("%q was read as %+v", broken, p)
		}
	}
}

// picked is the entry that serves the subject; false where none does.
func picked(p traffic.Plan, subject string) (traffic.Entry, bool) {
	if i := p.Pick(subject); i >= 0 {
		return p.Entries[i], true
	}
	return traffic.Entry{}, false
}

func subject(i int) string { return fmt.Sprintf("subject-%d", i) }

// Nobody comes back to the old version while the new one rises, and the shares
// are the weights.
func TestThePickIsSticky(t *testing.T) {
	const n = 20_000
	moved := map[string]bool{}
	for _, weight := range []int32{0, 1, 5, 25, 50, 99, 100} {
		p, count := traffictest.Plan(int64(weight), weight), 0
		for i := range n {
			e, ok := picked(p, subject(i))
			if !ok {
				t.Fatal("no version")
			}
			if again, _ := picked(p, subject(i)); again != e {
				t.Fatal("two picks of one subject differ")
			}
			if e.Version == "v2" {
				moved[subject(i)] = true
				count++
			} else if moved[subject(i)] {
				t.Fatalf("%s came back to v1 at %d %%", subject(i), weight)
			}
		}
		// Four standard deviations of a binomial share are below 1.5 points.
		if share := 100 * float64(count) / n; share < float64(weight)-1.5 || share > float64(weight)+1.5 {
			t.Errorf("%d %% of the weight have %.2f %% of the subjects", weight, share)
		}
	}
}

func TestTheShadowsSubjectsAreNotTheCandidates(t *testing.T) {
	p := traffictest.Plan(1, 50)
	p.Shadow = &traffic.Shadow{Version: "v3", Percent: 50}
	both, n := 0, 10_000
	for i := range n {
		if e, _ := picked(p, subject(i)); e.Version == "v2" && p.Shadowed(subject(i)) {
			both++
		}
	}
	if share := 100 * both / n; share < 23 || share > 27 {
		t.Errorf("%d %% are served by v2 and shadowed, want 25 %%: the two draws are not independent", share)
	}
}

// Workers of two releases must agree on who is where: these buckets stay.
func TestBucketsStay(t *testing.T) {
	var got []string
	for i := range 12 {
		e, _ := picked(traffictest.Plan(1, 30), subject(i))
		got = append(got, e.Version)
	}
	want := []string{"v1", "v2", "v1", "v2", "v1", "v2", "v2", "v1", "v2", "v2", "v2", "v1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add([]byte(`{"model":"pat","revision":7,"salt":"s","entries":[{"version":"v2","weight":20,"endpoint":"a:1","digest":"d"},` +
		`{"version":"v1","weight":80,"endpoint":"b:1","digest":"e"}],"shadow":{"version":"v3","percent":5,"endpoint":"c:1","digest":"f"}}`))
	f.Add([]byte(`{"model":"pat","entries":null}`))
	f.Add([]byte(`{"model":"pat","entries":[{"version":"v","weight":2147483647,"endpoint":"a","digest":"d"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := traffic.ParsePlan(data)
		if err != nil {
			return
		}
		again, err := traffic.ParsePlan(traffictest.Text(t, p))
		if diff := cmp.Diff(p, again); err != nil || diff != "" && len(p.Entries) > 0 {
			t.Errorf("written and read again: %v (-first +second):\n%s", err, diff)
		}
		e, ok := picked(p, string(data))
		if ok != (len(p.Entries) > 0) || ok && p.Weight(e.Version) != e.Weight {
			t.Errorf("picked %+v, %v of %+v", e, ok, p.Entries)
		}
		if p.Shadowed(string(data)) && p.Shadow == nil {
			t.Error("a copy for a shadow that is not there")
		}
	})
}

func TestAPlanNamesItsVersionsWhateverTheirShare(t *testing.T) {
	p := traffictest.Plan(1, 30)
	p.Shadow = &traffic.Shadow{Version: "v3", Percent: 5, Endpoint: "v3:8001", Digest: "sha256:3"}
	tests := map[string]struct {
		entry traffic.Entry
		want  bool
	}{
		"one that serves":           {p.Entries[0], true},
		"with another share":        {traffic.Entry{Version: "v1", Weight: 1, Endpoint: "v1:8001", Digest: "sha256:1"}, true},
		"the shadow":                {p.Shadow.Entry(), true},
		"another version":           {traffic.Entry{Version: "v4", Endpoint: "v1:8001", Digest: "sha256:1"}, false},
		"the version elsewhere":     {traffic.Entry{Version: "v1", Endpoint: "v1:9", Digest: "sha256:1"}, false},
		"the version, other digest": {traffic.Entry{Version: "v3", Endpoint: "v3:8001", Digest: "sha256:9"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := p.Names(tt.entry); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	if diff := cmp.Diff(map[string]int32{"v2": 30, "v1": 70}, p.Weights()); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
}

func TestPlansThatSayTheSameAreEqual(t *testing.T) {
	shadowed := func(percent int32) traffic.Plan {
		p := traffictest.Plan(1, 30)
		p.Shadow = &traffic.Shadow{Version: "v3", Percent: percent, Endpoint: "v3:8001", Digest: "sha256:3"}
		return p
	}
	salted := traffictest.Plan(1, 30)
	salted.Salt = "other"
	other := traffictest.Plan(1, 30)
	other.Model = "other"
	tests := map[string]struct {
		a, b traffic.Plan
		want bool
	}{
		"the same":               {traffictest.Plan(1, 30), traffictest.Plan(1, 30), true},
		"the same, shadowed":     {shadowed(5), shadowed(5), true},
		"another share":          {traffictest.Plan(1, 30), traffictest.Plan(1, 31), false},
		"another revision":       {traffictest.Plan(1, 30), traffictest.Plan(2, 30), false},
		"another salt":           {traffictest.Plan(1, 30), salted, false},
		"another model":          {traffictest.Plan(1, 30), other, false},
		"a shadow and none":      {shadowed(5), traffictest.Plan(1, 30), false},
		"another shadow's share": {shadowed(5), shadowed(6), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.a.Equal(tt.b) != tt.want || tt.b.Equal(tt.a) != tt.want {
				t.Errorf("equal is %v one way and %v the other, want %v", tt.a.Equal(tt.b), tt.b.Equal(tt.a), tt.want)
			}
		})
	}
}

func TestFormerAreReadOutOfTheRolloutsState(t *testing.T) {
	got, err := traffic.ParseLastGood([]byte(`{"stable":{"version":"3","uid":"c"},"former":[{"version":"2","uid":"b"},{"version":"1","uid":"a"}],"newer":1}`))
	if diff := cmp.Diff(traffic.LastGood{Former: []traffic.Slot{{Version: "2", UID: "b"}, {Version: "1", UID: "a"}}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, broken := range []string{"", "[]", `{"former":[7]}`} {
		if got, err := traffic.ParseLastGood([]byte(broken)); err == nil {
			t.Errorf("%q was read as %v", broken, got)
		}
	}
}

// BenchmarkPick is the plan alone: which version is it?
func BenchmarkPick(b *testing.B) {
	p := traffictest.Plan(1, 30)
	b.ReportAllocs()
	for b.Loop() {
		if p.Pick("0f8fad5b-d9cb-469f-a165-70867728950e") < 0 {
			b.Fatal("no version")
		}
	}
}
