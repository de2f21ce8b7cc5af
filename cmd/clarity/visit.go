package main

import (
	"context"
	"flag"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
)

// How long the demo waits for any one thing: of its own platform, and of another, which
// may wait longer for more uploads.
const (
	stepTimeout  = 30 * time.Second
	afarPatience = 3 * time.Minute
)

// given are the flags that were.
func given(fs *flag.FlagSet) (names []string) {
	fs.Visit(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

// visit is the phone of a platform that runs already.
func (d *demonstration) visit(ctx context.Context, server, token string, flags []string) error {
	for _, own := range []string{"keep", "model"} {
		if slices.Contains(flags, own) {
			return usagef("--%s is of a platform of the demo's own: leave it out, or --server", own)
		}
	}
	if err := checkServer(server); err != nil {
		return err
	}
	if token == "" {
		return usagef("--server needs a token: --token or $CLARITY_TOKEN")
	}
	d.afar = true
	d.client = phone.New(server, token, d.patience(), nil)
	defer d.client.Close()
	say(d.stdout, "Platform   %s\n", server)
	return d.play(ctx)
}

// patience is how long any one thing is waited for.
func (d *demonstration) patience() time.Duration {
	if d.afar {
		return afarPatience
	}
	return stepTimeout
}
