// Package google has the drivers of Google Cloud, for any number of processes: what
// cmd/internal/embedded is for a directory and one. Each is opened by one string:
//
//	store     firestore:PROJECT/DATABASE
//	queue     pubsub:PROJECT/DATABASE   the database holds what Pub/Sub has no place for
//	blobs     gcs:BUCKET
//	keys      kms:projects/P/locations/L/keyRings/R/cryptoKeys/K?documents=PROJECT/DATABASE
//	identity  firebase:PROJECT
//	feed      firestore:PROJECT/DATABASE, whose rules are those of config/firestore; content=true has there what there is to see, too
//	push      fcm:PROJECT               has phones be woken by Firebase Cloud Messaging
//	audit     gcs:BUCKET                another one, whose objects stay
//	writer    gemini:PROJECT/LOCATION/MODEL
//
// Further settings of a driver stand behind a question mark, as in a URL: see places.go.
// Who the process is, is the machine's to say (Application Default Credentials); no
// setting is a secret. There is one client a service and process, and one a database
// and what is kept in it.
//
// Where the environment leads to an emulator, that is spoken to without credentials
// and in the clear: cmd/internal/emulators refuses it but in development.
package google

import (
	"context"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/emulators"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/audit"
	auditgcs "github.com/clarity-loop/clarity/services/audit/gcs"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/gcs"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring/kms"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/gemini"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/push/fcm"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/pubsub"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/firestore"
)

// LongestCall is platform.Drivers' of these: what a process has sent may still come to
// a bucket, a database or a topic for so long.
const LongestCall = max(firestore.CallTimeout, gcs.CallTimeout, pubsub.PublishTimeout)

// The documents of the queue lie apart from people's, whose database may be the same.
const queueUnder = "queue/pubsub"

// Connections to a database, of which each carries about a hundred calls at a time.
const (
	ofPeople = 4
	ofQueue  = 1
	ofKeys   = 2
)

// countEvery is for how long the depth of the queue is believed.
const countEvery = time.Minute

// A Cloud opens the drivers, and knows which of the services is an emulator's.
type Cloud struct {
	firestore, pubsub, storage, kms, auth, signer, gemini, fcm string // HOST:PORT; "" is Google's

	keys *kms.Keyring // once they are open
}

// New is the cloud that the environment leads to.
func New(getenv func(string) string) *Cloud {
	return &Cloud{
		firestore: getenv("FIRESTORE_EMULATOR_HOST"), pubsub: getenv("PUBSUB_EMULATOR_HOST"),
		storage: getenv("STORAGE_EMULATOR_HOST"), kms: getenv(emulators.KMS), auth: getenv("FIREBASE_AUTH_EMULATOR_HOST"), signer: getenv(emulators.Auth),
		gemini: getenv(emulators.Gemini), fcm: getenv(emulators.FCM),
	}
}

// documents opens what is kept of one kind in a database.
func (c *Cloud) documents(ctx context.Context, d database, under string, connections int) (*firestore.Store, error) {
	config := d.config()
	config.Under, config.Connections = under, connections
	config.Endpoint, config.Emulator = c.firestore, c.firestore != ""
	return firestore.Open(ctx, config)
}

// Store opens people's documents.
func (c *Cloud) Store(ctx context.Context, at string, e platform.Env) (store.Driver, error) {
	d, err := databaseOf(at)
	if err != nil {
		return nil, err
	}
	s, err := c.documents(ctx, d, "", ofPeople)
	if err != nil {
		return nil, err
	}
	e.Closing("the store", s)
	return s, nil
}

// Queue opens the messages. The topics and subscriptions have to be there.
func (c *Cloud) Queue(ctx context.Context, at string, e platform.Env) (queue.Driver, error) {
	t, err := topicsOf(at)
	if err != nil {
		return nil, err
	}
	kept, err := c.documents(ctx, t.database, queueUnder, ofQueue)
	if err != nil {
		return nil, err
	}
	e.Closing("the queue's documents", kept)
	config := pubsub.Config{Project: t.project, Prefix: t.prefix, Endpoint: t.endpoint, Emulator: c.pubsub, CountEvery: countEvery}
	q, err := pubsub.Open(ctx, config, flow.Consumers(), kept, e.Now)
	if err != nil {
		return nil, err
	}
	e.Closing("the queue", q)
	return q, nil
}

// Blobs opens the objects, and looks at the bucket.
func (c *Cloud) Blobs(ctx context.Context, at string, e platform.Env) (blob.Store, error) {
	s, err := gcs.Open(ctx, gcs.Config{Bucket: at, Endpoint: c.buckets()}, e.Now)
	if err != nil {
		return nil, err
	}
	e.Closing("the blobs", s)
	return s, nil
}

// buckets is where the emulator of buckets is.
func (c *Cloud) buckets() string {
	if c.storage == "" {
		return ""
	}
	return "http://" + strings.TrimPrefix(c.storage, "http://")
}

// Audit opens the log, whose keys are the keyring's, which is open before it.
func (c *Cloud) Audit(ctx context.Context, at string, e platform.Env) (audit.Log, error) {
	if c.keys == nil {
		return nil, &platform.ConfigError{Text: "the log's keys come from the keyring kms: write --keys " + formKeys}
	}
	config, err := logOf(at)
	if err != nil {
		return nil, err
	}
	config.Endpoint = c.buckets()
	l, err := auditgcs.Open(ctx, config, c.keys, e.Now)
	if err != nil {
		return nil, err
	}
	e.Closing("the audit log", l)
	return l, nil
}

// Keys opens the keyring.
func (c *Cloud) Keys(ctx context.Context, at string, e platform.Env) (platform.Keyring, error) {
	w, err := wrappingOf(at)
	if err != nil {
		return nil, err
	}
	kept, err := c.documents(ctx, w.documents, "", ofKeys)
	if err != nil {
		return nil, err
	}
	e.Closing("the keys' documents", kept)
	k, err := kms.Open(ctx, kms.Config{Key: w.key, Endpoint: c.kms}, kept, e.Now)
	if err != nil {
		return nil, err
	}
	e.Closing("the keys", k)
	c.keys = k
	return k, nil
}

// Push opens who wakes phones.
func (c *Cloud) Push(ctx context.Context, at string, _ platform.Env) (push.Sender, error) {
	s, err := fcm.Open(ctx, fcm.Config{Project: at, Emulator: c.fcm})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Writer opens a language model.
func (c *Cloud) Writer(ctx context.Context, at string, e platform.Env) (narrative.Writer, error) {
	config, err := gemini.Parse(at)
	if err != nil {
		return nil, err
	}
	config.Emulator = c.gemini
	w, err := gemini.Open(ctx, config, e.Now)
	if err != nil {
		return nil, err
	}
	e.Closing("the writer", w)
	return w, nil
}
