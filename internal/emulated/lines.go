package emulated

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// A toxic is what toxiproxy does to what passes a line one way.
type toxic struct {
	kind       string
	attributes map[string]int
}

// down is the trouble in which nobody is there.
const down = "down"

// troubles are what a line can have, both ways: by name, as toxiproxy calls it. Of down
// there is none: the line is taken away.
func troubles() map[string]toxic {
	return map[string]toxic{
		"latency":   {"latency", map[string]int{"latency": 700, "jitter": 500}}, // ms
		"reset":     {"reset_peer", map[string]int{"timeout": 150}},             // ms until a connection is
		"half-open": {"timeout", map[string]int{"timeout": 0}},                  // nothing comes through, and nobody is told
		"bandwidth": {"bandwidth", map[string]int{"rate": 8}},                   // kB/s
		down:        {},
	}
}

// Troubles are the names of what Trouble can do to a line.
func Troubles() []string { return slices.Sorted(maps.Keys(troubles())) }

// lay has a line lead to each peer that the platform speaks to, at the address that it
// is told.
func (c *Cloud) lay(ctx context.Context) error {
	for name, p := range c.peers {
		if p.line == "" {
			continue
		}
		if err := c.proxy(ctx, "", map[string]any{"name": name, "listen": p.line, "upstream": p.address, "enabled": true}); err != nil {
			return fmt.Errorf("lay the line to %s: %w", name, err)
		}
	}
	return nil
}

// Trouble has the line to the peer be in trouble until Mend: see Troubles. The cloud was
// started with lines.
func (c *Cloud) Trouble(ctx context.Context, peer, name string) error {
	what, known := troubles()[name]
	if !known || c.peers[peer] == nil || c.peers[peer].line == "" {
		return fmt.Errorf("there is no line to %s, or no trouble %s", peer, name)
	}
	if name == down {
		return c.proxy(ctx, "/"+peer, map[string]any{"enabled": false})
	}
	for _, way := range []string{"upstream", "downstream"} {
		one := map[string]any{"name": way, "type": what.kind, "stream": way, "toxicity": 1, "attributes": what.attributes}
		if err := c.proxy(ctx, "/"+peer+"/toxics", one); err != nil {
			return err
		}
	}
	return nil
}

// Mend ends every trouble of every line.
func (c *Cloud) Mend(ctx context.Context) error {
	return ask(ctx, http.MethodPost, "http://"+c.Address(lines)+"/reset", nil, nil)
}

func (c *Cloud) proxy(ctx context.Context, path string, body any) error {
	return ask(ctx, http.MethodPost, "http://"+c.Address(lines)+"/proxies"+path, body, nil)
}
