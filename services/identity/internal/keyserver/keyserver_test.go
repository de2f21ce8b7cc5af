package keyserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// a server has keys, and answers as it is told to.
type server struct {
	*httptest.Server
	asked atomic.Int64

	mu     sync.Mutex
	keys   map[string]*rsa.PublicKey
	answer http.HandlerFunc // instead of the keys
	age    string
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{keys: map[string]*rsa.PublicKey{}, age: "public, max-age=3600, must-revalidate"}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		answer, age, body := s.answer, s.age, set(s.keys)
		s.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		w.Header().Set("Cache-Control", age)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) has(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = map[string]*rsa.PublicKey{}
	for _, id := range ids {
		s.keys[id] = &some.PublicKey
	}
}

func (s *server) answers(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = h
}

var some = func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}()

func jwk(id string, k *rsa.PublicKey) map[string]string {
	e := base64.RawURLEncoding.EncodeToString
	return map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": id, "n": e(k.N.Bytes()), "e": e(big.NewInt(int64(k.E)).Bytes())}
}

func set(keys map[string]*rsa.PublicKey) []byte {
	list := []map[string]string{}
	for id, k := range keys {
		list = append(list, jwk(id, k))
	}
	body, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		panic(err)
	}
	return body
}

// a clock is set by hand, by whoever.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.at.Load())) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

func open(t *testing.T, s *server) (*Keys, *clock) {
	t.Helper()
	c := &clock{}
	k, err := New(s.URL, JWKS, c.now)
	if err != nil {
		t.Fatal(err)
	}
	k.within = 200 * time.Millisecond
	return k, c
}

func wants(t *testing.T, k *Keys, id string, want error) {
	t.Helper()
	key, err := k.Key(t.Context(), id)
	if !errors.Is(err, want) || (key == nil) == (err == nil) {
		t.Errorf("%q: %v, %v; want %v", id, key != nil, err, want)
	}
}

