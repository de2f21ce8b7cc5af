package platform

import (
	"context"
	"fmt"

	"github.com/clarity-loop/clarity/services/audit"
	auditfile "github.com/clarity-loop/clarity/services/audit/file"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/files"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/local"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/queue"
	queuesqlite "github.com/clarity-loop/clarity/services/queue/sqlite"
	"github.com/clarity-loop/clarity/services/store"
	storesqlite "github.com/clarity-loop/clarity/services/store/sqlite"
)

// rememberedTokens is how many verified tokens the ingress remembers.
const rememberedTokens = 10_000

// drivers is an open driver of each capability.
type drivers struct {
	store    *store.Store
	queue    queue.Queue
	blobs    blob.Store
	keys     keyring.Keyring
	tokens   keyring.Pseudonymizer
	verifier identity.Verifier
	audit    audit.Log
}

// open opens every driver, and has Close close them, the last first.
func (p *Platform) open(ctx context.Context) (drivers, error) {
	c, d := p.config, drivers{}
	place := func(capability string) string {
		at, err := parseDriver(capability, c.Drivers[capability], c.Dir)
		if err != nil {
			panic(err) // validate has looked
		}
		return at
	}
	keys, err := tink.Open(place("keyring"))
	if err != nil {
		return d, fmt.Errorf("open the keyring: %w", err)
	}
	documents, err := storesqlite.Open(ctx, place("store"), c.Now)
	if err != nil {
		return d, fmt.Errorf("open the store: %w", err)
	}
	p.closing("the store", documents.Close)
	blobs, err := files.Open(place("blob"), c.Now)
	if err != nil {
		return d, fmt.Errorf("open the blobs: %w", err)
	}
	p.closing("the blobs", blobs.Close)
	log, err := auditfile.Open(place("audit"), c.Now)
	if err != nil {
		return d, fmt.Errorf("open the audit log: %w", err)
	}
	p.closing("the audit log", log.Close)
	messages, err := queuesqlite.Open(ctx, place("queue"), c.Now)
	if err != nil {
		return d, fmt.Errorf("open the queue: %w", err)
	}
	p.closing("the queue", messages.Close)
	issuer, err := local.Open(place("identity"), c.Now)
	if err != nil {
		return d, fmt.Errorf("open the issuer: %w", err)
	}
	return drivers{store: store.New(documents, keys), queue: messages, blobs: blobs, keys: keys, tokens: keys,
		verifier: identity.Cached(issuer, rememberedTokens, c.Now), audit: log}, nil
}

// openKeys opens the directory's keyring, which any number of processes may.
func openKeys(dir string) (*tink.Keyring, error) {
	place, err := parseDriver("keyring", "", dir)
	if err != nil {
		return nil, err
	}
	keys, err := tink.Open(place)
	if err != nil {
		return nil, sentence(dir, err)
	}
	return keys, nil
}

// VerifyAudit checks the audit log of a directory, whether or not a platform
// runs on it, and returns how many entries it has.
func VerifyAudit(ctx context.Context, dir string) (int64, error) {
	if err := mustExist(dir); err != nil {
		return 0, err
	}
	place, err := parseDriver("audit", "", dir)
	if err != nil {
		return 0, err
	}
	return auditfile.Verify(ctx, place)
}
