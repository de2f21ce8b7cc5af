package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	monitoring "cloud.google.com/go/monitoring/apiv3/v2"
	client "cloud.google.com/go/pubsub/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/clarity-loop/clarity/services/internal/peer"
	"github.com/clarity-loop/clarity/services/internal/redial"
	"github.com/clarity-loop/clarity/services/queue"
)

// Config says where the topics are.
type Config struct {
	Project string
	// Prefix is in front of the name of each topic and subscription. It may be empty
	// where the project is the platform's alone.
	Prefix string
	// Endpoint is the host and port of a region: messages of a key are in order
	// within one. Empty is the nearest.
	Endpoint string
	// Emulator is the address of a stand-in for Pub/Sub and Cloud Monitoring, which
	// is spoken to without credentials and TLS. Empty is Google's.
	Emulator string
	// CountEvery is for how long what Cloud Monitoring counted is believed.
	CountEvery time.Duration

	dial    []grpc.DialOption // of tests
	counter string            // the address of a test's Cloud Monitoring
}

// A Queue is a queue.Driver over Pub/Sub.
type Queue struct {
	names     names
	client    *client.Client
	monitor   *monitoring.MetricClient
	topics    map[string]*client.Publisher
	consumers queue.Consumers
	shelf     shelf
	now       func() time.Time
	there     *peer.Peer   // the service
	refused   atomic.Int32 // receivers that wait, since what they asked for was refused
	counted   counted

	closed chan struct{}

	mu        sync.Mutex
	hands     map[subscription]int
	receivers sync.WaitGroup
}

var _ queue.Driver = (*Queue)(nil)

// A subscription is a topic and one of its consumers.
type subscription struct{ topic, consumer string }

// PublishTimeout ends a Publish that nobody answers.
const PublishTimeout = 15 * time.Second

// gather is how long a key's messages are gathered for one call.
const gather = 2 * time.Millisecond

// Open opens the queue for these consumers. The topics and subscriptions have to
// be there; documents is a place of the queue's own.
func Open(ctx context.Context, cfg Config, consumers queue.Consumers, documents Documents, now func() time.Time) (*Queue, error) {
	if err := legal(consumers); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	c, err := client.NewClient(ctx, cfg.Project, cfg.options(cfg.Endpoint, cfg.Emulator)...)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", faulted("open", err))
	}
	monitor, err := monitoring.NewMetricClient(ctx, cfg.options("", cmp.Or(cfg.counter, cfg.Emulator))...)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", faulted("open", errors.Join(err, c.Close())))
	}
	q := &Queue{
		names: names{cfg.Project, cfg.Prefix}, client: c, monitor: monitor, consumers: maps.Clone(consumers),
		shelf: shelf{documents, now}, now: now, there: peer.New(now, readyFor), counted: counted{every: cfg.CountEvery},
		topics: map[string]*client.Publisher{}, closed: make(chan struct{}), hands: map[subscription]int{},
	}
	for topic := range consumers {
		p := c.Publisher(q.names.topic(topic))
		p.EnableMessageOrdering = true
		p.PublishSettings.DelayThreshold = gather
		p.PublishSettings.Timeout = PublishTimeout
		q.topics[topic] = p
	}
	return q, nil
}

func (cfg Config) options(endpoint, emulator string) []option.ClientOption {
	var options []option.ClientOption
	dial := append([]grpc.DialOption{redial.Soon()}, cfg.dial...)
	switch {
	case emulator != "":
		options = append(options, option.WithEndpoint(emulator), option.WithoutAuthentication())
		dial = append(dial, grpc.WithTransportCredentials(insecure.NewCredentials()))
	case endpoint != "":
		options = append(options, option.WithEndpoint(endpoint))
	}
	for _, d := range dial {
		options = append(options, option.WithGRPCDialOption(d))
	}
	return append(options, option.WithTelemetryDisabled())
}

// Close ends every Receive with queue.ErrClosed, waits for them, sends what waits
// to be published, and hangs up.
func (q *Queue) Close() error {
	q.mu.Lock()
	before := q.isClosed()
	if !before {
		close(q.closed)
	}
	q.mu.Unlock()
	if before {
		return nil
	}
	q.receivers.Wait()
	for _, p := range q.topics {
		p.Stop()
	}
	return faulted("close", errors.Join(q.client.Close(), q.monitor.Close()))
}

// begin counts a receiver in; false where the queue is closed.
func (q *Queue) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isClosed() {
		return false
	}
	q.receivers.Add(1)
	return true
}

func (q *Queue) isClosed() bool {
	select {
	case <-q.closed:
		return true
	default:
		return false
	}
}

// usable is an error where the caller's context has ended, or the queue is closed.
func (q *Queue) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if q.isClosed() {
		return queue.ErrClosed
	}
	return nil
}

// known refuses a subscription that is not on the list.
func (q *Queue) known(doing, topic, name string) error {
	if !q.consumers.Has(topic, name) {
		return fmt.Errorf("%s of %q for %q: %w", doing, topic, name, queue.ErrNoSubscription)
	}
	return nil
}

// inHand counts what handlers of this process hold.
func (q *Queue) inHand(s subscription, more int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hands[s] += more
}

var legalName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]*$`)

// legal refuses names that no topic or document can have.
func legal(consumers queue.Consumers) error {
	for topic, names := range consumers {
		for _, name := range append([]string{topic}, names...) {
			if !legalName.MatchString(name) || len(name) > 80 {
				return fmt.Errorf("%q is no name of a topic or consumer", name)
			}
		}
		if slices.Contains(names, lost) {
			return fmt.Errorf("no consumer may be named %q", lost)
		}
	}
	return nil
}