func TestKeysAreBelievedForTheirMaxAgeAndNoLonger(t *testing.T) {
	s := serve(t)
	s.has("a")
	k, c := open(t, s)
	for range 100 {
		wants(t, k, "a", nil)
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
	s.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	c.pass(time.Hour - time.Second)
	wants(t, k, "a", nil)
	settle(k)
	c.pass(time.Second)
	for range 5 {
		wants(t, k, "a", ErrAway)
		c.pass(time.Minute)
	}
	s.answers(nil)
	c.pass(time.Minute)
	wants(t, k, "a", nil)
}

// settle waits for a fetch that nobody waits for.
func settle(k *Keys) {
	k.mu.Lock()
	under := k.under
	k.mu.Unlock()
	if under != nil {
		<-under.done
	}
}

// Where the server answers, nobody waits for a key that is about to be no more.
func TestKeysAreFetchedAheadOfTheirTime(t *testing.T) {
	s := serve(t)
	s.has("a")
	k, c := open(t, s)
	wants(t, k, "a", nil)
	for range 40 {
		c.pass(46 * time.Minute)
		wants(t, k, "a", nil) // within the hour, so that this one does not wait
		settle(k)
	}
	if n := s.asked.Load(); n != 41 {
		t.Errorf("asked %d times, want 41", n)
	}
}

// Tokens that name keys of nobody do not make us a flood.
func TestAKeyOfNobodyIsAskedForSeldom(t *testing.T) {
	s := serve(t)
	s.has("a")
	k, c := open(t, s)
	wants(t, k, "a", nil)
	for i := range 1000 {
		wants(t, k, fmt.Sprint("nobody-", i), ErrUnknown)
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
	s.has("a", "b")
	c.pass(pause)
	wants(t, k, "b", nil)
	wants(t, k, "nobody", ErrUnknown)
	if n := s.asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestAServerThatIsDownIsAskedSeldom(t *testing.T) {
	s := serve(t)
	s.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	k, c := open(t, s)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { wants(t, k, "a", ErrAway) })
	}
	all.Wait()
	for range 600 { // ten minutes
		wants(t, k, "a", ErrAway)
		c.pass(time.Second)
	}
	if n := s.asked.Load(); n < 20 || n > 30 {
		t.Errorf("asked %d times in ten minutes", n)
	}
	if k.Ready(t.Context()) == nil {
		t.Error("ready without keys")
	}
	s.answers(nil)
	s.has("a")
	c.pass(mostBackoff)
	wants(t, k, "a", nil)
	if err := k.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// An unknown name is no "no" where the server cannot be asked for it.
func TestAKeyThatCannotBeAskedForIsNotUnknown(t *testing.T) {
	s := serve(t)
	s.has("a")
	k, c := open(t, s)
	wants(t, k, "a", nil)
	s.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c.pass(time.Minute)
	wants(t, k, "b", ErrAway)
	wants(t, k, "b", ErrAway)
	wants(t, k, "a", nil)
}

func TestNoBadAnswerIsBelieved(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("the library makes no small keys")
	}
	good := string(set(map[string]*rsa.PublicKey{"a": &some.PublicKey}))
	many := map[string]*rsa.PublicKey{}
	for i := range maxKeys + 1 {
		many[fmt.Sprint(i)] = &some.PublicKey
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	tests := map[string]http.HandlerFunc{
		"nothing":            text(""),
		"no JSON":            text("<html>"),
		"no keys":            text(`{"keys":[]}`),
		"a key without name": text(string(set(map[string]*rsa.PublicKey{"": &some.PublicKey}))),
		"a small key":        text(string(set(map[string]*rsa.PublicKey{"a": &some.PublicKey, "b": &small.PublicKey}))),
		"a key of even e":    text(string(set(map[string]*rsa.PublicKey{"a": {N: some.N, E: 65536}}))),
		"too many keys":      text(string(set(many))),
		"a name twice":       text(`{"keys":[` + strings.Trim(strings.TrimPrefix(good, `{"keys":`), "[]}") + "}," + strings.Trim(strings.TrimPrefix(good, `{"keys":`), "[]}") + "}]}"),
		"no numbers":         text(`{"keys":[{"kty":"RSA","kid":"a","n":"!","e":"AQAB"}]}`),
		"too long":           text(strings.Repeat(" ", maxAnswer) + good),
		"bytes behind":       text(good + "x"),
		"another status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, good)
		},
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/else" {
				http.Redirect(w, r, "/else", http.StatusFound)
				return
			}
			_, _ = io.WriteString(w, good)
		},
		"a gigabyte": func(w http.ResponseWriter, r *http.Request) {
			block := bytes.Repeat([]byte(" "), 1<<20)
			for range 1 << 10 {
				if _, err := w.Write(block); err != nil || r.Context().Err() != nil {
					return
				}
			}
			_, _ = io.WriteString(w, good)
		},
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = io.WriteString(w, good)
		},
		"drop by drop": func(w http.ResponseWriter, r *http.Request) {
			for _, b := range []byte(good) {
				_, err := w.Write([]byte{b})
				_ = http.NewResponseController(w).Flush()
				if time.Sleep(10 * time.Millisecond); err != nil || r.Context().Err() != nil {
					return
				}
			}
		},
		"a connection that ends": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.answers(answer)
			k, c := open(t, s)
			began := time.Now()
			wants(t, k, "a", ErrAway)
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
			s.answers(nil)
			s.has("a")
			c.pass(time.Minute)
			wants(t, k, "a", nil)
			s.answers(answer) // and undoes nothing of what was said before
			c.pass(50 * time.Minute)
			wants(t, k, "a", nil)
			settle(k)
			wants(t, k, "a", nil)
		})
	}
}

// While keys change all the time, who asks for one gets that one or is told that it
// is not to be had: never another, and none that was withdrawn past its max-age.
func TestAServerThatRotatesUnderLoad(t *testing.T) {
	s := serve(t)
	s.age = "max-age=10"
	k, c := open(t, s)
	k.within = 5 * time.Second
	var newest atomic.Int64
	s.has("key-0")
	stop := make(chan struct{})
	var load sync.WaitGroup
	var got, stale atomic.Int64
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := newest.Load()
				_, err := k.Key(context.Background(), fmt.Sprint("key-", n))
				switch {
				case err == nil:
					got.Add(1)
				case !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrAway):
					t.Errorf("%v", err)
				}
				if _, err := k.Key(context.Background(), fmt.Sprint("key-", n-8)); err == nil { // withdrawn 24 s ago or more
					stale.Add(1)
				}
			}
		})
	}
	for n := int64(1); n <= 60; n++ {
		s.has(fmt.Sprint("key-", n), fmt.Sprint("key-", n-1))
		newest.Store(n)
		c.pass(3 * time.Second)
		time.Sleep(3 * time.Millisecond)
	}
	close(stop)
	load.Wait()
	if got.Load() == 0 || stale.Load() > 0 {
		t.Errorf("%d keys were got, %d of them withdrawn", got.Load(), stale.Load())
	}
	c.pass(pause)
	wants(t, k, "key-60", nil)
	if n := s.asked.Load(); n > 60 {
		t.Errorf("asked %d times in three minutes", n)
	}
}

