package analysisjob

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

func TestConfigTellsEveryFault(t *testing.T) {
	if err := testConfig("clarity").Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	bad := Config{
		Namespace: "Not A Name", Image: "worker:latest", ConfigMap: "-",
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
		},
		GracePeriod: metav1.Duration{Duration: -time.Second}, StatusInterval: metav1.Duration{Duration: 2 * time.Hour},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("a configuration of faults is accepted")
	}
	for _, want := range []string{"namespace \"Not A Name\"", "image", "serviceAccount is required", "configMap", "resources.requests.cpu",
		"resources.requests.memory 2Gi is above", "gracePeriod", "statusInterval"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told in: %v", want, err)
		}
	}
	if _, err := New(bad, Needs{}); err == nil {
		t.Error("New takes a bad configuration")
	}
}

func TestTheWindowIsResolvedFromTheObjectAlone(t *testing.T) {
	tests := map[string]struct {
		window  v1alpha1.AnalysisWindow
		created string
		want    v1alpha1.ResolvedWindow
	}{
		"two days":                     {v1alpha1.AnalysisWindow{Start: "2026-01-02", End: "2026-01-03"}, "2026-06-01T00:00:00Z", v1alpha1.ResolvedWindow{Start: "2026-01-02", End: "2026-01-03"}},
		"yesterday":                    {v1alpha1.AnalysisWindow{LastDays: new(int32(1))}, "2026-03-01T23:59:59Z", v1alpha1.ResolvedWindow{Start: "2026-02-28", End: "2026-02-28"}},
		"a week over a leap day":       {v1alpha1.AnalysisWindow{LastDays: new(int32(7))}, "2028-03-02T00:00:00Z", v1alpha1.ResolvedWindow{Start: "2028-02-24", End: "2028-03-01"}},
		"the day is UTC's, not ours":   {v1alpha1.AnalysisWindow{LastDays: new(int32(1))}, "2026-11-24T01:00:00+14:00", v1alpha1.ResolvedWindow{Start: "2026-11-22", End: "2026-11-22"}},
		"as many days as there may be": {v1alpha1.AnalysisWindow{LastDays: new(int32(3650))}, "2026-01-01T00:00:00Z", v1alpha1.ResolvedWindow{Start: "2016-01-04", End: "2025-12-31"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			created, err := time.Parse(time.RFC3339, tt.created)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, resolveWindow(tt.window, created)); diff != "" {
				t.Errorf("window (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJobNamesFitAndDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a", "backfill.november", strings.Repeat("x", 253), strings.Repeat("x", 39) + "-y", strings.Repeat("a.", 100) + "b"} {
		for _, uid := range []types.UID{"1", "2"} {
			job := &v1alpha1.AnalysisJob{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid}}
			got := jobName(job)
			if faults := validation.IsDNS1123Label(got + "-9999"); faults != nil {
				t.Errorf("%q: a shard's host name is not one: %v", got, faults)
			}
			if other, taken := seen[got]; taken {
				t.Errorf("%q is the Job of %q and of %q", got, other, name)
			}
			seen[got] = name
		}
	}
}

func TestParseIndexes(t *testing.T) {
	tests := map[string]struct {
		notation string
		want     []int
		fails    bool
	}{
		"none":              {"", nil, false},
		"one":               {"3", []int{3}, false},
		"a range and one":   {"0-2,5", []int{0, 1, 2, 5}, false},
		"beyond the shards": {"9-10", nil, true},
		"backwards":         {"5-3", nil, true},
		"no number":         {"a", nil, true},
		"no end":            {"1-", nil, true},
		"negative":          {"-1", nil, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseIndexes(tt.notation, 10)
			if (err != nil) != tt.fails {
				t.Errorf("error %v, want one: %v", err, tt.fails)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("indexes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheSummaryIsBoundedAndAddsUp(t *testing.T) {
	reasons := map[string]int64{}
	var total int64
	for i := range 30 {
		n := int64(i + 1)
		reasons["Reason"+string(rune('A'+i%26))+strings.Repeat("x", i/26)] = n
		total += n
	}
	got := summary(reasons)
	if len(got) != 10 || got[9].Reason != otherReasons || got[0].Count != 30 {
		t.Errorf("summary %+v, want ten, the commonest first, the rest last", got)
	}
	for range 3 { // a pass reads back what the one before wrote
		again := map[string]int64{}
		var sum int64
		for _, f := range got {
			again[f.Reason] = f.Count
			sum += f.Count
		}
		if sum != total {
			t.Errorf("counts add up to %d, want %d", sum, total)
		}
		if diff := cmp.Diff(got, summary(again)); diff != "" {
			t.Errorf("read back (-first +again):\n%s", diff)
		}
	}
	if got := summary(nil); got != nil {
		t.Errorf("no reasons: %+v", got)
	}
}

func TestBitmap(t *testing.T) {
	var b bitmap
	for _, i := range []int{0, 7, 8, 9999} {
		b = b.with(i)
	}
	for i := range 10000 {
		if want := i == 0 || i == 7 || i == 8 || i == 9999; b.has(i) != want {
			t.Errorf("bit %d is %v", i, b.has(i))
		}
	}
	if len(b) != 1250 || b.has(10000) {
		t.Errorf("%d bytes, want 1250", len(b))
	}
}

func TestChooseVersion(t *testing.T) {
	v := func(version string, stage v1alpha1.Stage, validated bool) v1alpha1.ModelVersion {
		w := MakeVersion("pat-s", version).Stage(stage)
		if validated {
			w.Validated()
		}
		return *w.Obj()
	}
	going := v("1", v1alpha1.StageActive, true)
	going.DeletionTimestamp = new(metav1.Now())
	tests := map[string]struct {
		versions []v1alpha1.ModelVersion
		version  string
		want     string
		reason   string
		final    bool
	}{
		"no such model":                       {nil, "", "", v1alpha1.ReasonModelNotFound, false},
		"the active one of three":             {[]v1alpha1.ModelVersion{v("1", v1alpha1.StageStandby, true), v("2", v1alpha1.StageActive, true), v("3", v1alpha1.StageCanary, true)}, "", "2", "", false},
		"none is active":                      {[]v1alpha1.ModelVersion{v("1", v1alpha1.StageCanary, true)}, "", "", v1alpha1.ReasonModelNotActive, false},
		"the active one is being deleted":     {[]v1alpha1.ModelVersion{going}, "", "", v1alpha1.ReasonModelNotFound, false},
		"a named one on standby":              {[]v1alpha1.ModelVersion{v("1", v1alpha1.StageStandby, true), v("2", v1alpha1.StageActive, true)}, "1", "1", "", false},
		"a named one that is not there":       {[]v1alpha1.ModelVersion{v("1", v1alpha1.StageActive, true)}, "9", "", v1alpha1.ReasonModelNotFound, false},
		"a named one that is not validated":   {[]v1alpha1.ModelVersion{v("1", v1alpha1.StageStarting, false)}, "1", "", v1alpha1.ReasonModelNotActive, false},
		"a named one that failed validation":  {[]v1alpha1.ModelVersion{v("1", v1alpha1.StageRejected, false)}, "1", "", v1alpha1.ReasonModelNotActive, true},
		"a named one that was rolled back":    {[]v1alpha1.ModelVersion{v("1", v1alpha1.StageRolledBack, true)}, "1", "", v1alpha1.ReasonModelNotActive, true},
		"a named one of another model's name": {[]v1alpha1.ModelVersion{*MakeVersion("pat-l", "1").Stage(v1alpha1.StageActive).Obj()}, "1", "", v1alpha1.ReasonModelNotFound, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, why, final := chooseVersion(tt.versions, &v1alpha1.ModelReference{Name: "pat-s", Version: tt.version})
			var version, reason string
			if got != nil {
				version = got.Spec.Version
			}
			if why != nil {
				reason = why.Reason
			}
			if version != tt.want || reason != tt.reason || final != tt.final {
				t.Errorf("version %q, reason %q, final %v; want %q, %q, %v", version, reason, final, tt.want, tt.reason, tt.final)
			}
		})
	}
}

func TestPaceIsOfWhatEnded(t *testing.T) {
	tests := map[string]struct {
		shards, wide, ended int32
		seconds, done       int64
		rate, eta           string
	}{
		"nothing ended":                      {10, 2, 0, 0, 0, "", ""},
		"half, two at a time, a minute each": {10, 2, 5, 300, 600, "4.0/s", "3m"},
		"the last one":                       {10, 10, 9, 540, 900, "1.7/s", "1m"},
		"slow":                               {100, 1, 1, 36000, 10, "1/h", "41d6h"},
		"all ended":                          {10, 2, 10, 600, 100, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPass(MakeJob("p").Shards(tt.shards).Parallelism(tt.wide).Obj(), time.Now())
			p.job.Status.Shards = v1alpha1.ShardCounts{Total: tt.shards, Succeeded: tt.ended, Seconds: tt.seconds}
			p.job.Status.Subjects.Done = tt.done
			if rate, eta := p.pace(); rate != tt.rate || eta != tt.eta {
				t.Errorf("rate %q, eta %q; want %q, %q", rate, eta, tt.rate, tt.eta)
			}
		})
	}
}

func TestShortNamesTheLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1s", 45 * time.Second: "45s", 4*time.Minute + time.Second: "4m", 130 * time.Minute: "2h10m", 75 * time.Hour: "3d3h",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// The status fits where it must: the largest there can be is at most 8 kB.
func TestTheLargestStatusIsBounded(t *testing.T) {
	long := strings.Repeat("m", 512)
	s := v1alpha1.AnalysisJobStatus{Message: long, Shards: v1alpha1.ShardCounts{Counted: make([]byte, 1250)}}
	for range 9 {
		s.Conditions = append(s.Conditions, metav1.Condition{Type: "ModelResolved", Reason: "TooManyFailedShards", LastTransitionTime: metav1.Now()})
	}
	s.Conditions[0].Message, s.Conditions[1].Message = long, long
	for range maxSummary {
		s.FailureSummary = append(s.FailureSummary, v1alpha1.FailureCount{Reason: strings.Repeat("R", 64), Count: 1 << 40})
	}
	if size := len(testenv.JSON(s)); size > 8192 {
		t.Errorf("%d bytes, want at most 8192", size)
	}
}

// Shards ask a model's servers where they may and where there are some.
func TestShardsAskTheModelsServersWhereThereAreSome(t *testing.T) {
	tests := map[string]struct {
		modelServer bool
		endpoint    string
		want        bool
	}{
		"they may, and the version is served": {true, "pat-s-1.clarity.svc:8001", true},
		"they may, but no server runs":        {true, "", false},
		"they may not":                        {false, "pat-s-1.clarity.svc:8001", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := &Reconciler{config: Config{ModelServer: tt.modelServer}}
			p := newPass(withWindow(MakeJob("x").Model("pat-s", "").Obj()), time.Now())
			p.model = MakeVersion("pat-s", "1").Endpoint(tt.endpoint).Obj()
			asked := slices.Contains(r.shardArgs(p), "--model-endpoint="+tt.endpoint)
			if asked != tt.want {
				t.Errorf("asks the servers: %v, want %v; %q", asked, tt.want, r.shardArgs(p))
			}
		})
	}
}
