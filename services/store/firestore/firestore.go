// Package firestore keeps the store's documents in Cloud Firestore, for any number of
// processes.
//
// # What is kept
//
//	shards/{00 to 63}/documents/{collection~uid~key}
//	  d  bytes    the document's data
//	  k  string   its id, which lists and tails go by
//	  w  string   when it is due, collection~microseconds: of what has such a time
//	  a  string   of an upload: uid~arrival~key, by which the newest is listed first
//	  n  integer  random, so that every write is a change
//
// The shard is store.ShardOf the uid. What is due of a shard, everybody, and what is
// a person's are each a range of one field of one collection, so that no composite
// index and none over a collection group is needed: the driver works in a database
// to which nothing was deployed. config/firestore turns off the indexes that no
// query uses. Lists go by the field k and not by the id, which Firestore reads
// upwards only. The times something is due rise, and an index that rises takes 500
// writes a second: there are 64 for each collection.
//
// # Versions
//
// A document's version is its update time in microseconds, and a condition is a
// precondition of the service on that time. Firestore gives commit times as Spanner
// does: two transactions that write one row never have the same, and the later has
// the greater. A delete is a transaction of the row, and a create behind it another:
// the document that is created is younger than the delete, which is younger than
// what it deleted, in one microsecond or in many. So no version comes back, and none
// is 0. What a backup is restored to is another database: nobody holds its versions.
//
// # What a call costs
//
//	Get           1 RPC, 1 read, also of what is not there
//	Batch         1 RPC: a write for each put, a delete for each delete, a read for each check
//	Batch, where the service refuses it: 1 RPC more, 1 read for each condition; none where
//	              what was to be created is there
//	List          1 RPC, a read for each document, 1 where there is none
//	Due           as List, for each of the collections
//	Tail          1 read, and 1 for each document that is behind all others; a stream that
//	              breaks goes on where it was
//	People        2 RPCs a shard, a read for each account and each consent
//	EraseUser     1 RPC a collection and 2 for each 500 documents; a read and a delete each
//	Ready         none where something was read and written within ten seconds, else 1 for each
//	              of the two that was not: a read, and a delete of what is never there
//
// A check is a verify, which only reads: the service's own mobile and Node clients
// send it, and the generated Go type lacks the field. There is no Stirring: one query
// over all shards would need an index that rises with all writes of all people. A look
// at an agenda on which nothing is due is a read for each shard and collection: every
// five seconds, 2.2 million reads a day.
//
// # Errors
//
// The service's words name documents. A fault has the gRPC code alone.
//
//	a precondition that does not hold      ErrConflict, once a document is seen in another version
//	ALREADY_EXISTS                         ErrConflict
//	ABORTED, and every version is as was   unavailable: nothing was applied
//	UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, INTERNAL, UNKNOWN, DATA_LOSS
//	                                       ErrUnknown of a Batch, unavailable of all else
//	RESOURCE_EXHAUSTED                     limit
//	INVALID_ARGUMENT, OUT_OF_RANGE         broken
//	every other                            unavailable
//
// No call is sent twice: a create that was applied and is sent again would find
// itself, and be called a conflict.
//
// # Limits
//
// A tail is a target of a Listen stream that it shares with at most 500; where the
// service takes fewer, or the stream is down, its tails have a token every ten seconds.
//
// # What was never run
//
// All of this was run on an emulator. On Google's own nobody has run it: the verify,
// a delete that demands that nothing is there, the number of targets of a stream, the
// ramp of a new collection, quotas, and what contention looks like. The suite runs
// there where CLARITY_CLOUD_PROJECT and CLARITY_CLOUD_DATABASE name a database.
package firestore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"sync"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	transport "google.golang.org/api/transport/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/internal/peer"
	"github.com/clarity-loop/clarity/services/internal/redial"
	"github.com/clarity-loop/clarity/services/store"
)

// A Config says which database it is.
type Config struct {
	Project, Database string // the database is to be named: "(default)" is a name
	Under             string // the document that everything lies below, COLLECTION/ID; "" is the database itself
	Endpoint          string // host:port; "" is Google's
	Emulator          bool   // the endpoint is an emulator's: no TLS, and nobody is asked who this is
	Connections       int    // of calls; 0 is 4. Each carries about 100 at a time
}

// Validate returns every fault of the config.
func (c Config) Validate() error {
	var faults []error
	if c.Project == "" {
		faults = append(faults, errors.New("firestore: no project"))
	}
	if c.Database == "" {
		faults = append(faults, errors.New("firestore: no database"))
	}
	if c.Under != "" && !underForm.MatchString(c.Under) {
		faults = append(faults, errors.New("firestore: under is COLLECTION/ID"))
	}
	if c.Emulator && c.Endpoint == "" {
		faults = append(faults, errors.New("firestore: an emulator has an endpoint"))
	}
	if c.Connections < 0 || c.Connections > maxConnections {
		faults = append(faults, fmt.Errorf("firestore: %d connections are not within 0 to %d", c.Connections, maxConnections))
	}
	return errors.Join(faults...)
}

// CallTimeout ends a call that nobody answers.
const CallTimeout = 30 * time.Second

