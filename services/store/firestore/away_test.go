package firestore_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/firestore"
)

// A service that stalls while it is at a batch leaves it unknown, in the caller's time
// and not its own, and is not ready. Once it goes on, reading tells.
func TestAServiceThatStalls(t *testing.T) {
	e := begin(t)
	d := open(t, e.config())
	tokens, err := d.Tail(t.Context(), "deliveries", "u", "")
	if err != nil {
		t.Fatal(err)
	}
	k := store.Key{Collection: "deliveries", UID: "u", Key: "1"}
	put(t, d, k, 0)
	soon(t, tokens, "before it stalls")
	e.signal(t, syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	k.Key = "2"
	if _, err := d.Batch(ctx, []store.Write{{Key: k, Data: []byte("x")}}); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want that it is not known in time", err)
	}
	if err := d.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ready: %v, want that it is not", err)
	}
	e.signal(t, syscall.SIGCONT)
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v, as it goes on", err)
	}
	before, err := d.Get(t.Context(), k)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := d.Batch(t.Context(), []store.Write{{Key: k, IfVersion: before.Version, Data: []byte("y")}}); err != nil {
		t.Errorf("a write over what was read: %v", err)
	}
	soon(t, tokens, "of what was written as it went on")
}

// A service that dies and comes back: calls go through again, and tails see it.
func TestAServiceThatIsGoneForAWhile(t *testing.T) {
	e := begin(t)
	d := open(t, e.config())
	tokens, err := d.Tail(t.Context(), "deliveries", "u", "")
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, store.Key{Collection: "deliveries", UID: "u", Key: "1"}, 0)
	soon(t, tokens, "before it is gone")
	e.kill()
	k := store.Key{Collection: "deliveries", UID: "u", Key: "2"}
	if _, err := d.Batch(t.Context(), []store.Write{{Key: k, Data: []byte("x")}}); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("%v, want that it is not known", err)
	}
	e.start(t)
	for began := time.Now(); d.Ready(t.Context()) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("it is back, and the driver is not ready")
		}
	}
	put(t, d, k, 0)
	soon(t, tokens, "of what was written as it was back")
}

// Where it is Google's, the endpoint is asked over TLS with the token of who this is, on
// so many connections, and whatever the environment says of an emulator.
func TestTheServiceIsShownWhoThisIs(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	certified.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	var mu sync.Mutex
	shown, peers := map[string][]string{}, map[string]bool{}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certified.TLS.Certificates[0])),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			headers, _ := metadata.FromIncomingContext(ctx)
			from, _ := peer.FromContext(ctx)
			mu.Lock()
			defer mu.Unlock()
			peers[from.Addr.String()] = true
			for _, name := range []string{"authorization", "google-cloud-resource-prefix", "x-goog-request-params"} {
				shown[name] = headers.Get(name)
			}
			return handle(ctx, req)
		}))
	s := &service{calls: map[string]int{}, commit: func(*firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
		return &firestorepb.CommitResponse{}, nil
	}}
	firestorepb.RegisterFirestoreServer(server, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	defer func() { server.Stop(); <-done }()
	d, err := firestore.Open(t.Context(), firestore.Config{Project: "p", Database: "d", Endpoint: l.Addr().String(), Connections: 3},
		option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "of-this-process"})),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}))))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 9 {
		if _, err := d.Batch(t.Context(), []store.Write{{Key: at, IfVersion: store.Any}}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]string{"authorization": {"Bearer of-this-process"}, "google-cloud-resource-prefix": {"projects/p/databases/d"},
		"x-goog-request-params": {"database=projects%2Fp%2Fdatabases%2Fd"}}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if len(peers) != 3 {
		t.Errorf("%d connections, want 3", len(peers))
	}
}

// The largest batch that the driver lets through, and a list of it.
func TestTheLargestBatchFits(t *testing.T) {
	d := open(t, database(t))
	var writes []store.Write
	for i := range 10 {
		writes = append(writes, store.Write{Key: store.Key{Collection: "days", UID: "u", Key: fmt.Sprintf("%02d", i)}, Data: make([]byte, store.MaxDocument)})
	}
	if _, err := d.Batch(t.Context(), writes); err != nil {
		t.Fatal(err)
	}
	docs, err := d.List(t.Context(), store.Query{Collection: "days", UID: "u", Limit: store.MaxLimit})
	if err != nil || len(docs) != len(writes) || slices.ContainsFunc(docs, func(d store.Document) bool { return len(d.Data) != store.MaxDocument }) {
		t.Errorf("%d documents, %v", len(docs), err)
	}
}
