package main

import (
	"context"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/operate"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
)

const keysHelp = `Counts the keys of a data directory, and replaces them. The platform may run
meanwhile: it goes on sealing, opening and erasing. None of them needs a data directory that is free.
  clarity keys list            counts them
  clarity keys rotate kek      makes a new key that wraps all others, has it wrap them, and
                               removes the one before; where that was cut, it goes on
  clarity keys rotate data     has each person's data key made anew when they write next;
                               what was written before still opens
  clarity keys rotate issuer   signs tokens with a new key from now on; older tokens stay valid
  clarity keys retire issuer   ends the tokens of every signing key but the newest`

func keys(ctx context.Context, c *call) error {
	fs := c.flags(keysHelp)
	where := c.wholeFlags(fs)
	words, err := c.parse(fs)
	if err != nil {
		return err
	}
	acts := map[string]func(keysIn, context.Context) error{
		"list": keysIn.list, "rotate kek": keysIn.rotateKEK, "rotate data": keysIn.rotateData,
		"rotate issuer": keysIn.rotateIssuer, "retire issuer": keysIn.retireIssuer,
	}
	act, ok := acts[strings.Join(words, " ")]
	if !ok {
		return usagef("say `clarity keys list`, `clarity keys rotate kek`, `clarity keys rotate data`, `clarity keys rotate issuer` or `clarity keys retire issuer`")
	}
	place, err := where.read(c)
	if err != nil {
		return err
	}
	return act(keysIn{place, c.stdout}, ctx)
}

// keysIn are the keys of a place, and where is told of them.
type keysIn struct {
	place datadir.Place
	out   io.Writer
}

// issuer is where the signing keys are; the error says that there are none.
func (k keysIn) issuer() (issuer.Place, error) {
	_, at, _ := strings.Cut(embedded.In(k.place.Dir, k.place.Backends).Identity, ":")
	return issuer.Place{Dir: k.place.Dir, At: at, Now: time.Now}, datadir.MustHold(k.place, capability.Identity, at)
}

func (k keysIn) list(ctx context.Context) error {
	ring, err := datadir.Keys(ctx, k.place, drivers())
	if err != nil {
		return err
	}
	n, err := ring.Census(ctx)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(k.out, 0, 0, 2, ' ', 0)
	operate.PrintKeys(tw, n)
	if signing, err := k.issuer(); err == nil { // a platform without an ingress of its own has none
		valid, retired, err := issuer.Count(signing)
		if err != nil {
			return err
		}
		say(tw, "issuer\t%d\t%d of them retired\n", valid+retired, retired)
	}
	return tw.Flush()
}

func (k keysIn) rotateKEK(ctx context.Context) error {
	ring, err := datadir.Keys(ctx, k.place, drivers())
	if err != nil {
		return err
	}
	return operate.RotateKEK(ctx, ring, k.out)
}

func (k keysIn) rotateData(ctx context.Context) error {
	ring, err := datadir.Keys(ctx, k.place, drivers())
	if err != nil {
		return err
	}
	return operate.RotateData(ctx, ring, "clarity keys list", k.out)
}

func (k keysIn) rotateIssuer(context.Context) error {
	return k.sign(issuer.Rotate, "there is a new signing key; say `clarity keys retire issuer` once the tokens of the older have run out")
}

func (k keysIn) retireIssuer(context.Context) error {
	return k.sign(issuer.Retire, "the older signing keys are retired; a platform that runs takes tokens of theirs for up to two minutes more, and none once it is started again")
}

func (k keysIn) sign(act func(issuer.Place) error, done string) error {
	p, err := k.issuer()
	if err == nil {
		err = act(p)
	}
	if err != nil {
		return asUsage(err)
	}
	say(k.out, "%s\n", done)
	return nil
}
