package operate_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/operate"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
)

func tool(t *testing.T, words, stdin string) serving.Tool {
	t.Helper()
	all := operate.Tools("thing", strings.NewReader(stdin))
	i := slices.IndexFunc(all, func(tool serving.Tool) bool { return tool.Words == words })
	if i < 0 {
		t.Fatalf("there is no tool %q", words)
	}
	return all[i]
}

// pigeonholes have letters of one topic that is the code's, and of one that is nobody's.
type pigeonholes struct {
	queue.Driver
	settled []string
}

func (*pigeonholes) Unclaimed(context.Context) ([]queue.Backlog, error) {
	return []queue.Backlog{{Topic: "old", Consumer: "gone", Depth: queue.Depth{Dead: 1, Waiting: 3}}, {Topic: "older", Depth: queue.Depth{Waiting: 2}}}, nil
}

func (*pigeonholes) Dead(_ context.Context, topic, name, after string, _ int) ([]queue.DeadLetter, error) {
	if topic != "old" && topic != "uploads" || after != "" {
		return nil, nil
	}
	m := queue.Message{Topic: topic, Key: "anna", Body: []byte("61 beats")}
	return []queue.DeadLetter{{Delivery: queue.Delivery{Message: m, Attempt: 10}, ID: topic + ".x", Consumer: name, Reason: "poison", Died: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}}, nil
}

func (p *pigeonholes) Replay(_ context.Context, letter string) error {
	if letter != "uploads.x" {
		return queue.ErrNoLetter
	}
	p.settled = append(p.settled, "replay "+letter)
	return nil
}

func (p *pigeonholes) Drop(_ context.Context, letter string) error {
	p.settled = append(p.settled, "drop "+letter)
	return nil
}

// Letters are listed without what they hold, of whoever they are, and each is settled by its name.
func TestLettersAreListedAndSettled(t *testing.T) {
	p := &pigeonholes{}
	o := platform.Opened{Queue: p, Gauge: p}
	var out bytes.Buffer
	for _, line := range [][2]string{{"dead list"}, {"dead replay", "uploads.x"}, {"dead drop", "old.x"}} {
		if err := tool(t, line[0], "").Run(t.Context(), o, line[1], &out); err != nil {
			t.Fatal(err)
		}
	}
	want := `letter     topic    consumer  died                  attempts  reason
uploads.x  uploads  intake    2026-11-30T12:00:00Z  10        poison
old.x      old      gone      2026-11-30T12:00:00Z  10        poison
3 messages of the topic old (consumer gone) that nobody consumes
2 messages of the topic older (consumer -) that nobody consumes
dead letter uploads.x is a message again
dead letter old.x is removed
`
	if out.String() != want || !slices.Equal(p.settled, []string{"replay uploads.x", "drop old.x"}) {
		t.Errorf("%v\n%s", p.settled, &out)
	}
	if err := tool(t, "dead replay", "").Run(t.Context(), o, "uploads.y", &out); !errors.Is(err, queue.ErrNoLetter) {
		t.Errorf("another letter: %v", err)
	}
}

// names are pseudonyms of those who have one.
type names struct{ platform.Keys }

func (names) Pseudonym(_ context.Context, uid string) (string, error) {
	return "p-" + strings.ToUpper(uid), nil
}

// Each uid of standard input has its pseudonym, in a line of its own; what is none is told
// by its line, and never repeated.
func TestUIDsAreReadFromStandardInput(t *testing.T) {
	var out bytes.Buffer
	if err := tool(t, "subject", "anna\nclinic:ben\n").Run(t.Context(), platform.Opened{Keys: names{}}, "", &out); err != nil || out.String() != "p-ANNA\np-CLINIC:BEN\n" {
		t.Errorf("%q, %v", &out, err)
	}
	err := tool(t, "subject", "anna\nben jones\n").Run(t.Context(), platform.Opened{Keys: names{}}, "", &out)
	if err == nil || !strings.Contains(err.Error(), "line 2 is no uid") || strings.Contains(err.Error(), "jones") {
		t.Errorf("%v", err)
	}
}

// A ring is a rotator that wraps its keys in two parts, and fails where it is cut.
type ring struct {
	kek, data int
	older     bool
	cut       error
}

func (r *ring) RotateKEK(context.Context) error { r.kek++; return nil }

func (r *ring) Rewrap(_ context.Context, cursor string) (keyring.Progress, error) {
	if cursor == "" {
		return keyring.Progress{Cursor: "b", Done: 1, All: 2}, nil
	}
	return keyring.Progress{Done: 2, All: 2}, r.cut
}

func (r *ring) RotateData(context.Context) error { r.data++; return nil }

func (r *ring) Census(context.Context) (keyring.Census, error) {
	n := keyring.Census{KEKs: 1, Wrapped: 2, Data: r.data, People: 7, Behind: 7 * r.data, Destroyed: 3}
	if r.older {
		n.KEKs, n.Older = 2, 1
	}
	return n, nil
}

func TestKeysAreCountedAndRotated(t *testing.T) {
	for words, want := range map[string]string{
		"keys list":        "key   versions  of it\nkek   1         wraps 2 keys, 0 of them by an older version\ndata  1         of 7 people, 0 of whom get the newest when they write next; 3 were destroyed\n",
		"keys rotate data": "7 people get a new data key when they write next; `thing keys list` counts them\n",
		"keys rotate kek":  "1 of 2 keys are wrapped by the new one\n2 of 2 keys are wrapped by the new one\nthe key that wrapped them before is removed\n",
	} {
		var out bytes.Buffer
		if err := tool(t, words, "").Rotate(t.Context(), &ring{}, &out); err != nil || out.String() != want {
			t.Errorf("%s: %v\n%s", words, err, &out)
		}
	}
	var out bytes.Buffer
	err := tool(t, "keys rotate kek", "").Rotate(t.Context(), &ring{older: true, cut: errors.New("away")}, &out)
	if err == nil || !strings.Contains(err.Error(), "say it again to go on") || !strings.HasPrefix(out.String(), "a rotation that was cut goes on\n") {
		t.Errorf("%v\n%s", err, &out)
	}
}