func TestWhoGoesDoesNotWait(t *testing.T) {
	s := serve(t)
	release := make(chan struct{})
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(set(map[string]*rsa.PublicKey{"a": &some.PublicKey}))
	})
	k, _ := open(t, s)
	k.within = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := k.Key(ctx, "a")
		left <- err
	}()
	for s.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-left; !errors.Is(err, ErrAway) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(release) // the fetch went on for the others
	wants(t, k, "a", nil)
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}

func TestMaxAge(t *testing.T) {
	tests := map[string]struct {
		control, age string
		want         time.Duration
	}{
		"as Google says":    {"public, max-age=19302, must-revalidate, no-transform", "", 19302 * time.Second},
		"less its age":      {"max-age=100", "40", time.Minute},
		"past its age":      {"max-age=100", "140", -40 * time.Second},
		"none":              {"", "", 0},
		"not to be kept":    {"max-age=100, no-store", "", 0},
		"negative":          {"max-age=-1", "", 0},
		"no number":         {"max-age=soon", "", 0},
		"more than numbers": {"max-age=99999999999999999999", "", 0},
		"quoted":            {`Max-Age="60"`, "", time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set("Cache-Control", tt.control)
			h.Set("Age", tt.age)
			if got := maxAge(h); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestKeysComeByHTTPS(t *testing.T) {
	for from, want := range map[string]bool{
		"https://www.googleapis.com/x": true, "http://127.0.0.1:1/x": true, "http://localhost/x": true, "http://[::1]:1/": true,
		"http://www.googleapis.com/x": false, "http://127.0.0.1.example/x": false, "file:///x": false, "x": false, "": false,
	} {
		if _, err := New(from, JWKS, time.Now); (err == nil) != want {
			t.Errorf("%q: %v", from, err)
		}
	}
}

// certificate is one of the key, for a day around noon.
func certificate(t *testing.T, public, private any, from time.Time) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: from, NotAfter: from.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCertificates(t *testing.T) {
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := certificate(t, &some.PublicKey, some, noon.Add(-time.Hour))
	tests := map[string]struct {
		answer map[string]string
		want   int
	}{
		"two":                   {map[string]string{"a": good, "b": good}, 2},
		"one that is over":      {map[string]string{"a": good, "b": certificate(t, &some.PublicKey, some, noon.Add(-25*time.Hour))}, 1},
		"one that is to come":   {map[string]string{"a": good, "b": certificate(t, &some.PublicKey, some, noon.Add(time.Hour))}, 1},
		"all over":              {map[string]string{"b": certificate(t, &some.PublicKey, some, noon.Add(-25*time.Hour))}, 0},
		"of another kind":       {map[string]string{"a": good, "b": certificate(t, &elliptic.PublicKey, elliptic, noon)}, 0},
		"no PEM":                {map[string]string{"a": "x"}, 0},
		"no certificate":        {map[string]string{"a": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))}, 0},
		"a private key":         {map[string]string{"a": strings.ReplaceAll(good, "CERTIFICATE", "PRIVATE KEY")}, 0},
		"two behind each other": {map[string]string{"a": good + good}, 0},
		"none":                  {map[string]string{}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(tt.answer)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := Certificates(body, noon)
			if len(keys) != tt.want || (err == nil) != (tt.want > 0) {
				t.Errorf("%d keys, %v; want %d", len(keys), err, tt.want)
			}
		})
	}
}

func FuzzForms(f *testing.F) {
	f.Add(set(map[string]*rsa.PublicKey{"a": &some.PublicKey}))
	f.Add([]byte(`{"a":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, form := range []Form{Certificates, JWKS} {
			keys, err := form(answer, noon)
			if err == nil && (len(keys) == 0 || len(keys) > maxKeys) {
				t.Errorf("%d keys", len(keys))
			}
			for _, k := range keys {
				if k.N.BitLen() < leastBits {
					t.Errorf("a key of %d bits", k.N.BitLen())
				}
			}
		}
	})
}
