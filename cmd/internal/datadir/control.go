package datadir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/operate"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/queue"
)

// controlName is the socket by which whoever may read the data directory asks the
// platform that runs on it about its dead letters. It is a socket in the directory
// and no port: the directory's own rights say who may. No reply holds a body, a key
// or a person.
const controlName = "control.sock"

// controlTimeout is how long one question may take.
const controlTimeout = 30 * time.Second

// replayLetter and dropLetter are what can be done to one.
const (
	replayLetter = "replay"
	dropLetter   = "drop"
)

// letters are what a list says.
type letters struct {
	Letters   []letter
	Unclaimed []queue.Backlog
}

// A letter is a dead letter without what it holds.
type letter struct {
	ID, Topic, Consumer, Reason string
	Attempt                     int
	Died                        time.Time
}

// control is what answers on the directory's socket while the platform runs; closing
// has the socket closed where it never does.
func control(ctx context.Context, dir string, q queue.Queue, g queue.Gauge, closing func(what string, c io.Closer)) (platform.Runner, error) {
	at := filepath.Join(dir, controlName)
	_ = os.Remove(at) // of a process that died: the directory is ours
	l, err := new(net.ListenConfig).Listen(ctx, "unix", at)
	if err != nil {
		return platform.Runner{}, fmt.Errorf("listen on %s: %w", at, err)
	}
	if err := os.Chmod(at, 0o600); err != nil {
		return platform.Runner{}, errors.Join(fmt.Errorf("listen on %s: %w", at, err), l.Close())
	}
	closing("the control socket", socket{l})
	server := &http.Server{Handler: controlled(q, g), ReadTimeout: controlTimeout, WriteTimeout: controlTimeout}
	return platform.Runner{Name: "control", Run: func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("answer on %s: %w", at, err)
		}
		return nil
	}}, nil
}

// A socket closes a listener that its server may have closed already.
type socket struct{ net.Listener }

// Close is the listener's.
func (s socket) Close() error {
	if err := s.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the control socket: %w", err)
	}
	return nil
}

func controlled(q queue.Queue, g queue.Gauge) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dead", func(w http.ResponseWriter, r *http.Request) {
		dead, unclaimed, err := operate.DeadLetters(r.Context(), q, g)
		if err != nil {
			refuse(w, err)
			return
		}
		said := letters{Unclaimed: unclaimed}
		for _, d := range dead {
			said.Letters = append(said.Letters, letter{d.ID, d.Topic, d.Consumer, d.Reason, d.Attempt, d.Died})
		}
		_ = json.NewEncoder(w).Encode(said) // whoever asked has gone
	})
	for verb, act := range map[string]func(context.Context, string) error{replayLetter: q.Replay, dropLetter: q.Drop} {
		mux.HandleFunc("POST /dead/{letter}/"+verb, func(w http.ResponseWriter, r *http.Request) {
			if err := act(r.Context(), r.PathValue("letter")); err != nil {
				refuse(w, err)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	return mux
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, queue.ErrNoLetter):
		status = http.StatusNotFound
	case errors.Is(err, queue.ErrNoSubscription):
		status = http.StatusConflict
	}
	http.Error(w, err.Error(), status)
}

// longestSocket is how long the path of a socket can be everywhere.
const longestSocket = 103

// ask puts one question to the platform that runs on the directory.
func ask(ctx context.Context, dir, method, path string, into any) error {
	if at := filepath.Join(dir, controlName); len(at) > longestSocket {
		return fmt.Errorf("it cannot be asked either, as %s is longer than the path of a socket can be (%d bytes): stop it first, or have its data directory at a shorter path", at, longestSocket)
	}
	client := http.Client{Timeout: controlTimeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, controlName))
	}}}
	request, err := http.NewRequestWithContext(ctx, method, "http://platform"+path, nil)
	if err != nil {
		return fmt.Errorf("ask the platform that runs: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the platform that runs: %w", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			return fmt.Errorf("read what the platform that runs says: %w", err)
		}
		return nil
	case http.StatusNoContent:
		return nil
	case http.StatusNotFound:
		return queue.ErrNoLetter
	case http.StatusConflict:
		return queue.ErrNoSubscription
	}
	return fmt.Errorf("the platform that runs answers %s", response.Status)
}
