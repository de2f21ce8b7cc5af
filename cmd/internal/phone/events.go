package phone

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An Event is one line of the platform's event stream.
type Event struct {
	ID   string
	Name string
	Data string
}

// FromTheFirst is the event id behind which every event lies.
const FromTheFirst = "0000000000000000"

// Events hands each event of the person to handle until ctx is done, handle
// returns an error, or timeout ends without a connection. A lost stream is
// taken up again behind the last event seen.
func (c *Client) Events(ctx context.Context, lastID string, handle func(Event) error) error {
	wait, deadline := firstWait, time.Now().Add(c.timeout)
	for {
		seen, err := c.stream(ctx, lastID, handle)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var again *retryable
		if !errors.As(err, &again) || time.Now().After(deadline) && seen == "" {
			return err
		}
		if seen != "" {
			lastID, wait, deadline = seen, firstWait, time.Now().Add(c.timeout)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longWait)
	}
}

func (c *Client) stream(ctx context.Context, lastID string, handle func(Event) error) (seen string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", &retryable{"no connection", fmt.Errorf("no connection to %s: %w", c.base, err)}
	}
	defer res.Body.Close() //nolint:errcheck // an endless body
	if res.StatusCode != http.StatusOK {
		_, err := refusal(res, nil)
		return "", err
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	var e Event
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if e.Data != "" || e.Name != "" {
				if err := handle(e); err != nil {
					return seen, err
				}
				if e.ID != "" {
					seen = e.ID
				}
			}
			e = Event{}
		case field == "id":
			e.ID = value
		case field == "event":
			e.Name = value
		case field == "data" && e.Data != "":
			e.Data += "\n" + value
		case field == "data":
			e.Data = value
		}
	}
	return seen, &retryable{"stream ended", fmt.Errorf("the event stream of %s ended: %w", c.base, errors.Join(lines.Err(), errStreamEnded))}
}

var errStreamEnded = errors.New("end of stream")
