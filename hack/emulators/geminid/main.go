// Command geminid stands in for Gemini on this machine: generateContent and
// streamGenerateContent over REST, as Google's client speaks them, for any project,
// location and model. It is no model: it says each fact that the prompt holds in a
// sentence, or does what the script asks for next. What came is kept and shown, so that
// a test can look at what a prompt holds.
//
//	PUT /script      [{"mode": "429", "times": 2}, {"mode": "ok"}]: in turn, the last for good
//	GET /requests    the newest thousand requests, the oldest first, with their paths
//
// The modes are ok, 429, 500, safety, recitation, max-tokens, malformed (no JSON),
// schema (JSON of another shape), invented (a number that is no fact) and slow (a byte
// a second). Rights, quotas, safety itself, tools, caches, and the words of a model are not there.
//
//	geminid [--listen 127.0.0.1:0] [--mode ok]
//
// The address it listens on is the first line it prints.
package main

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/clarity-loop/clarity/hack/emulators/standin"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	mode := flag.String("mode", "ok", "what it does until a script says otherwise")
	flag.Parse()
	standin.Main("geminid", func(ctx context.Context, stdout io.Writer) error { return run(ctx, *listen, *mode, stdout) })
}

func run(ctx context.Context, listen, mode string, stdout io.Writer) error {
	s := &server{drip: time.Second}
	if err := s.play([]act{{Mode: mode}}); err != nil {
		return err
	}
	return standin.Serve(ctx, listen, stdout, standin.HTTP(s))
}
