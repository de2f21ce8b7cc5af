package chain

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/clarity-loop/clarity/services/audit"
)

func TestRootIsTheTreeHashOfTlog(t *testing.T) {
	var h Head
	var stored hashes
	m := NewMACs([]byte("key"))
	for i := range int64(70) {
		var line bytes.Buffer
		if err := h.Add(m, &line, map[string]int64{"index": i}); err != nil {
			t.Fatal(err)
		}
		more, err := tlog.StoredHashes(i, line.Bytes()[:line.Len()-1], stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		want, err := tlog.TreeHash(i+1, stored)
		if err != nil || h.Root() != want {
			t.Fatalf("root of %d entries = %v, want %v (%v)", i+1, h.Root(), want, err)
		}
		if again, ok := ParseHead(h.Tree() + h.State() + "more\n"); !ok || !again.Is(h) {
			t.Fatalf("head of %d entries is read as one of %d, %v", i+1, again.Size, ok)
		}
	}
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		found[i] = h[at]
	}
	return found, nil
}

// A line follows behind one head alone: of its chain, at its place.
func TestALineHasOnePlace(t *testing.T) {
	m := NewMACs([]byte("key"))
	type entry struct {
		Index int64  `json:"index"`
		What  string `json:"what"`
	}
	first, other := m.Begin("first"), m.Begin("other")
	var line bytes.Buffer
	behind := first.Clone()
	if err := behind.Add(m, &line, entry{0, "x"}); err != nil {
		t.Fatal(err)
	}
	text := bytes.TrimSuffix(line.Bytes(), []byte("\n"))
	tests := map[string]struct {
		h    Head
		m    *MACs
		line []byte
		want bool
	}{
		"where it was added":    {first, m, text, true},
		"in another chain":      {other, m, text, false},
		"in a chain of no name": {Head{}, m, text, false},
		"once more":             {behind, m, text, false},
		"under another key":     {first, NewMACs([]byte("other")), text, false},
		"in capitals":           {first, m, bytes.ToUpper(text), false},
		"without its MAC":       {first, m, text[:5], false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if mac, got := tt.m.Follows(tt.h, tt.line); got != tt.want || got && mac != behind.MAC {
				t.Errorf("follows: %v, want %v", got, tt.want)
			}
		})
	}
}

// What is too long to be read back is not written.
func TestALineThatIsTooLong(t *testing.T) {
	m := NewMACs([]byte("key"))
	for length, want := range map[int]bool{MaxLine - 100: true, MaxLine: false} {
		var h Head
		var to bytes.Buffer
		if err := h.Add(m, &to, string(make([]byte, 0, 1))+string(bytes.Repeat([]byte("x"), length))); (err == nil) != want || (to.Len() > 0) != want || (h.Size == 1) != want {
			t.Errorf("%d bytes: %v, %d written", length, err, to.Len())
		}
	}
}

// The form never changes: logs of all releases are read. This line and this head were made by
// the first.
func TestTheForm(t *testing.T) {
	m := NewMACs([]byte("0123456789abcdef0123456789abcdef"))
	var h Head
	var to bytes.Buffer
	e := audit.Event{Action: audit.UploadAccepted, UID: "anna", ActorUID: "anna", Own: "upload", Outcome: "ok"}
	for i := range int64(3) {
		to.Reset()
		if err := h.Add(m, &to, m.Entry(e, i, time.Date(2026, 11, 20, 12, 0, int(i), 0, time.UTC))); err != nil {
			t.Fatal(err)
		}
	}
	const line = `{"index":2,"time":"2026-11-20T12:00:02Z","action":"upload.accepted","subject":"d469d94c42f3c8300a0f9e9fd0308a0b",` +
		`"actor":"d469d94c42f3c8300a0f9e9fd0308a0b","object":"e4e3b06bd8bced5891c4b79a0a840052","outcome":"ok"}` + "\tf21b2cfc5edbeb0e1ded0c7472594923\n"
	const head = `go.sum database tree
3
KYNk9XmY2GSxjcmnSWVusN7tgqkD0K5u4WnQ/hLawX4=
chain f21b2cfc5edbeb0e1ded0c7472594923
frontier K/bxw0tJQ7kcA3hHungFBrN1LfmDuVewlSP3gdjVyZc= RqvqA606I/4hSHQYFfbecvF74IgGGJ80us9uuL+29yo=
`
	if diff := cmp.Diff([]string{line, head}, []string{to.String(), h.Tree() + h.State()}); diff != "" {
		t.Errorf("line and head (-want +got):\n%s", diff)
	}
}
