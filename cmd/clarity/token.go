package main

import (
	"context"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
)

//nolint:gosec // a help text, not a token
const tokenHelp = `Prints a token of the data directory's own issuer: only the token, so that
  T=$(clarity token --user anna); curl -H "Authorization: Bearer $T" …
works. The platform may run meanwhile, or not have run yet.
  clarity token revoke --user NAME   ends every token of the person so far: a device is lost
  clarity token rotate               signs with a new key from now on; older tokens stay valid
  clarity token retire               ends the tokens of every key but the newest
A platform that is running believes a token that it has just seen for two minutes more.`

func token(_ context.Context, c *call) error {
	fs := c.flags(tokenHelp)
	where := c.keptFlags(fs, capability.Identity)
	user := fs.String("user", "", "`NAME` of the person: 1 to 128 of A–Z, a–z, 0–9 and ._:@-")
	role := fs.String("role", "", "`ROLE` of a token that is no person's: service or admin")
	ttl := fs.Duration("ttl", time.Hour, "how long the token is valid")
	rest, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return tokenKeys(where, rest, *user)
	}
	if *user == "" {
		return usagef("token needs --user NAME")
	}
	if err := where.read(); err != nil {
		return err
	}
	signed, err := issuer.Token(issuer.Request{Dir: where.Data, At: where.at(), User: *user, Role: *role, TTL: *ttl, Now: time.Now})
	if err != nil {
		return asUsage(err)
	}
	_, err = fmt.Fprintln(c.stdout, signed)
	return err
}

// tokenKeys revokes a person's tokens, or does a step of replacing the signing key.
func tokenKeys(where *kept, words []string, user string) error {
	acts := map[string]struct {
		person bool // of whom it is
		run    func(issuer.Place, string) error
		done   string
	}{
		"revoke": {true, issuer.Revoke, "every token so far is revoked"},
		"rotate": {false, func(p issuer.Place, _ string) error { return issuer.Rotate(p) }, "there is a new signing key"},
		"retire": {false, func(p issuer.Place, _ string) error { return issuer.Retire(p) }, "the older signing keys are retired"},
	}
	act, ok := acts[words[0]]
	if !ok || len(words) > 1 || act.person != (user != "") {
		return usagef("say `clarity token --user NAME`, `clarity token revoke --user NAME`, `clarity token rotate` or `clarity token retire`")
	}
	if _, err := where.readKept(); err != nil {
		return err
	}
	if err := act.run(issuer.Place{Dir: where.Data, At: where.at(), Now: time.Now}, user); err != nil {
		return asUsage(err)
	}
	say(where.call.stdout, "%s\n", act.done)
	return nil
}
