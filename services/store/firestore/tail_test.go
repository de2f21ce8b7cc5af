package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/firestore"
)

// shows says that a document is there, to a target.
func shows(stream firestorepb.Firestore_ListenServer, target int32, uid, key string) error {
	id := &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: "deliveries~" + uid + "~" + key}}
	return stream.Send(&firestorepb.ListenResponse{ResponseType: &firestorepb.ListenResponse_DocumentChange{DocumentChange: &firestorepb.DocumentChange{
		Document: &firestorepb.Document{Fields: map[string]*firestorepb.Value{"k": id}}, TargetIds: []int32{target}}}})
}

func soon(t *testing.T, tokens <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-tokens:
	case <-time.After(30 * time.Second):
		t.Fatalf("no token %s", what)
	}
}

func none(t *testing.T, tokens <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-tokens:
		t.Fatalf("a token %s", what)
	case <-time.After(50 * time.Millisecond):
	}
}

// A stream that breaks is opened again, for all that it was for. What was written
// meanwhile is told, what was told before is not.
func TestATailOutlivesItsStream(t *testing.T) {
	var there = map[int]string{1: "3", 2: "3", 3: "5"} // by the number of the stream
	release := make(chan struct{})
	s := &service{listen: func(call int, stream firestorepb.Firestore_ListenServer) error {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := shows(stream, req.GetAddTarget().GetTargetId(), "u", there[call]); err != nil {
			return err
		}
		if call < 3 {
			<-release
			return worded(codes.Unavailable)
		}
		<-stream.Context().Done()
		return nil
	}}
	d := serve(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	tokens, err := d.Tail(ctx, "deliveries", "u", "1")
	if err != nil {
		t.Fatal(err)
	}
	soon(t, tokens, "of what is there behind the cursor")
	release <- struct{}{}
	for began := time.Now(); s.called("listen") < 2; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the stream is not opened again")
		}
	}
	none(t, tokens, "of what was told before the stream broke")
	release <- struct{}{}
	soon(t, tokens, "of what was written while there was no stream")
	cancel()
	for range tokens { // it is closed
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Tail(t.Context(), "deliveries", "u", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a tail of a store that is closed: %v", err)
	}
}

// A stream that is opened again says where each tail was; one that was not answered then
// says so no more: it may be for that.
func TestAStreamGoesOnWhereItWas(t *testing.T) {
	asked := make(chan string, 10)
	s := &service{listen: func(call int, stream firestorepb.Firestore_ListenServer) error {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		target := req.GetAddTarget()
		asked <- string(target.GetResumeToken())
		say := func(kind firestorepb.TargetChange_TargetChangeType, token string, of ...int32) error {
			return stream.Send(&firestorepb.ListenResponse{ResponseType: &firestorepb.ListenResponse_TargetChange{TargetChange: &firestorepb.TargetChange{
				TargetChangeType: kind, ResumeToken: []byte(token), TargetIds: of}}})
		}
		switch call {
		case 1: // what is of all is not of who is not heard of yet
			if err := errors.Join(say(firestorepb.TargetChange_NO_CHANGE, "before"), shows(stream, target.GetTargetId(), "u", "1")); err != nil {
				return err
			}
		case 2:
			if err := errors.Join(say(firestorepb.TargetChange_CURRENT, "here", target.GetTargetId()), say(firestorepb.TargetChange_NO_CHANGE, "later")); err != nil {
				return err
			}
		case 4:
			<-stream.Context().Done()
			return nil
		}
		return worded(codes.Unavailable)
	}}
	d := serve(t, s)
	if _, err := d.Tail(t.Context(), "deliveries", "u", ""); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 4 {
		select {
		case token := <-asked:
			got = append(got, token)
		case <-time.After(time.Minute):
			t.Fatalf("asked %q", got)
		}
	}
	if diff := cmp.Diff([]string{"", "", "later", ""}, got); diff != "" {
		t.Errorf("where it goes on (-want +asked):\n%s", diff)
	}
}

