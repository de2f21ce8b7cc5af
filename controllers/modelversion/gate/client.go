package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// maxReply bounds what is read of a reply: one number needs no more, and an error's text fits.
const maxReply = 1 << 20

// newHTTPClient returns a client that follows no redirect (a token would follow
// it, too), reads no reply to its end that has none, and sends the token as it is now.
func newHTTPClient(config Config) (*http.Client, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		base = &http.Transport{}
	}
	base = base.Clone()
	base.MaxConnsPerHost = 16
	if config.CAFile != "" {
		pem, err := os.ReadFile(config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read caFile of Prometheus: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read caFile of Prometheus %q: no certificate in it", config.CAFile)
		}
		base.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport:     &authorized{base: base, tokenFile: config.BearerTokenFile},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// authorized adds the token and bounds the reply.
type authorized struct {
	base      http.RoundTripper
	tokenFile string
}

// RoundTrip implements http.RoundTripper.
func (a *authorized) RoundTrip(request *http.Request) (*http.Response, error) {
	if a.tokenFile != "" {
		token, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read bearerTokenFile: %w", err)
		}
		value := strings.TrimSpace(string(token))
		if value == "" || strings.ContainsAny(value, "\r\n\x00") {
			return nil, errors.New("read bearerTokenFile: its content is not one token")
		}
		request = request.Clone(request.Context())
		request.Header.Set("Authorization", "Bearer "+value)
	}
	reply, err := a.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	reply.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(reply.Body, maxReply), reply.Body}
	return reply, nil
}

// trouble says whose fault an error is.
type trouble int

const (
	refused     trouble = iota // the query's
	unclear                    // the query's or Prometheus'
	unreachable                // Prometheus', or of what is in between
)

// explain says in a sentence why there is no answer. What Prometheus says about
// a query is passed on, since whoever wrote the query must read it; the body of
// anything else that answered is not.
func explain(err error, timeout time.Duration) (fault trouble, told error) {
	var said *promv1.Error
	if errors.As(err, &said) {
		switch said.Type {
		case promv1.ErrBadData:
			return refused, fmt.Errorf("Prometheus refuses the query: %s", said.Msg) //nolint:revive,staticcheck // a name
		case promv1.ErrExec:
			return refused, fmt.Errorf("Prometheus cannot evaluate the query: %s", said.Msg) //nolint:revive,staticcheck // a name
		case promv1.ErrTimeout, promv1.ErrCanceled:
			return unclear, fmt.Errorf("Prometheus gave the query up: %s", said.Msg) //nolint:revive,staticcheck // a name
		case promv1.ErrBadResponse:
			return unclear, fmt.Errorf("the reply to the query is not one number: %s", said.Msg)
		case promv1.ErrClient, promv1.ErrServer:
		}
		return unclear, fmt.Errorf("Prometheus did not answer the query: %s", said.Msg) //nolint:revive,staticcheck // a name
	}
	var network *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return unclear, fmt.Errorf("Prometheus did not answer within %v", timeout) //nolint:revive,staticcheck // a name
	case errors.Is(err, context.Canceled):
		return unclear, errors.New("the question was withdrawn")
	case errors.As(err, &network):
		return unreachable, fmt.Errorf("Prometheus cannot be asked: %w", network.Err) //nolint:revive,staticcheck // a name
	}
	return unreachable, fmt.Errorf("Prometheus cannot be asked: %w", err) //nolint:revive,staticcheck // a name
}
