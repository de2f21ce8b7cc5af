package pubsub

import "google.golang.org/grpc"

// Dialing is the configuration whose clients dial with the options, too.
func (cfg Config) Dialing(options ...grpc.DialOption) Config {
	cfg.dial = append(cfg.dial, options...)
	return cfg
}
