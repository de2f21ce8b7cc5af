package stage

import (
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/relay"
	"github.com/clarity-loop/clarity/services/wake"
	"github.com/clarity-loop/clarity/services/webhook"
)

// Relay hands on what devices are told: to the feed, where there is one, to webhooks, and
// to devices that sleep, where somebody wakes them.
func Relay(p platform.Parts) *relay.Relay {
	var wakes relay.Wakes
	if p.Config.Backends.Push != "" {
		wakes = wake.NewTeller(p.Store, p.Queue, p.Now)
	}
	return relay.New(p.Store, p.Feed, webhook.NewBook(p.Store, p.Queue, p.Now), wakes)
}
