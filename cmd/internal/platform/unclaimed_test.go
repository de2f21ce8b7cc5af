package platform_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/queue"
)

// opened is what the log says when a platform with this queue is opened.
func opened(t *testing.T, q queue.Driver) (string, error) {
	t.Helper()
	with := drivers(&diary{}, nil)
	with.Queue["fake"] = func(context.Context, string, platform.Env) (queue.Driver, error) { return q, nil }
	var out strings.Builder
	e := env()
	e.Log = slog.New(slog.NewTextHandler(&out, nil))
	p, err := platform.Open(t.Context(), config("s"), with, []platform.Stage{stage(&diary{}, "s", capability.Queue, nil)}, e)
	if err == nil {
		err = p.Close()
	}
	return out.String(), err
}

func backlog(topic, consumer string, waiting, leased, dead int) queue.Backlog {
	return queue.Backlog{Topic: topic, Consumer: consumer, Depth: queue.Depth{Waiting: waiting, Leased: leased, Dead: dead}}
}

func TestWhatNobodyConsumesIsLoggedOnce(t *testing.T) {
	many := make([]queue.Backlog, 20)
	for i := range many {
		many[i] = backlog(fmt.Sprintf("t%02d", i), "c", 1, 0, 0)
	}
	tests := map[string]struct {
		unclaimed []queue.Backlog
		want      string // the end of the one line; "" for no line
	}{
		"nothing":             {nil, ""},
		"of two topics":       {[]queue.Backlog{backlog("a", "", 2, 1, 0), backlog("b", "x", 0, 0, 4)}, `messages=3 dead=4 topics="[a b]"`},
		"two consumers' of":   {[]queue.Backlog{backlog("a", "x", 2, 0, 1), backlog("a", "y", 2, 0, 1)}, `messages=4 dead=2 topics=[a]`},
		"of a long name":      {[]queue.Backlog{backlog(strings.Repeat("n", 65), "", 0, 0, 1)}, `messages=0 dead=1 topics=[` + strings.Repeat("n", 64) + `]`},
		"as many as are told": {many[:16], `messages=16 dead=0 topics="[t00 t01 t02 t03 t04 t05 t06 t07 t08 t09 t10 t11 t12 t13 t14 t15]"`},
		"one more":            {many[:17], `messages=17 dead=0 topics="[t00 t01 t02 t03 t04 t05 t06 t07 t08 t09 t10 t11 t12 t13 t14 t15 and 1 more]"`},
		"more than are told":  {many, `messages=20 dead=0 topics="[t00 t01 t02 t03 t04 t05 t06 t07 t08 t09 t10 t11 t12 t13 t14 t15 and 4 more]"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			log, err := opened(t, counted{unclaimed: tt.unclaimed})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && log != "" || tt.want != "" && !strings.HasSuffix(log, `level=WARN msg="messages that nobody consumes" `+tt.want+"\n") || strings.Count(log, "\n") > 1 {
				t.Errorf("the log is %q, want %s", log, tt.want)
			}
		})
	}
}

// What only tells ends nothing: the right to list may be another's.
func TestAQueueThatCannotSayWhatNobodyConsumes(t *testing.T) {
	log, err := opened(t, counted{lost: errors.New("no answer")})
	if err != nil || !strings.Contains(log, `level=WARN msg="the queue does not say which messages nobody consumes"`) || strings.Count(log, "\n") != 1 {
		t.Errorf("%v, and the log is %q", err, log)
	}
}
