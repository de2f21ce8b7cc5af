// Package jsphone is a phone that nobody here wrote, for tests: Firebase's own SDK in
// JavaScript, as a process of Node (hack/emulators/phone).
package jsphone

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Phone does what it is told.
type Phone struct {
	to      io.Writer
	answers chan Said
	seen    chan Seen
}

// Said is what came of what the phone was told: a code of the SDK's where it was refused.
type Said struct{ Did, UID, Token, Code string }

// Seen is what a document that is watched holds now, nil for nothing, or why it may not be seen.
type Seen struct {
	Path string `json:"seen"`
	Data map[string]any
	Code string
}

// within is how long a phone may take for anything.
const within = 30 * time.Second

// Start starts a phone of the repository at the root: its project, where Firebase
// Authentication is, and where it is to watch documents HOST:PORT of Firestore and the
// database, too. The SDK is installed, or the test fails.
func Start(t *testing.T, root string, arguments ...string) *Phone {
	t.Helper()
	script, err := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "emulators", "phone", "phone"), "--built").Output() //nolint:gosec // our own
	if err != nil {
		t.Fatalf("Firebase's SDK is not installed: make emulators: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{strings.TrimSpace(string(script))}, arguments...)...) //nolint:gosec // the same
	cmd.Stderr = os.Stderr
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Phone{to: to, answers: make(chan Said, 1), seen: make(chan Seen, 1000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(from)
	}()
	t.Cleanup(func() {
		_ = to.Close()
		<-read
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("the phone ends with %v", err)
		}
	})
	return p
}

// read tells answers from what is seen, until the phone has ended.
func (p *Phone) read(from io.Reader) {
	defer close(p.answers)
	for lines := bufio.NewScanner(from); lines.Scan(); {
		var s Seen
		var answer Said
		if json.Unmarshal(lines.Bytes(), &s) == nil && s.Path != "" {
			p.seen <- s
		} else if json.Unmarshal(lines.Bytes(), &answer) == nil {
			p.answers <- answer
		}
	}
}

// Does has the phone do something: what hack/emulators/phone/phone.mjs lists.
func (p *Phone) Does(t *testing.T, deed string, with ...string) Said {
	t.Helper()
	order := map[string]string{"do": deed}
	for i := 0; i < len(with); i += 2 {
		order[with[i]] = with[i+1]
	}
	line, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.to.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	select {
	case s, alive := <-p.answers:
		if !alive || s.Did != deed {
			t.Fatalf("the phone was told to %s and says %+v", deed, s)
		}
		return s
	case <-time.After(within):
		t.Fatalf("the phone was told to %s and says nothing", deed)
		return Said{}
	}
}

// Sees waits until the phone sees what is wanted, among all that it sees.
func (p *Phone) Sees(t *testing.T, what string, wanted func(Seen) bool) Seen {
	t.Helper()
	var last Seen
	for late := time.After(2 * within); ; {
		select {
		case last = <-p.seen:
			if wanted(last) {
				return last
			}
		case <-late:
			t.Fatalf("the phone does not see %s, but last %+v", what, last)
		}
	}
}
