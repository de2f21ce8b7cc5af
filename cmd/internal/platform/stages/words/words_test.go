package words_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/signals"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/words"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// trail is an audit log with a notary, which finds all well an hour after it began.
type trail struct {
	audit.Log
	pass func()
}

func (l trail) Notarize(_ context.Context, _ *slog.Logger, well func()) error {
	l.pass()
	well()
	return nil
}

// Where the audit log has a notary the stage runs it, and tells when all was well: at first
// since when it looks.
func TestWhenTheAuditLogWasVouchedForIsTold(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	clock := func() time.Time { return now }
	p := platform.Parts{Registry: prometheus.NewRegistry(), Env: platform.Env{Now: clock, Log: slog.New(slog.DiscardHandler)}}
	p.Store = store.New(storetest.Memory(clock), keyringtest.Memory(clock, time.Second).Process())
	p.Audit = signals.NewCalls().Audit(trail{pass: func() { now = now.Add(time.Hour) }}) // as the platform has it
	runners, err := words.Stages()[0].Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	told := func(want string) {
		t.Helper()
		text := "# HELP clarity_audit_vouched_timestamp_seconds When this process last found the heads of the audit log's chains as they were written, and signed; at first, when it began to look.\n" +
			"# TYPE clarity_audit_vouched_timestamp_seconds gauge\nclarity_audit_vouched_timestamp_seconds " + want + "\n"
		if err := testutil.GatherAndCompare(p.Registry, strings.NewReader(text), "clarity_audit_vouched_timestamp_seconds"); err != nil {
			t.Error(err)
		}
	}
	told("1e+06")
	for _, r := range runners {
		if r.Name == "notary" {
			if err := r.Run(t.Context()); err != nil {
				t.Error(err)
			}
			told("1.0036e+06")
			return
		}
	}
	t.Error("no notary runs")
}