var underForm = regexp.MustCompile(`^[a-z0-9-]+/[a-z0-9-]+$`)

const (
	google         = "firestore.googleapis.com:443"
	scope          = "https://www.googleapis.com/auth/datastore"
	maxConnections = 64
	believed       = 10 * time.Second // an answer is, as to whether the service is there
)

// A Store is a store.Driver over a database of Firestore.
type Store struct {
	calls, streams *grpcPool
	rpc            firestorepb.FirestoreClient
	database       string // projects/…/databases/…
	root           string // what the shards lie under
	emulator       bool
	hub            *hub
	reads, commits *peer.Peer // of which the service may do the one and not the other

	closing sync.Once
	closed  error
}

var _ store.Driver = (*Store)(nil)

// A grpcPool is connections of which each call takes one.
type grpcPool struct{ transport.ConnPool }

// Open makes the clients. It connects with the first call. The options are those of
// both clients: interceptors, credentials.
func Open(ctx context.Context, c Config, options ...option.ClientOption) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	database := fmt.Sprintf("projects/%s/databases/%s", c.Project, c.Database)
	root := database + "/documents"
	if c.Under != "" {
		root += "/" + c.Under
	}
	if c.Connections == 0 {
		c.Connections = 4
	}
	calls, err := dial(ctx, c, c.Connections, options...)
	if err != nil {
		return nil, fmt.Errorf("open firestore: %w", err)
	}
	// Tails have a connection of their own: there a stream stays, and on one of the
	// others it would take a call's place.
	streams, err := dial(ctx, c, 1, options...)
	if err != nil {
		return nil, fmt.Errorf("open firestore: %w", errors.Join(err, calls.Close()))
	}
	s := &Store{calls: calls, streams: streams, rpc: firestorepb.NewFirestoreClient(calls), database: database, root: root, emulator: c.Emulator,
		reads: peer.New(time.Now, believed), commits: peer.New(time.Now, believed)}
	listener := firestorepb.NewFirestoreClient(streams)
	s.hub = newHub(database, func(ctx context.Context) (listening, error) {
		return listener.Listen(s.outgoing(ctx, "database", database))
	})
	return s, nil
}

func dial(ctx context.Context, c Config, connections int, options ...option.ClientOption) (*grpcPool, error) {
	all := []option.ClientOption{
		option.WithEndpoint(google), option.WithScopes(scope), option.WithUserAgent("clarity"),
		option.WithGRPCConnectionPool(connections),
		option.WithGRPCDialOption(grpc.WithDisableRetry()),
		option.WithGRPCDialOption(redial.Soon()),
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second})),
	}
	if c.Endpoint != "" {
		all = append(all, option.WithEndpoint(c.Endpoint))
	}
	if c.Emulator {
		conn, err := transport.DialInsecure(ctx, append(append(all, option.WithoutAuthentication()), options...)...)
		if err != nil {
			return nil, err
		}
		return &grpcPool{single{conn}}, nil
	}
	pool, err := transport.DialPool(ctx, append(all, options...)...)
	if err != nil {
		return nil, err
	}
	return &grpcPool{pool}, nil
}

// single is a pool of one connection.
type single struct{ *grpc.ClientConn }

func (s single) Conn() *grpc.ClientConn { return s.ClientConn }
func (s single) Num() int               { return 1 }

// Close ends every tail's stream and closes the connections, once.
func (s *Store) Close() error {
	s.hub.close()
	s.closing.Do(func() {
		if err := errors.Join(s.calls.Close(), s.streams.Close()); err != nil {
			s.closed = store.Fault("close", answered(context.Background(), err))
		}
	})
	return s.closed
}

// outgoing has the call find its database, by what the request says of itself.
func (s *Store) outgoing(ctx context.Context, name, value string) context.Context {
	headers := []string{"google-cloud-resource-prefix", s.database, "x-goog-request-params", name + "=" + url.QueryEscape(value)}
	if s.emulator {
		headers = append(headers, "authorization", "Bearer owner") // whom no rule stops
	}
	return metadata.AppendToOutgoingContext(ctx, headers...)
}

// Ready is nil where documents were read and written a moment ago, or else can be now. Where
// they can be read alone, that is partly so.
func (s *Store) Ready(ctx context.Context) error {
	nothing := s.root + "/probes/nothing"
	err := s.reads.Ready(ctx, func(ctx context.Context) error {
		return s.read(ctx, []string{nothing}, []string{fieldNonce}, func(string, *firestorepb.Document) error { return nil })
	})
	if err != nil {
		return store.Fault("ready", err)
	}
	err = s.commits.Ready(ctx, func(ctx context.Context) error {
		_, err := s.commit(ctx, []*firestorepb.Write{{Operation: &firestorepb.Write_Delete{Delete: nothing}}})
		return answered(ctx, err)
	})
	return fault.Partly(store.Fault("ready", err))
}

// saw takes note of how a call ended, unless it was the caller that ended it.
func saw(caller context.Context, p *peer.Peer, err error) {
	if err == nil || caller.Err() == nil {
		p.Saw(err)
	}
}
