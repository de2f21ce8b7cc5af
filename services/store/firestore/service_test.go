package firestore_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/firestore"
)

// A service answers as a test has it, and counts the calls.
type service struct {
	firestorepb.UnimplementedFirestoreServer

	mu     sync.Mutex
	calls  map[string]int
	commit func(*firestorepb.CommitRequest) (*firestorepb.CommitResponse, error)
	get    func(name string) (*firestorepb.Document, error) // nil: not there
	query  error
	listen func(call int, stream firestorepb.Firestore_ListenServer) error
}

func (s *service) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[what]++
	return s.calls[what]
}

func (s *service) called(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[what]
}

func (s *service) Commit(_ context.Context, req *firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
	s.count("commit")
	return s.commit(req)
}

func (s *service) BatchGetDocuments(req *firestorepb.BatchGetDocumentsRequest, stream firestorepb.Firestore_BatchGetDocumentsServer) error {
	s.count("get")
	for _, name := range req.GetDocuments() {
		d, err := s.get(name)
		if err != nil {
			return err
		}
		res := &firestorepb.BatchGetDocumentsResponse{Result: &firestorepb.BatchGetDocumentsResponse_Missing{Missing: name}}
		if d != nil {
			d.Name = name
			res.Result = &firestorepb.BatchGetDocumentsResponse_Found{Found: d}
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) RunQuery(*firestorepb.RunQueryRequest, firestorepb.Firestore_RunQueryServer) error {
	s.count("query")
	return s.query
}

func (s *service) Listen(stream firestorepb.Firestore_ListenServer) error {
	return s.listen(s.count("listen"), stream)
}

// serve starts the service and opens a store over it.
func serve(t *testing.T, s *service) *firestore.Store {
	t.Helper()
	s.calls = map[string]int{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	firestorepb.RegisterFirestoreServer(server, s)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return open(t, firestore.Config{Project: "p", Database: "d", Endpoint: l.Addr().String(), Emulator: true})
}

// at is a document of whom no error may name.
var at = store.Key{Collection: "days", UID: faulttest.Mark, Key: faulttest.Mark}

const (
	demanded = 1_700_000_000_000_001
	other    = 1_700_000_000_000_002
)

// version is a document in it; 0 is none.
func version(v int64) func(string) (*firestorepb.Document, error) {
	return func(string) (*firestorepb.Document, error) {
		if v == 0 {
			return nil, nil
		}
		return &firestorepb.Document{UpdateTime: &timestamppb.Timestamp{Seconds: v / 1e6, Nanos: int32(v % 1e6 * 1000)}}, nil
	}
}

// worded is the service's own answer, which names the document.
func worded(c codes.Code) error {
	return status.Error(c, "projects/p/databases/d/documents/days~"+faulttest.Mark+"~"+faulttest.Mark)
}

// What a commit that did not go through came to: it is said to have been applied, or
// to be in conflict, where that is so and not otherwise, and it is never sent twice.
func TestWhatACommitCameTo(t *testing.T) {
	write := store.Write{Key: at, IfVersion: demanded, Data: []byte("x")}
	create, anyway := write, write
	create.IfVersion, anyway.IfVersion = 0, store.Any
	for name, c := range map[string]struct {
		write store.Write
		code  codes.Code
		there int64 // the version that is there, where somebody looks
		want  error // nil: none of the sentinels
		class fault.Class
		reads int
	}{
		"what was to be created is there":        {create, codes.AlreadyExists, other, store.ErrConflict, fault.Conflict, 0},
		"another version":                        {write, codes.FailedPrecondition, other, store.ErrConflict, fault.Conflict, 1},
		"it is gone":                             {write, codes.NotFound, 0, store.ErrConflict, fault.Conflict, 1},
		"an older version":                       {write, codes.InvalidArgument, demanded - 1, store.ErrConflict, fault.Conflict, 1},
		"a commit beside it was first":           {write, codes.Aborted, other, store.ErrConflict, fault.Conflict, 1},
		"contention, and nobody was first":       {write, codes.Aborted, demanded, nil, fault.Unavailable, 1},
		"contention of a create, and nobody was": {create, codes.Aborted, 0, nil, fault.Unavailable, 1},
		"contention of what demands nothing":     {anyway, codes.Aborted, other, nil, fault.Unavailable, 0},
		"a database that is none":                {write, codes.NotFound, demanded, nil, fault.Unavailable, 1},
		"a database of another kind":             {anyway, codes.FailedPrecondition, 0, nil, fault.Unavailable, 0},
		"a request that is none":                 {write, codes.InvalidArgument, demanded, nil, fault.Broken, 1},
		"a quota":                                {write, codes.ResourceExhausted, 0, nil, fault.Limit, 0},
		"no permission":                          {write, codes.PermissionDenied, 0, nil, fault.Unavailable, 0},
		"nobody known":                           {write, codes.Unauthenticated, 0, nil, fault.Unavailable, 0},
		"away":                                   {write, codes.Unavailable, 0, store.ErrUnknown, fault.Unavailable, 0},
		"away, of a create that may be there":    {create, codes.Unavailable, 0, store.ErrUnknown, fault.Unavailable, 0},
		"too late":                               {write, codes.DeadlineExceeded, 0, store.ErrUnknown, fault.Unavailable, 0},
		"broken inside":                          {write, codes.Internal, 0, store.ErrUnknown, fault.Unavailable, 0},
		"cancelled there":                        {write, codes.Canceled, 0, store.ErrUnknown, fault.Unavailable, 0},
		"unknown":                                {write, codes.Unknown, 0, store.ErrUnknown, fault.Unavailable, 0},
		"lost":                                   {write, codes.DataLoss, 0, store.ErrUnknown, fault.Unavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{get: version(c.there), commit: func(*firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) { return nil, worded(c.code) }}
			_, err := serve(t, s).Batch(t.Context(), []store.Write{c.write})
			faulttest.Of(t, err, "store", "write")
			var f *fault.Error
			if !errors.As(err, &f) || f.Class != c.class {
				t.Errorf("%v, want a fault of the class %s", err, c.class)
			}
			for _, is := range []error{store.ErrConflict, store.ErrUnknown, store.ErrTooLarge, store.ErrNotFound, store.ErrKey} {
				if wanted := c.want != nil && errors.Is(c.want, is); errors.Is(err, is) != wanted {
					t.Errorf("%v: is %q: %v", err, is, errors.Is(err, is))
				}
			}
			if s.called("commit") != 1 || s.called("get") != c.reads {
				t.Errorf("%d commits and %d reads, want 1 and %d", s.called("commit"), s.called("get"), c.reads)
			}
		})
	}
}

// Where the look cannot be had either, it is no conflict.
func TestAConflictThatNobodyCanLookAtIsNone(t *testing.T) {
	s := &service{
		commit: func(*firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
			return nil, worded(codes.FailedPrecondition)
		},
		get: func(string) (*firestorepb.Document, error) { return nil, worded(codes.Unavailable) },
	}
	_, err := serve(t, s).Batch(t.Context(), []store.Write{{Key: at, IfVersion: demanded, Data: []byte("x")}})
	if err == nil || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("%v, want that nothing was applied and that no more is known", err)
	}
}

// A caller who has gone while the service was at it does not know what it did.
func TestAContextThatEndsMeanwhileLeavesItUnknown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &service{commit: func(*firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
		cancel()
		<-t.Context().Done()
		return nil, worded(codes.Canceled)
	}}
	_, err := serve(t, s).Batch(ctx, []store.Write{{Key: at, Data: []byte("x")}})
	if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it is not known, since the context was cancelled", err)
	}
}

