// Package phone acts as a phone does: it cuts samples into uploads, gzips them,
// puts them under ids made from their content and tries again until the
// platform has said yes or a definite no. Trying again is safe: the same
// content has the same id, and the platform gives the same reply.
package phone

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/health"
)

// How long a phone waits between two tries, and in all.
const (
	firstWait = 100 * time.Millisecond
	longWait  = 10 * time.Second
)

// A Client talks to one platform for one person.
type Client struct {
	base    string
	token   string
	http    *http.Client
	timeout time.Duration
	waiting func(why string, wait time.Duration)
}

// New is a client of the platform at base, e.g. "http://127.0.0.1:8080". It
// tries a request again for as long as timeout; waiting, which may be nil, is
// told of each pause.
func New(base, token string, timeout time.Duration, waiting func(why string, wait time.Duration)) *Client {
	if waiting == nil {
		waiting = func(string, time.Duration) {}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: time.Minute, DisableCompression: true}
	return &Client{strings.TrimRight(base, "/"), token, &http.Client{Transport: transport}, timeout, waiting}
}

// Close lets go of the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A Receipt is the platform's reply to an upload.
type Receipt struct {
	UploadID string             `json:"uploadId"`
	Received int                `json:"received"`
	Accepted int                `json:"accepted"`
	Rejected []health.Rejection `json:"rejected"`
	Warnings []health.Warning   `json:"warnings"`
	Cursor   map[string]string  `json:"cursor"`
	Status   string             `json:"status"`
}

// A Status is how far an upload has come.
type Status struct {
	UploadID   string       `json:"uploadId"`
	State      string       `json:"state"`
	Reason     string       `json:"reason"`
	Duplicates int          `json:"duplicates"`
	Added      int          `json:"added"`
	Replaced   int          `json:"replaced"`
	Deleted    int          `json:"deleted"`
	Days       []health.Day `json:"days"`
}

// A RefusalError is a definite no (RFC 9457).
type RefusalError struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func (p *RefusalError) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	return fmt.Sprintf("the platform says %d: %s", p.Status, text)
}

// Put sends one upload until it is acked.
func (c *Client) Put(ctx context.Context, u Upload) (Receipt, error) {
	var r Receipt
	header := http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
	if err := c.do(ctx, http.MethodPut, "/v1/uploads/"+url.PathEscape(u.ID), header, u.Body, &r); err != nil {
		return r, fmt.Errorf("put upload %s: %w", u.ID, err)
	}
	return r, nil
}

// Status asks how far an upload has come.
func (c *Client) Status(ctx context.Context, id string) (Status, error) {
	var s Status
	if err := c.Get(ctx, "/v1/uploads/"+url.PathEscape(id), &s); err != nil {
		return s, fmt.Errorf("get the status of upload %s: %w", id, err)
	}
	return s, nil
}

// Get reads a JSON document.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, http.Header{}, nil, into)
}

// PutProfile writes the profile of a person who has none yet, and says whether that
// was so.
func (c *Client) PutProfile(ctx context.Context, profile []byte) (written bool, err error) {
	header := http.Header{"Content-Type": {"application/json"}, "If-Match": {`"0"`}}
	err = c.do(ctx, http.MethodPut, "/v1/profile", header, profile, nil)
	var refused *RefusalError
	if errors.As(err, &refused) && refused.Status == http.StatusPreconditionFailed {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("put the profile: %w", err)
	}
	return true, nil
}

// Send writes a JSON document with the method given and reads the reply into
// into, which may be nil.
func (c *Client) Send(ctx context.Context, method, path string, document, into any) error {
	body, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return c.do(ctx, method, path, http.Header{"Content-Type": {"application/json"}}, body, into)
}

// do tries until there is a definite answer, timeout ends or ctx is done.
func (c *Client) do(ctx context.Context, method, path string, header http.Header, body []byte, into any) error {
	wait, deadline := firstWait, time.Now().Add(c.timeout)
	for {
		after, err := c.try(ctx, method, path, header, body, into)
		var again *retryable
		if err == nil || !errors.As(err, &again) || ctx.Err() != nil {
			return err
		}
		pause := max(after, wait/2+rand.N(wait/2+1)) //nolint:gosec // phones must not come back all at once; nothing is secret about when
		if time.Now().Add(pause).After(deadline) {
			return err
		}
		c.waiting(again.why, pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		wait = min(2*wait, longWait)
	}
}

// retryable is a maybe: the request may be sent again as it is.
type retryable struct {
	why string
	err error
}

func (r *retryable) Error() string { return r.err.Error() }
func (r *retryable) Unwrap() error { return r.err }

func (c *Client) try(ctx context.Context, method, path string, header http.Header, body []byte, into any) (after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = header.Clone()
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		return 0, &retryable{"no connection", fmt.Errorf("no connection to %s: %w", c.base, err)}
	}
	defer res.Body.Close() //nolint:errcheck // read to its end below
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return 0, &retryable{"connection lost", fmt.Errorf("connection to %s lost: %w", c.base, err)}
	}
	if res.StatusCode/100 != 2 {
		return refusal(res, data)
	}
	if into == nil || len(data) == 0 {
		return 0, nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return 0, fmt.Errorf("read the reply of %s: %w", path, err)
	}
	return 0, nil
}

// refusal tells a maybe from a no.
func refusal(res *http.Response, data []byte) (time.Duration, error) {
	p := &RefusalError{}
	if err := json.Unmarshal(data, p); err != nil {
		p.Title = http.StatusText(res.StatusCode)
	}
	p.Status = res.StatusCode
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInsufficientStorage:
		seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
		if err != nil || seconds < 0 {
			seconds = 0
		}
		return time.Duration(seconds) * time.Second, &retryable{strings.ToLower(http.StatusText(res.StatusCode)), p}
	}
	return 0, p
}

// Merged waits until the upload is no longer merely received.
func (c *Client) Merged(ctx context.Context, id string) (Status, error) {
	for pause := 10 * time.Millisecond; ; pause = min(pause*3/2, 500*time.Millisecond) {
		s, err := c.Status(ctx, id)
		if err != nil || s.State != "received" {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(pause):
		}
	}
}
