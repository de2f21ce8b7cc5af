package stage

import (
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/relay"
	"github.com/clarity-loop/clarity/services/webhook"
)

// Relay hands on what devices are told: to the feed, where there is one, and to webhooks.
func Relay(p platform.Parts) *relay.Relay {
	return relay.New(p.Store, p.Feed, webhook.NewBook(p.Store, p.Queue, p.Now))
}
