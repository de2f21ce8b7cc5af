package operate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
)

// Tools are those of the binary of the name, beside which any number of processes run.
// uids are read from stdin, since a command line is in the logs of who lets it be run.
func Tools(binary string, stdin io.Reader) []serving.Tool {
	return []serving.Tool{
		{Words: "dead list", Needs: capability.Queue, Run: dead,
			Does: "List the messages that a stage gave up on, oldest first, with the reason"},
		{Words: "dead replay", Takes: "LETTER", Needs: capability.Queue, Run: one(queue.Queue.Replay, "is a message again"),
			Does: "Make a message of the letter again"},
		{Words: "dead drop", Takes: "LETTER", Needs: capability.Queue, Run: one(queue.Queue.Drop, "is removed"),
			Does: "Remove the letter for good"},
		{Words: "subject", Needs: capability.Keys, Run: subjects(stdin),
			Does: "Read uids from standard input, one a line, and print the pseudonyms that name them in analysis jobs"},
		{Words: "keys list", Needs: capability.Keys, Rotate: list,
			Does: "Count the keys"},
		{Words: "keys rotate kek", Needs: capability.Keys, Rotate: RotateKEK,
			Does: "Have a new key wrap all others, and end the one before; where that was cut, go on"},
		{Words: "keys rotate data", Needs: capability.Keys,
			Does: "Have each person's data key made anew when they write next; what was written before still opens",
			Rotate: func(ctx context.Context, ring keyring.Rotator, out io.Writer) error {
				return RotateData(ctx, ring, binary+" keys list", out)
			}},
	}
}

func dead(ctx context.Context, o platform.Opened, _ string, out io.Writer) error {
	letters, unclaimed, err := DeadLetters(ctx, o.Queue, o.Gauge)
	if err != nil {
		return err
	}
	return PrintDead(out, letters, unclaimed)
}

// one does something to one letter.
func one(act func(queue.Queue, context.Context, string) error, done string) func(context.Context, platform.Opened, string, io.Writer) error {
	return func(ctx context.Context, o platform.Opened, letter string, out io.Writer) error {
		if err := act(o.Queue, ctx, letter); err != nil {
			return err
		}
		say(out, "dead letter %s %s\n", letter, done)
		return nil
	}
}

// subjects names whom stdin names.
func subjects(stdin io.Reader) func(context.Context, platform.Opened, string, io.Writer) error {
	return func(ctx context.Context, o platform.Opened, _ string, out io.Writer) error {
		lines := bufio.NewScanner(stdin)
		for n := 1; lines.Scan(); n++ {
			if !identity.ValidUID(lines.Text()) {
				return fmt.Errorf("line %d is no uid, which is 1 to %d characters of A–Z, a–z, 0–9 and ._:@-", n, identity.MaxUID)
			}
			pseudonym, err := o.Keys.Pseudonym(ctx, lines.Text())
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(out, pseudonym); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read uids: %w", err)
		}
		return nil
	}
}

func list(ctx context.Context, ring keyring.Rotator, out io.Writer) error {
	n, err := ring.Census(ctx)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	PrintKeys(tw, n)
	return tw.Flush()
}
