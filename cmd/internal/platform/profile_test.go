package platform_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
)

func TestTheProfilesAreServedUntilToldToStop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	r := platform.Profiles(l)
	go func() { ran <- r.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tests := map[string]struct {
		path   string
		status int
		want   string
	}{
		"the list":              {"/debug/pprof/", 200, "goroutine"},
		"one by its name":       {"/debug/pprof/heap?debug=1", 200, "heap profile"},
		"the processor's":       {"/debug/pprof/profile?seconds=1", 200, ""},
		"nothing of the others": {"/debug/vars", 404, ""},
	}
	for name, tt := range tests {
		res, err := client.Get("http://" + l.Addr().String() + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != tt.status || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s: %d %.100s, %v", name, res.StatusCode, text, err)
		}
	}
	stop()
	if err := <-ran; err != nil || r.Name != "pprof" {
		t.Errorf("%s ends with %v", r.Name, err)
	}
}

// lame is a listener that nobody can come to, or that cannot be closed.
type lame struct {
	net.Listener
	accept, close error
}

func (l lame) Accept() (net.Conn, error) { return nil, l.accept }
func (l lame) Close() error              { return l.close }

func TestProfilesThatCannotBeServedAreTold(t *testing.T) {
	gone := errors.New("the network is gone")
	if err := platform.Profiles(lame{accept: gone}).Run(t.Context()); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}

func TestAListenerIsClosedOnce(t *testing.T) {
	stuck := errors.New("stuck")
	tests := map[string]struct{ err, want error }{
		"it closes":              {nil, nil},
		"its server was quicker": {net.ErrClosed, nil},
		"it does not let it go":  {stuck, stuck},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := platform.Listening(lame{close: tt.err}).Close(); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}
