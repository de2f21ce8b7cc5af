package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
)

//nolint:gosec // a help text, not a token
const tokenHelp = `Prints a token of the data directory's own issuer: only the token, so that
  T=$(clarity token --user anna); curl -H "Authorization: Bearer $T" …
works. The platform may run meanwhile, or not have run yet.
  clarity token revoke --user NAME   ends every token of the person so far: a device is lost
A platform that is running believes a token that it has just seen for two minutes more,
but not for an erasure, an export or a consent.`

func token(_ context.Context, c *call) error {
	fs := c.flags(tokenHelp)
	where := c.keptFlags(fs, capability.Identity)
	user := fs.String("user", "", "`NAME` of the person: 1 to 128 of A–Z, a–z, 0–9 and ._:@-")
	tenant := fs.String("tenant", "", "`NAME` of the tenant that they are of; none if empty")
	role := fs.String("role", "", "`ROLE` of a token that is no person's: service or admin")
	ttl := fs.Duration("ttl", time.Hour, "how long the token is valid")
	rest, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return revoke(where, rest, *user)
	}
	if *user == "" {
		return usagef("token needs --user NAME")
	}
	if err := where.read(); err != nil {
		return err
	}
	signed, err := issuer.Token(issuer.Request{Dir: where.Data, At: where.at(), User: *user, Tenant: *tenant, Role: *role, TTL: *ttl, Now: time.Now})
	if err != nil {
		return asUsage(err)
	}
	_, err = fmt.Fprintln(c.stdout, signed)
	return err
}

// revoke ends a person's tokens.
func revoke(where *kept, words []string, user string) error {
	if !slices.Equal(words, []string{"revoke"}) || user == "" {
		return usagef("say `clarity token --user NAME` or `clarity token revoke --user NAME`; `clarity keys rotate issuer` replaces the key that signs")
	}
	if _, err := where.readKept(); err != nil {
		return err
	}
	if err := issuer.Revoke(issuer.Place{Dir: where.Data, At: where.at(), Now: time.Now}, user); err != nil {
		return asUsage(err)
	}
	say(where.call.stdout, "every token so far is revoked\n")
	return nil
}