// No text of an error, nor of what it was made of, has a word of the service's.
func TestNoErrorSaysWhatTheServiceSaid(t *testing.T) {
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		s := &service{
			commit: func(*firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) { return nil, worded(c) },
			get:    func(string) (*firestorepb.Document, error) { return nil, worded(c) },
			query:  worded(c),
		}
		d := serve(t, s)
		ctx := t.Context()
		_, get := d.Get(ctx, at)
		_, list := d.List(ctx, store.Query{Collection: at.Collection, UID: at.UID, Limit: 1})
		_, due := d.Due(ctx, []string{"agenda"}, 0, epoch, 1)
		_, people := d.People(ctx, "", 1)
		_, write := d.Batch(ctx, []store.Write{{Key: at, IfVersion: store.Any, Data: []byte(faulttest.Mark)}})
		for op, err := range map[string]error{"get": get, "list": list, "due": due, "list people": people, "write": write,
			"erase": d.EraseUser(ctx, at.UID), "ready": d.Ready(ctx)} {
			faulttest.Of(t, err, "store", op)
			if errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s, as the service said %v: %v; a database that is none has no documents to miss", op, c, err)
			}
			everyCause(err, func(cause error) { faulttest.NamesNobody(t, op, cause) })
		}
		for what, n := range map[string]int{"get": 2, "query": 4, "commit": 1} {
			if s.called(what) != n {
				t.Errorf("%v: %d times %s, want %d: no call is sent twice", c, s.called(what), what, n)
			}
		}
	}
}

