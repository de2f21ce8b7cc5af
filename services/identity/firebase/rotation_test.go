package firebase

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/identity"
)

// The rotation's times, in seconds of a clock that is set by hand. Google names a key
// hours before it signs with it; here it is little more than what a verifier leaves between two looks.
const (
	rotates   = 20
	announced = 6 // a key is in the answer before anything is signed with it
	kept      = 3 // keys are in an answer
	lasts     = 400
)

// A rotation is a server whose keys change, and which is away now and then.
type rotation struct {
	*httptest.Server
	second  atomic.Int64
	pool    []*rsa.PrivateKey
	answers sync.Map // number of the newest key to the answer
	asked   atomic.Int64
	written atomic.Int64 // bytes of answers that are none
}

// newest is the number of the key that was announced last.
func (r *rotation) newest() int { return int(r.second.Load()) / rotates }

// signs is the number of the key that is signed with: announced for long enough.
func (r *rotation) signs() int { return max(int(r.second.Load())-announced, 0) / rotates }

func (r *rotation) now() time.Time { return noon.Add(time.Duration(r.second.Load()) * time.Second) }

// key is the key of the number.
func (r *rotation) key(n int) *rsa.PrivateKey { return r.pool[n%len(r.pool)] }

// trouble is what the server does instead of an answer, for five seconds in forty.
func (r *rotation) trouble() string {
	second := int(r.second.Load())
	if second%40 < 35 {
		return ""
	}
	return []string{"away", "a gigabyte", "cut off"}[second/40%3]
}

func newRotation(t *testing.T) *rotation {
	t.Helper()
	r := &rotation{}
	for range kept + 2 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		r.pool = append(r.pool, key)
	}
	for newest := range lasts/rotates + 1 {
		certificates := map[string]string{keyID: certificateOf(t, signing, noon)} // the one of the forgeries
		for n := max(0, newest-kept+1); n <= newest; n++ {
			certificates[kid(n)] = certificateOf(t, r.key(n), noon)
		}
		answer, err := json.Marshal(certificates)
		if err != nil {
			t.Fatal(err)
		}
		r.answers.Store(newest, answer)
	}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func kid(n int) string { return fmt.Sprint("rotated-", n) }

func (r *rotation) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.asked.Add(1)
	w.Header().Set("Cache-Control", "public, max-age=30")
	answer, _ := r.answers.Load(r.newest())
	switch r.trouble() {
	case "away":
		w.WriteHeader(http.StatusServiceUnavailable)
	case "cut off":
		panic(http.ErrAbortHandler)
	case "a gigabyte":
		block := slices.Repeat([]byte(" "), 1<<20)
		for range 1 << 10 {
			n, err := w.Write(block)
			if r.written.Add(int64(n)); err != nil {
				return
			}
		}
	default:
		_, _ = w.Write(answer.([]byte))
	}
}

// While keys rotate, their server is away, answers a gigabyte or half, and forged tokens come
// at once from many sides, of which half name keys of nobody: no good token is refused,
// no forged one accepted, the server is asked seldom, and nothing grows.
func TestKeysThatRotateUnderLoad(t *testing.T) {
	g, r := newGoogle(t, noon), newRotation(t)
	g.has("clinic-1", "anna", user{})
	g.has("clinic-other", "anna", user{})
	v, err := Open(t.Context(), Config{Project: project, Tenants: []string{"", "clinic-1"}, Certificates: r.URL, Accounts: g.accounts.URL}, r.now, option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	w := &crowd{rotation: r, verifier: v, forged: g.issuer(v).Forgeries(t)}
	for name, token := range g.strange() {
		w.forged[name] = token
	}
	w.names = names(w.forged)
	i := g.issuer(v)
	for n := range lasts/rotates + 1 {
		i.Key = r.key(n)
		w.good = append(w.good, i.Token(map[string]any{"kid": kid(n)}, nil))
		w.crossed = append(w.crossed, i.Token(map[string]any{"kid": kid(n + 1)}, nil))
	}
	before := heap()
	for range lasts {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { w.ask(t) })
		}
		all.Wait() // nobody waits for keys any more: no fetch lasts for longer than a second
		r.second.Add(1)
	}
	t.Logf("%d good tokens accepted, %d put off while the server was away; %d forged refused; asked %d times in %d s", w.accepted.Load(), w.putOff.Load(), w.refused.Load(), r.asked.Load(), lasts)
	if most := int64(lasts/5 + lasts/8); w.accepted.Load() < lasts*8 || r.asked.Load() > most {
		t.Errorf("%d accepted; the server was asked %d times, %d is the most", w.accepted.Load(), r.asked.Load(), most)
	}
	if grown := heap() - before; grown > 8<<20 || r.written.Load() > 64<<20 {
		t.Errorf("%d bytes are held more than before; %d were taken of answers that are none", grown, r.written.Load())
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // less than there is
}

// A crowd asks for many at once.
type crowd struct {
	*rotation
	verifier      *Verifier
	good, crossed []string // by the number of the key that signed: crossed names the next
	forged        map[string]string
	names         []string

	turn, accepted, putOff, refused atomic.Int64
}

// ask is what one of the crowd does in a second.
func (w *crowd) ask(t *testing.T) {
	signs := w.signs()
	for _, n := range []int{signs, max(0, signs-1)} {
		_, err := w.verifier.Verify(context.Background(), w.good[n])
		switch {
		case err == nil:
			w.accepted.Add(1)
		case errors.Is(err, identity.ErrUnavailable) && w.troubled():
			w.putOff.Add(1)
		default:
			t.Errorf("second %d: a good token of key %d: %v", w.second.Load(), n, err)
		}
	}
	turn := w.turn.Add(1)
	tokens := map[string]string{"of a key that another signed for": w.crossed[signs]}
	if old := signs - kept - 2; old >= 0 { // withdrawn longer ago than an answer may be believed
		tokens["of a key that was withdrawn"] = w.good[old]
	}
	for i := range int64(4) {
		name := w.names[(turn*4+i)%int64(len(w.names))]
		tokens[name] = w.forged[name]
	}
	for i := range 6 {
		header := fmt.Sprintf(`{"alg":"RS256","kid":"nobody-%d-%d","typ":"JWT"}`, turn, i)
		_, rest, _ := strings.Cut(w.good[signs], ".")
		tokens[header] = base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
	}
	for name, token := range tokens {
		if s, err := w.verifier.Verify(context.Background(), token); err == nil || s.UID != "" {
			t.Errorf("second %d: %s is accepted", w.second.Load(), name)
		}
		w.refused.Add(1)
	}
}

// troubled says whether the server is in trouble, or was so short ago that it is not
// asked again yet.
func (w *crowd) troubled() bool {
	return w.trouble() != "" || w.second.Load()%40 < 8 && w.second.Load() >= 40
}
