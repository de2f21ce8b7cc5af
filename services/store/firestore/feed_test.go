package firestore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/firestore"
)

// told are events of these refs.
func told(refs ...string) (all []notice.Event) {
	for _, ref := range refs {
		all = append(all, notice.Event{Kind: flow.ResultStored, Ref: ref, Version: "v", At: epoch})
	}
	return all
}

// A reader sees what lies in an emulator, as its owner does.
type reader struct {
	t        *testing.T
	rpc      firestorepb.FirestoreClient
	database string
}

// feedIn opens a feed in an emulator, and who sees what it writes.
func feedIn(t *testing.T) (*firestore.Store, reader, *record) {
	t.Helper()
	p := begin(t)
	c := p.config()
	r := &record{}
	s, err := firestore.Open(t.Context(), c, r.options()...)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); s.Close() })
	return s, reader{t, firestorepb.NewFirestoreClient(conn), fmt.Sprintf("projects/%s/databases/%s", c.Project, c.Database)}, r
}

// at is the document, nil where there is none.
func (r reader) at(path string) map[string]*firestorepb.Value {
	r.t.Helper()
	ctx := metadata.AppendToOutgoingContext(r.t.Context(), "authorization", "Bearer owner", "google-cloud-resource-prefix", r.database)
	stream, err := r.rpc.BatchGetDocuments(ctx, &firestorepb.BatchGetDocumentsRequest{Database: r.database, Documents: []string{r.database + "/documents/" + path}})
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := stream.Recv()
	if err != nil {
		r.t.Fatal(err)
	}
	return res.GetFound().GetFields()
}

// head is the number of the newest event.
func (r reader) head(uid string) int64 { return r.at("feeds/" + uid)["last"].GetIntegerValue() }

// refs are those of the events of these numbers.
func (r reader) refs(uid string, first, last int) (refs []string) {
	for n := first; n <= last; n++ {
		refs = append(refs, r.at(fmt.Sprintf("feeds/%s/events/%016x", uid, n))["ref"].GetStringValue())
	}
	return refs
}

// What is told has the numbers of the API's events, is there whatever is told twice or
// late, and costs a call.
func TestAFeedIsWhatWasTold(t *testing.T) {
	s, in, calls := feedIn(t)
	feed := s.Feed()
	tell := func(first uint64, refs ...string) {
		t.Helper()
		if err := feed.Tell(t.Context(), "anna", first, told(refs...)); err != nil {
			t.Fatal(err)
		}
	}
	tell(1, "a")
	tell(2, "b", "c")
	tell(5, "e") // what is before comes late
	tell(4, "d")
	tell(2, "b", "c")
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, in.refs("anna", 1, 5)); diff != "" {
		t.Errorf("events (-want +there):\n%s", diff)
	}
	if last := in.head("anna"); last != 5 {
		t.Errorf("the newest is %d, want 5", last)
	}
	event := in.at("feeds/anna/events/0000000000000001")
	if kind, expires := event["kind"].GetStringValue(), event["expires"].GetTimestampValue().AsTime(); kind != "result.stored" || !expires.Equal(epoch.Add(30*24*time.Hour)) || len(event) != 5 {
		t.Errorf("%v", event)
	}
	if diff := cmp.Diff(strings.Fields(strings.Repeat("Commit ", 5)), calls.take()); diff != "" {
		t.Errorf("calls (-want +made):\n%s", diff)
	}
}

