// Package emulated is Google Cloud on this machine: what stands in for Firestore,
// Pub/Sub, Cloud Storage, Firebase Authentication, Cloud KMS, Gemini and a collector of
// OpenTelemetry, each a process of its own on a free port of loopback, with what
// config/ says of them applied. Tests and `make cloud` start it; nothing that is
// shipped imports it. docs/development/cloud.md says what each shows and cannot show.
//
// What they keep is gone when they end, but for what the collector has written.
package emulated

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// What there is in this cloud.
const (
	Project = "demo-clarity"
	Key     = "projects/" + Project + "/locations/europe-west3/keyRings/clarity/cryptoKeys/kek"
	// The databases of people's documents, of wrapped keys, and of what Pub/Sub has no place for.
	documents, keys, messages = Project + "/clarity", Project + "/keys", Project + "/queue"
	objects, trail            = "clarity-objects", "clarity-audit"
)

// The names of what stands in.
const (
	Firestore = "hidane"
	PubSub    = "pubsubd"
	Storage   = "fake-gcs-server"
	Auth      = "authd"
	KMS       = "kmsd"
	Gemini    = "geminid"
	Collector = "otlpd"
)

// lines is what stands between the platform and its peers, where that is asked for.
const lines = "toxiproxy"

// Options say where things are.
type Options struct {
	Root string // of the repository
	Dir  string // where the peers write their logs, and the collector what came: NAME.log, otlp.jsonl
	// Lines has the platform reach each peer by a line that Trouble can cut.
	Lines bool
}

// A Cloud is one that runs.
type Cloud struct {
	options Options
	peers   map[string]*peer
}

// Start starts every peer and applies config/ to them. On an error none is left.
func Start(ctx context.Context, o Options) (*Cloud, error) {
	c := &Cloud{options: o, peers: map[string]*peer{}}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cloud) start(ctx context.Context) error {
	names := []string{Firestore, PubSub, Storage, Auth, KMS, Gemini, Collector}
	if c.options.Lines {
		names = append(names, lines)
	}
	for _, name := range names {
		p, err := begin(ctx, c.options, name)
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		c.peers[name] = p
	}
	all, awaiting := errgroup.WithContext(ctx)
	for _, p := range c.peers {
		all.Go(func() error { return p.answers(awaiting) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if c.options.Lines {
		if err := c.lay(ctx); err != nil {
			return err
		}
	}
	return c.apply(ctx)
}

// Stop ends every peer.
func (c *Cloud) Stop() error {
	var faults []error
	for _, p := range c.peers {
		faults = append(faults, p.stop())
	}
	return errors.Join(faults...)
}

// Address is where the peer listens.
func (c *Cloud) Address(name string) string { return c.peers[name].address }

// Process is the peer's, to be stopped and killed by a test.
func (c *Cloud) Process(name string) *os.Process { return c.peers[name].cmd.Process }

// collected is the file of what came to the collector, in Options.Dir.
const collected = "otlp.jsonl"

// Received is where what came to the collector is written.
func (c *Cloud) Received() string { return filepath.Join(c.options.Dir, collected) }

// Environment leads a process of the platform here, by the lines where there are any, all
// of whose traces are kept.
func (c *Cloud) Environment() []string {
	env := []string{"CLARITY_DEV=true", "CLARITY_TRACES=http://" + c.peers[Collector].reached(), "CLARITY_TRACES_RATIO=1"}
	for variable, peer := range map[string]string{
		"FIRESTORE_EMULATOR_HOST": Firestore, "PUBSUB_EMULATOR_HOST": PubSub, "STORAGE_EMULATOR_HOST": Storage,
		"CLARITY_AUTH_EMULATOR_HOST": Auth, "CLARITY_KMS_EMULATOR_HOST": KMS, "CLARITY_GEMINI_EMULATOR_HOST": Gemini,
	} {
		env = append(env, variable+"="+c.peers[peer].reached())
	}
	slices.Sort(env)
	return env
}

// Backends are the platform's drivers over this cloud, by capability.
func (c *Cloud) Backends() map[string]string {
	return map[string]string{
		"store":    "firestore:" + documents,
		"queue":    "pubsub:" + messages,
		"blobs":    "gcs:" + objects,
		"keys":     "kms:" + Key + "?documents=" + keys,
		"identity": "firebase:" + Project,
		"model":    "preview",
		"audit":    "gcs:" + trail,
		"writer":   "template",
		"feed":     "firestore:" + documents,
	}
}
