package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/operate"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/audit"
)

const subjectHelp = `Prints the pseudonym by which an AnalysisJob and its shards name a person: a keyed
hash of the name that says nothing to whoever has not the data directory's key.
It opens nothing. The platform may run meanwhile.`

func subject(ctx context.Context, c *call) error {
	fs := c.flags(subjectHelp)
	where := c.keptFlags(fs, capability.Keys)
	user := fs.String("user", "", "`NAME` of the person")
	if err := c.parseNone(fs); err != nil {
		return err
	}
	if *user == "" {
		return usagef("subject needs --user NAME")
	}
	if err := issuer.CheckUser(*user); err != nil {
		return asUsage(err)
	}
	place, err := where.readKept()
	if err != nil {
		return err
	}
	pseudonym, err := datadir.Pseudonym(ctx, place, *user)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.stdout, pseudonym)
	return err
}

const auditHelp = `Reads the whole audit log of the data directory and checks each entry against
the hash chain and the signed checkpoints. Names the first bad entry, if any.`

func auditVerify(ctx context.Context, c *call) error {
	fs := c.flags(auditHelp)
	where := c.keptFlags(fs, capability.Audit)
	rest, err := c.parse(fs)
	if err != nil {
		return err
	}
	if !slices.Equal(rest, []string{"verify"}) {
		return usagef("say `clarity audit verify`")
	}
	place, err := where.readKept()
	if err != nil {
		return err
	}
	entries, err := datadir.VerifyAudit(ctx, place)
	var bad *audit.BadEntry
	if errors.As(err, &bad) {
		return fmt.Errorf("the audit log is not as it was written: entry %d: %s", bad.Index, bad.Detail)
	}
	if err != nil {
		return err
	}
	say(c.stdout, "ok: %d entries\n", entries)
	return nil
}

const deadHelp = `Lists the messages that a stage gave up on, oldest first, with the reason. They
keep their body; nobody handles them again by themselves. Behind them are counted
the messages of topics that nobody consumes any more: they stay as they are. The
platform may run on the directory meanwhile, or not.
  clarity dead list              the same, said in full
  clarity dead replay LETTER   makes a message of the letter again
  clarity dead drop LETTER     removes it for good`

func dead(ctx context.Context, c *call) error {
	fs := c.flags(deadHelp)
	where := c.keptFlags(fs, capability.Queue)
	rest, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(rest) > 0 && !slices.Equal(rest, []string{"list"}) {
		return deadOne(ctx, where, rest)
	}
	place, err := where.readKept()
	if err != nil {
		return err
	}
	letters, unclaimed, err := datadir.DeadLetters(ctx, place, drivers(), time.Now)
	if err != nil {
		return err
	}
	return operate.PrintDead(c.stdout, letters, unclaimed)
}

// deadOne replays or drops one letter.
func deadOne(ctx context.Context, where *kept, words []string) error {
	acts := map[string]func(context.Context, datadir.Place, platform.Drivers, func() time.Time, string) error{
		"replay": datadir.ReplayDead, "drop": datadir.DropDead,
	}
	act, ok := acts[words[0]]
	if !ok || len(words) != 2 {
		return usagef("say `clarity dead list`, `clarity dead replay LETTER` or `clarity dead drop LETTER`")
	}
	place, err := where.readKept()
	if err != nil {
		return err
	}
	if err := act(ctx, place, drivers(), time.Now, words[1]); err != nil {
		return err
	}
	done := map[string]string{"replay": "is a message again", "drop": "is removed"}
	say(where.call.stdout, "dead letter %s %s\n", words[1], done[words[0]])
	return nil
}

// asUsage makes the wiring's complaints about its configuration an error of the
// command line.
func asUsage(err error) error {
	var config *platform.ConfigError
	if errors.As(err, &config) {
		return usagef("%s", config)
	}
	return err
}
