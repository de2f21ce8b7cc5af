package buildinfo

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestABuildIsNamed(t *testing.T) {
	revision := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: modified}}
	}
	tests := map[string]struct {
		linked string
		info   debug.BuildInfo
		want   Build
		line   string
	}{
		"a release":              {"1.4.0", debug.BuildInfo{GoVersion: "go1.26", Settings: revision("false")}, Build{"1.4.0", "0123456789ab", "go1.26"}, "worker 1.4.0 (commit 0123456789ab, go1.26)"},
		"a tree with changes":    {"", debug.BuildInfo{GoVersion: "go1.26", Settings: revision("true")}, Build{"(devel)", "0123456789ab+changes", "go1.26"}, "worker (devel) (commit 0123456789ab+changes, go1.26)"},
		"installed as a module":  {"", debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v1.4.0"}}, Build{"v1.4.0", "unknown", "go1.26"}, "worker v1.4.0 (commit unknown, go1.26)"},
		"built out of no module": {"", debug.BuildInfo{GoVersion: "go1.26"}, Build{"(devel)", "unknown", "go1.26"}, "worker (devel) (commit unknown, go1.26)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := of(tt.linked, &tt.info)
			if diff := cmp.Diff(tt.want, got); diff != "" || got.Line("worker") != tt.line {
				t.Errorf("%q (-want +got):\n%s", got.Line("worker"), diff)
			}
		})
	}
	if got := Of("1.4.0"); got.Version != "1.4.0" || got.Go != runtime.Version() {
		t.Errorf("this program: %+v", got)
	}
}
