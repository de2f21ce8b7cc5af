// Package keyserver has the public keys that somebody else's tokens are signed with,
// fetched from a URL and believed as long as the answer says they may be.
//
// A key is never believed past the max-age of the answer that it stood in, whatever
// becomes of the server. So that nobody waits where it answers, keys are fetched
// again when three quarters of that have passed. A key that is asked for and is not
// among those held has them fetched again, at most every five seconds: tokens that
// name keys of nobody cost the server no more. After a fetch that failed there is
// none for a second, and for up to half a minute after more.
//
// An answer is read up to a mebibyte and for five seconds, redirects are not
// followed, and one in which anything is not as it should be is none at all.
package keyserver

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What Key returns where it has none.
var (
	ErrUnknown = errors.New("no key of that name")
	ErrAway    = errors.New("keys cannot be fetched")
)

// The bounds.
const (
	maxAnswer    = 1 << 20
	fetchTimeout = 5 * time.Second
	leastAge     = 10 * time.Second // where the answer allows less
	mostAge      = 24 * time.Hour   // where it allows more
	pause        = 5 * time.Second  // between two fetches for a key that is not held
	mostBackoff  = 30 * time.Second
)

// A Form reads the keys out of an answer, by their names.
type Form func(answer []byte, now time.Time) (map[string]*rsa.PublicKey, error)

// Keys are those of one server.
type Keys struct {
	url    string
	form   Form
	client *http.Client
	now    func() time.Time
	within time.Duration // a fetch ends

	mu     sync.Mutex
	held   held
	under  *fetch // under way
	failed int    // fetches in a row
	next   time.Time
}

// held is what an answer has said.
type held struct {
	keys         map[string]*rsa.PublicKey
	early, until time.Time
}

// A fetch is one that somebody may wait for.
type fetch struct {
	done chan struct{}
	err  error
}

// New has the keys behind the URL, which is one of https, or of this machine. It
// fetches nothing yet.
func New(from string, form Form, now func() time.Time) (*Keys, error) {
	if !secure(from) {
		return nil, errors.New("keys are fetched by https")
	}
	client := &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConns: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Keys{url: from, form: form, client: client, now: now, within: fetchTimeout}, nil
}

// secure says whether nobody between us and the server can answer in its place.
func secure(from string) bool {
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// Key is the key of the name, ErrUnknown where the server has none, or ErrAway where
// it cannot be asked.
func (k *Keys) Key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	key, under, err := k.look(id, false)
	if under == nil {
		return key, err
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrAway, ctx.Err())
	case <-under.done:
	}
	if under.err != nil {
		return nil, under.err
	}
	key, _, err = k.look(id, true)
	return key, err
}

// Ready says why there are no keys now.
func (k *Keys) Ready(ctx context.Context) error {
	if _, err := k.Key(ctx, ""); !errors.Is(err, ErrUnknown) {
		return err
	}
	return nil
}

// look is what is held, or a fetch to wait for; fetched says that one was waited for.
func (k *Keys) look(id string, fetched bool) (*rsa.PublicKey, *fetch, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	key, valid := k.held.keys[id], now.Before(k.held.until)
	switch {
	case valid && (key != nil || id == ""):
		if !now.Before(k.held.early) && !now.Before(k.next) {
			k.begin(now) // ahead of its time: nobody waits for it
		}
		if key == nil {
			return nil, nil, ErrUnknown
		}
		return key, nil, nil
	case valid && fetched, valid && now.Before(k.next) && k.failed == 0:
		return nil, nil, ErrUnknown
	case fetched, now.Before(k.next) && k.under == nil:
		return nil, nil, ErrAway
	}
	return nil, k.begin(now), nil
}

// begin has the keys fetched, unless they are being fetched.
func (k *Keys) begin(now time.Time) *fetch {
	if k.under != nil {
		return k.under
	}
	f := &fetch{done: make(chan struct{})}
	k.under = f
	go func() {
		got, err := k.fetch(now)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.under, f.err = nil, err
		if err == nil {
			k.held, k.failed, k.next = got, 0, now.Add(pause)
		} else {
			k.next = k.now().Add(min(time.Second<<min(k.failed, 10), mostBackoff))
			k.failed++
		}
		close(f.done)
	}()
	return f
}

// fetch asks the server. What it answers is believed from when it was asked.
func (k *Keys) fetch(asked time.Time) (h held, err error) {
	// It is for all who wait, and ends with nobody's request.
	ctx, cancel := context.WithTimeout(context.Background(), k.within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return h, fmt.Errorf("%w: no URL", ErrAway)
	}
	res, err := k.client.Do(req)
	if err != nil {
		return h, fmt.Errorf("%w: no answer", ErrAway) // the cause holds the URL
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return h, fmt.Errorf("%w: status %d", ErrAway, res.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return h, fmt.Errorf("%w: an answer that was cut off", ErrAway)
	}
	if len(answer) > maxAnswer {
		return h, fmt.Errorf("%w: an answer of more than %d bytes", ErrAway, maxAnswer)
	}
	keys, err := k.form(answer, asked)
	if err != nil {
		return h, fmt.Errorf("%w: %w", ErrAway, err)
	}
	age := min(max(maxAge(res.Header), leastAge), mostAge)
	return held{keys: keys, early: asked.Add(age * 3 / 4), until: asked.Add(age)}, nil
}

// maxAge is how long the answer may be believed, less what it has spent in caches.
func maxAge(h http.Header) (age time.Duration) {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			age = seconds(value)
		}
	}
	return age - seconds(h.Get("Age"))
}

// seconds are never so many that they cannot be counted.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(strings.Trim(text, ` "`), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