// The people of a replica are on one stream, and each is told of what is theirs alone.
func TestThreeHundredPhonesAreOnOneStream(t *testing.T) {
	c := database(t)
	var r record
	d := open(t, c, r.options()...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const people = 300
	tails := make([]<-chan struct{}, people)
	for i := range tails {
		var err error
		if tails[i], err = d.Tail(ctx, "deliveries", fmt.Sprint("phone-", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	var slowest time.Duration
	for i := range tails {
		wrote := time.Now()
		put(t, d, store.Key{Collection: "deliveries", UID: fmt.Sprint("phone-", i), Key: "0001"}, 0)
		soon(t, tails[i], fmt.Sprintf("of phone %d", i))
		slowest = max(slowest, time.Since(wrote))
	}
	for i := range tails {
		select {
		case <-tails[i]:
			t.Errorf("phone %d is told of another's", i)
		default:
		}
	}
	t.Logf("%d phones were told, the slowest in %v", people, slowest)
	if n := strings.Count(strings.Join(r.take(), " "), "Listen"); n != 1 {
		t.Errorf("%d phones are on %d streams, want 1", people, n)
	}
	cancel()
	for _, tokens := range tails {
		for range tokens {
		}
	}
}

// Of whom the service does not listen, the driver does not keep silent.
func TestATailThatIsRefusedAsks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as it asks: ten seconds")
	}
	again := make(chan int32, 10)
	s := &service{listen: func(_ int, stream firestorepb.Firestore_ListenServer) error {
		for {
			req, err := stream.Recv()
			if err != nil {
				return err
			}
			target := req.GetAddTarget().GetTargetId()
			if target == 0 {
				continue
			}
			again <- target
			if err := stream.Send(&firestorepb.ListenResponse{ResponseType: &firestorepb.ListenResponse_TargetChange{TargetChange: &firestorepb.TargetChange{
				TargetChangeType: firestorepb.TargetChange_REMOVE, TargetIds: []int32{target}}}}); err != nil {
				return err
			}
		}
	}}
	d := serve(t, s)
	tokens, err := d.Tail(t.Context(), "deliveries", "u", "")
	if err != nil {
		t.Fatal(err)
	}
	first := <-again
	soon(t, tokens, "as it was refused")
	began := time.Now()
	soon(t, tokens, "ten seconds later")
	if took := time.Since(began); took < time.Second {
		t.Errorf("the next token comes after %v", took)
	}
	if second := <-again; second == first {
		t.Errorf("the number %d is given twice on one stream", first)
	}
}

// Hundreds of people are on few streams, which no call has to wait for; a tail costs a
// target of one.
func TestTailsShareStreams(t *testing.T) {
	c := database(t)
	var r record
	d := open(t, c, r.options()...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const people = 1200
	tails := make([]<-chan struct{}, people)
	for i := range tails {
		var err error
		if tails[i], err = d.Tail(ctx, "deliveries", fmt.Sprint("person-", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	for i := range tails {
		k := store.Key{Collection: "deliveries", UID: fmt.Sprint("person-", i), Key: "0001"}
		if _, err := d.Batch(ctx, []store.Write{{Key: k, Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range tails {
		soon(t, tails[i], fmt.Sprintf("of person %d", i))
	}
	t.Logf("%d people were told in %v", people, time.Since(began))
	if n := strings.Count(strings.Join(r.take(), " "), "Listen"); n != 3 {
		t.Errorf("%d people are on %d streams, want 3", people, n)
	}
	cancel()
	for _, tokens := range tails {
		for range tokens {
		}
	}
}

// A tail that nobody writes to costs no call but the one that listens.
func TestATailCostsOneStream(t *testing.T) {
	var r record
	d := open(t, database(t), r.options()...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tokens, err := d.Tail(ctx, "deliveries", "u", "")
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, store.Key{Collection: "deliveries", UID: "u", Key: "2"}, 0)
	soon(t, tokens, "of what was written")
	put(t, d, store.Key{Collection: "deliveries", UID: "u", Key: "1"}, 0)
	put(t, d, store.Key{Collection: "results", UID: "u", Key: "9"}, 0)
	put(t, d, store.Key{Collection: "deliveries", UID: "u2", Key: "9"}, 0)
	none(t, tokens, "of a smaller key, another collection or another person")
	put(t, d, store.Key{Collection: "deliveries", UID: "u", Key: "3"}, 0)
	soon(t, tokens, "of the greatest")
	if n := strings.Count(strings.Join(r.take(), " "), "Listen"); n != 1 {
		t.Errorf("%d streams", n)
	}
}

func put(t *testing.T, d *firestore.Store, k store.Key, ifVersion int64) int64 {
	t.Helper()
	versions, err := d.Batch(context.Background(), []store.Write{{Key: k, IfVersion: ifVersion, Data: []byte("x")}})
	if err != nil {
		t.Fatalf("put if version %d: %v", ifVersion, err)
	}
	return versions[0]
}