// Who is erased has no feed, and nobody else loses theirs.
func TestAFeedIsForgotten(t *testing.T) {
	s, in, _ := feedIn(t)
	feed := s.Contents(func() time.Time { return epoch })
	for first := uint64(1); first < 1200; first += 100 {
		if err := feed.Tell(t.Context(), "anna", first, told(strings.Split(strings.Repeat("x ", 99)+"x", " ")...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"results", "insights"} {
		if err := feed.Show(t.Context(), "anna", kind, "2026-11-20", []byte(`{"a":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := feed.Tell(t.Context(), "ben", 1, told("b")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be repeated
		if err := feed.Forget(t.Context(), "anna"); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"feeds/anna", "feeds/anna/events/0000000000000001", "feeds/anna/events/00000000000004b0", "feeds/anna/results/2026-11-20", "feeds/anna/insights/2026-11-20"} {
		if left := in.at(path); left != nil {
			t.Errorf("%s is left", path)
		}
	}
	if in.head("ben") != 1 {
		t.Error("another's feed is gone")
	}
}

// What there is to see is as the API shows it, and goes when it is withdrawn.
func TestAFeedShowsWhatThereIsToSee(t *testing.T) {
	s, in, _ := feedIn(t)
	feed := s.Contents(func() time.Time { return epoch })
	document := `{"date":"2026-11-20","result":{"sleep":{"total_sleep_time_minutes":432.5,"wake":null},"nights":[{"awakenings":3}],"proxy":true}}`
	if err := feed.Show(t.Context(), "anna", "results", "2026-11-20", []byte(document)); err != nil {
		t.Fatal(err)
	}
	there := in.at("feeds/anna/results/2026-11-20")
	result := there["result"].GetMapValue().GetFields()
	sleep := result["sleep"].GetMapValue().GetFields()
	if sleep["total_sleep_time_minutes"].GetDoubleValue() != 432.5 || !isNull(sleep["wake"]) || !result["proxy"].GetBooleanValue() ||
		result["nights"].GetArrayValue().GetValues()[0].GetMapValue().GetFields()["awakenings"].GetIntegerValue() != 3 {
		t.Errorf("%v", there)
	}
	if err := feed.Show(t.Context(), "anna", "results", "2026-11-20", nil); err != nil {
		t.Fatal(err)
	}
	if in.at("feeds/anna/results/2026-11-20") != nil {
		t.Error("what was withdrawn is there")
	}
}

func isNull(v *firestorepb.Value) bool {
	_, is := v.GetValueType().(*firestorepb.Value_NullValue)
	return is
}

// A feed's errors name nobody, and what cannot be a place is refused before it is sent.
func TestAFeedsFaults(t *testing.T) {
	s := &service{commit: func(*firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
		return nil, worded(codes.Unavailable)
	}, query: worded(codes.Unavailable)}
	d := serve(t, s)
	feed := d.Contents(time.Now)
	faulttest.Of(t, feed.Tell(t.Context(), faulttest.Mark, 1, told(faulttest.Mark)), "store", "tell")
	faulttest.Of(t, feed.Forget(t.Context(), faulttest.Mark), "store", "forget")
	faulttest.Of(t, feed.Show(t.Context(), faulttest.Mark, "results", faulttest.Mark, []byte(`{}`)), "store", "show")
	before := s.called("commit")
	for name, err := range map[string]error{
		"a path in the uid":      feed.Tell(t.Context(), "anna/events/x", 1, told("a")),
		"a path in the day":      feed.Show(t.Context(), "anna", "results", "2026/11", nil),
		"another kind":           feed.Show(t.Context(), "anna", "embeddings", "2026-11-20", nil),
		"no events":              feed.Tell(t.Context(), "anna", 1, nil),
		"to forget a path":       feed.Forget(t.Context(), "a/b"),
		"a number beyond theirs": feed.Tell(t.Context(), "anna", 1<<63, told("a")),
	} {
		if !errors.Is(err, store.ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
	if err := feed.Show(t.Context(), "anna", "results", "2026-11-20", []byte(`[`)); err == nil {
		t.Error("what is no object is shown")
	}
	for _, uid := range []string{".", "..", "__x__"} { // which the service has for itself
		if err := errors.Join(feed.Tell(t.Context(), uid, 1, told("a")), feed.Forget(t.Context(), uid), feed.Show(t.Context(), uid, "results", "2026-11-20", nil)); err != nil {
			t.Errorf("%q: %v", uid, err)
		}
	}
	if s.called("commit") != before {
		t.Error("what is refused was sent")
	}
}

// Whatever JSON a document is, it is shown, or refused whole.
func FuzzShownDocuments(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,2.5,null,true,"x",{"b":[]}]}`, `{"a":[[1]]}`, `[1]`, `{"a":1e400}`, `{"a":123456789012345678901234567890}`, `{"a":1}{`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		fields, err := firestore.FieldsOfJSON(document)
		var members map[string]json.RawMessage
		if err == nil && (json.Unmarshal(firstOf(document), &members) != nil || len(members) != len(fields)) {
			t.Errorf("%d fields of %q", len(fields), document)
		}
	})
}

// firstOf is the first JSON value of a text.
func firstOf(text []byte) []byte {
	var first json.RawMessage
	_ = json.NewDecoder(strings.NewReader(string(text))).Decode(&first)
	return first
}
