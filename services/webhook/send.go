package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/record/hook"
)

// answerTime is how long a server has for a request.
const answerTime = 15 * time.Second

// A message is the body of a request.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

// data is the event: what to fetch, never what it holds.
type data struct {
	UserID  string `json:"userId"` // within the tenant
	ID      string `json:"id"`     // the number, as the event stream has it
	Ref     string `json:"ref"`
	Version string `json:"version"`
}

func bodyOf(uid string, number uint64, e hooking.Event) ([]byte, error) {
	_, name := identity.Tenant(uid)
	return json.Marshal(message{e.Kind, e.At.UTC(), data{name, fmt.Sprintf("%016x", number), e.Ref, e.Version}})
}

// idOf is what the event is called, each time that it is sent: ids rise with the time of the events.
func idOf(uid string, number uint64, e hooking.Event) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%s\x00%s", uid, number, e.Kind, e.Ref, e.Version))
	return fmt.Sprintf("%016x", uint64(max(e.At.UnixMicro(), 0))) + hex.EncodeToString(sum[:8]) //nolint:gosec // not negative
}

// An answer is what came of a request.
type answer struct {
	status int           // 0: none
	reason string        // why it was no success; a stable code
	after  time.Duration // before which the server wants none
}

func (a answer) well() bool { return a.reason == "" }

// outcome is what it says of the endpoint.
func (a answer) outcome() outcome {
	switch {
	case a.well():
		return well
	case a.status == http.StatusGone:
		return gone
	}
	return failed
}

// The reasons, beside success. The API tells them.
const (
	reasonAddress     = "address"
	reasonAway        = "away" // no request was made
	reasonCertificate = "certificate"
	reasonConnection  = "connection"
	reasonName        = "name_unknown"
	reasonNotPublic   = "address_not_public"
	reasonStatus      = "status"
	reasonTimeout     = "timeout"
)

// A sender makes requests.
type sender struct {
	client *http.Client
	now    func() time.Time
}

// newSender speaks to public addresses alone.
func newSender(now func() time.Time) sender { return senderOver(newDialer(), nil, now) }

func senderOver(d dialer, secure *tls.Config, now func() time.Time) sender {
	if secure == nil {
		secure = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return sender{now: now, client: &http.Client{
		Timeout: answerTime,
		Transport: &http.Transport{
			DialContext: d.connect, TLSClientConfig: secure, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: answerTime,
			MaxResponseHeaderBytes: 16 << 10, MaxIdleConnsPerHost: mostAtOnce, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// mostRead is how much of an answer is read, so that the connection can serve again.
const mostRead = 4 << 10

// send makes one request.
func (s sender) send(ctx context.Context, e hook.Endpoint, id string, body []byte) answer {
	at := s.now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return answer{reason: reasonAddress}
	}
	name := "evt_" + id
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "clarity-webhooks")
	req.Header.Set("Webhook-Id", name)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", Signatures(e.Live(at), name, at, body))
	res, err := s.client.Do(req)
	if err != nil {
		return answer{reason: why(err)}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, mostRead)
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return answer{status: res.StatusCode}
	}
	a := answer{status: res.StatusCode, reason: reasonStatus}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.after = min(time.Duration(seconds)*time.Second, longestPause)
	}
	return a
}

// why is the error in a word; its own text has addresses in it.
func why(err error) string {
	var name *net.DNSError
	var timeout interface{ Timeout() bool }
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errClosed):
		return reasonNotPublic
	case errors.Is(err, errUnknown), errors.As(err, &name):
		return reasonName
	case errors.As(err, &certificate):
		return reasonCertificate
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return reasonTimeout
	}
	return reasonConnection
}