func everyCause(err error, see func(error)) {
	if err == nil {
		return
	}
	see(err)
	switch e := err.(type) { //nolint:errorlint // each link of the chain
	case interface{ Unwrap() error }:
		everyCause(e.Unwrap(), see)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			everyCause(one, see)
		}
	}
}

// What lies there and is not of this driver is damage, and no document.
func TestADocumentOfAnotherFormIsDamage(t *testing.T) {
	s := &service{get: version(demanded)}
	_, err := serve(t, s).Get(t.Context(), at)
	var f *fault.Error
	if !errors.As(err, &f) || f.Class != fault.Broken {
		t.Errorf("%v, want a fault of the class broken", err)
	}
}

// Whether the service reads and whether it writes are two things: of each it is asked where
// no call of the kind went through a moment ago. Who only reads is partly ready.
func TestReadyIsAskedOfTheServiceUntilCallsGoThrough(t *testing.T) {
	var unwritten, unread atomic.Bool
	answer := func(away *atomic.Bool) error {
		if away.Load() {
			return worded(codes.Unavailable)
		}
		return nil
	}
	s := &service{
		commit: func(*firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
			return &firestorepb.CommitResponse{WriteResults: []*firestorepb.WriteResult{{UpdateTime: timestamppb.New(epoch)}}}, answer(&unwritten)
		},
		get: func(string) (*firestorepb.Document, error) { return nil, answer(&unread) },
	}
	d := serve(t, s)
	const whole, partly, not = "whole", "partly", "not"
	ready := func(what, want string, gets, commits int) {
		t.Helper()
		got, err := not, d.Ready(t.Context())
		switch {
		case err == nil:
			got = whole
		case fault.IsPartly(err):
			got = partly
		}
		if got != want || s.called("get") != gets || s.called("commit") != commits {
			t.Errorf("%s: %s (%v) after %d reads and %d commits, want %s after %d and %d", what, got, err, s.called("get"), s.called("commit"), want, gets, commits)
		}
	}
	write := func() { _, _ = d.Batch(t.Context(), []store.Write{{Key: at, IfVersion: store.Any, Data: []byte("x")}}) }
	read := func() { _, _ = d.Get(t.Context(), at) }
	list := func() { _, _ = d.List(t.Context(), store.Query{Collection: at.Collection, UID: at.UID, Limit: 1}) }
	ready("nothing was asked yet", whole, 1, 1)
	ready("both went through", whole, 1, 1)
	unwritten.Store(true)
	write()
	ready("nothing is written", partly, 1, 3)
	ready("nor a moment later", partly, 1, 3)
	unwritten.Store(false)
	write()
	ready("a commit went through", whole, 1, 4)
	unread.Store(true)
	read()
	ready("nothing is read", not, 3, 4)
	write()
	ready("whatever is written", not, 3, 5)
	unread.Store(false)
	list()
	ready("something was listed", whole, 3, 5)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = d.Get(gone, at)
	ready("who goes says nothing of it", whole, 3, 5)
}

func TestAnIllegalConfigSaysAllThatIsWrong(t *testing.T) {
	err := firestore.Config{Emulator: true, Connections: -1}.Validate()
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 4 {
		t.Errorf("%v, want four faults", err)
	}
	if _, err := firestore.Open(t.Context(), firestore.Config{Project: "p"}); err == nil {
		t.Error("it is opened without a database")
	}
}
