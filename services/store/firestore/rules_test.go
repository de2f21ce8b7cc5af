package firestore_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	rulesProject  = "demo-rules"
	rulesDatabase = "projects/" + rulesProject + "/databases/(default)"
	rulesRoot     = rulesDatabase + "/documents"
)

// idToken is one as the emulators take it, of nobody's hand.
func idToken(uid string, firebase map[string]any) string {
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	firebase["identities"] = map[string]any{}
	now := time.Now().Unix()
	return part(map[string]any{"alg": "none", "typ": "JWT"}) + "." + part(map[string]any{
		"iss": "https://securetoken.google.com/" + rulesProject, "aud": rulesProject, "sub": uid, "user_id": uid,
		"iat": now, "exp": now + 3600, "auth_time": now, "firebase": firebase, "clarity_role": "admin",
	}) + "."
}

// people are who may ask, by what they show.
func people() map[string]string {
	of := func(provider string) map[string]any { return map[string]any{"sign_in_provider": provider} }
	return map[string]string{
		"anna":                     idToken("anna", of("password")),
		"ben":                      idToken("ben", of("google.com")),
		"an anonymous anna":        idToken("anna", of("anonymous")),
		"anna of a tenant":         idToken("anna", map[string]any{"sign_in_provider": "password", "tenant": "clinic-1"}),
		"anna in another case":     idToken("Anna", of("password")),
		"tim, named as a tenant's": idToken("clinic-1:anna", of("password")),
		"nobody":                   "",
	}
}

// A caller speaks to the database as somebody.
type caller struct {
	rpc  firestorepb.FirestoreClient
	auth string
}

func (c caller) ctx(t *testing.T) context.Context {
	ctx := metadata.AppendToOutgoingContext(t.Context(), "google-cloud-resource-prefix", rulesDatabase)
	if c.auth != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.auth)
	}
	return ctx
}

func (c caller) get(t *testing.T, document string) error {
	stream, err := c.rpc.BatchGetDocuments(c.ctx(t), &firestorepb.BatchGetDocumentsRequest{Database: rulesDatabase, Documents: []string{rulesRoot + "/" + document}})
	if err == nil {
		_, err = stream.Recv()
	}
	return err
}

func listOf(parent, collection string, limit int32, anywhere bool) *firestorepb.RunQueryRequest {
	q := &firestorepb.StructuredQuery{From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: collection, AllDescendants: anywhere}}}
	if limit > 0 {
		q.Limit = wrapperspb.Int32(limit)
	}
	return &firestorepb.RunQueryRequest{Parent: parent, QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: q}}
}

func (c caller) list(t *testing.T, req *firestorepb.RunQueryRequest) error {
	stream, err := c.rpc.RunQuery(c.ctx(t), req)
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c caller) commit(t *testing.T, w *firestorepb.Write) error {
	_, err := c.rpc.Commit(c.ctx(t), &firestorepb.CommitRequest{Database: rulesDatabase, Writes: []*firestorepb.Write{w}})
	return err
}

// listen is nil once the service shows what there is.
func (c caller) listen(t *testing.T, target *firestorepb.Target) error {
	ctx, cancel := context.WithTimeout(c.ctx(t), 20*time.Second)
	defer cancel()
	stream, err := c.rpc.Listen(ctx)
	if err != nil {
		return err
	}
	target.TargetId = 1
	if err := stream.Send(&firestorepb.ListenRequest{Database: rulesDatabase, TargetChange: &firestorepb.ListenRequest_AddTarget{AddTarget: target}}); err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		switch change := r.GetTargetChange(); change.GetTargetChangeType() {
		case firestorepb.TargetChange_CURRENT:
			return nil
		case firestorepb.TargetChange_REMOVE:
			return status.Error(codes.Code(change.GetCause().GetCode()), "removed") //nolint:gosec // a code
		}
	}
}

func document(name string) *firestorepb.Document {
	return &firestorepb.Document{Name: name, Fields: map[string]*firestorepb.Value{"last": {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: 1}}}}
}

// An operation is one way to ask of a document.
type operation struct {
	name string
	do   func(c caller, t *testing.T, path string) error
}

func operations() []operation {
	write := func(exists *firestorepb.Precondition) func(caller, *testing.T, string) error {
		return func(c caller, t *testing.T, path string) error {
			return c.commit(t, &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: document(rulesRoot + "/" + path)}, CurrentDocument: exists})
		}
	}
	return []operation{
		{"get", caller.get},
		{"listen", func(c caller, t *testing.T, path string) error {
			return c.listen(t, &firestorepb.Target{TargetType: &firestorepb.Target_Documents{Documents: &firestorepb.Target_DocumentsTarget{Documents: []string{rulesRoot + "/" + path}}}})
		}},
		{"set", write(nil)},
		{"update", write(&firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: true}})},
		{"create", func(c caller, t *testing.T, path string) error {
			return write(&firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}})(c, t, path+"-new")
		}},
		{"delete", func(c caller, t *testing.T, path string) error {
			return c.commit(t, &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: rulesRoot + "/" + path}})
		}},
	}
}

// ruled starts an emulator with the rules, and documents of every kind in it.
func ruled(t *testing.T, documents []string) firestorepb.FirestoreClient {
	t.Helper()
	if os.Getenv("CLARITY_CLOUD_PROJECT") != "" {
		t.Skip("puts rules into an emulator")
	}
	address := emulator(t)
	body, err := json.Marshal(map[string]any{"rules": map[string]any{"files": []any{
		map[string]any{"name": "firestore.rules", "content": string(deployed(t, "firestore.rules"))}}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/emulator/v1/projects/"+rulesProject+":securityRules", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(res.Body)
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the rules are refused: %s: %s", res.Status, said)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	rpc := firestorepb.NewFirestoreClient(conn)
	for _, path := range documents {
		err := caller{rpc, "owner"}.commit(t, &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: document(rulesRoot + "/" + path)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return rpc
}

// Each who asks, each document, each way to ask: allowed is what is written here.
func TestRulesOfDocuments(t *testing.T) {
	mayRead := map[string]string{ // who may get a document, and listen to it; nobody may do anything else
		"feeds/anna":                                  "anna",
		"feeds/anna/events/0000000000000001":          "anna",
		"feeds/ben":                                   "ben",
		"feeds/ben/events/0000000000000001":           "ben",
		"feeds/nobody-yet":                            "",
		"feeds/anna/results/2026-11-20":               "anna",
		"feeds/anna/insights/2026-11-20":              "anna",
		"feeds/anna/embeddings/2026-11-20":            "",
		"feeds/clinic-1:anna":                         "anna of a tenant",
		"feeds/clinic-1:anna/events/0000000000000001": "anna of a tenant",
		"feeds/clinic-1:anna/results/2026-11-20":      "anna of a tenant",
		"feeds/anna/events/0000000000000001/x/y":      "",
		"shards/07/documents/days~anna~2026-11-20":    "",
		"shards/07":      "",
		"probes/nothing": "",
		"keys/anna":      "",
		"users/anna":     "",
	}
	var documents []string
	for path := range mayRead {
		documents = append(documents, path)
	}
	rpc := ruled(t, documents)
	rows := 0
	for who, auth := range people() {
		for path, reader := range mayRead {
			for _, op := range operations() {
				rows++
				allowed := who == reader && (op.name == "get" || op.name == "listen")
				err := op.do(caller{rpc, auth}, t, path)
				if code := status.Code(err); allowed && code != codes.OK || !allowed && code != codes.PermissionDenied {
					t.Errorf("%s, %s %s: %v; want allowed %v", who, op.name, path, err, allowed)
				}
			}
		}
	}
	t.Logf("%d rows", rows)
}

// Lists: of one's own events, a hundred at a time.
func TestRulesOfLists(t *testing.T) {
	rpc := ruled(t, []string{"feeds/anna", "feeds/anna/events/0000000000000001", "feeds/ben/events/0000000000000001", "shards/07/documents/x"})
	rows := 0
	for who, auth := range people() {
		for _, c := range []struct {
			parent, collection string
			limit              int32
			anywhere           bool
			reader             string
		}{
			{rulesRoot + "/feeds/anna", "events", 1, false, "anna"},
			{rulesRoot + "/feeds/anna", "events", 100, false, "anna"},
			{rulesRoot + "/feeds/anna", "events", 101, false, ""},
			{rulesRoot + "/feeds/anna", "events", 0, false, ""},
			{rulesRoot + "/feeds/ben", "events", 100, false, "ben"},
			{rulesRoot + "/feeds/anna", "results", 100, false, "anna"},
			{rulesRoot + "/feeds/anna", "results", 101, false, ""},
			{rulesRoot + "/feeds/anna", "insights", 100, false, "anna"},
			{rulesRoot + "/feeds/anna", "insights", 101, false, ""},
			{rulesRoot + "/feeds/clinic-1:anna", "events", 100, false, "anna of a tenant"},
			{rulesRoot + "/feeds/clinic-1:anna", "results", 100, false, "anna of a tenant"},
			{rulesRoot, "results", 10, true, ""},
			{rulesRoot, "events", 10, true, ""},
			{rulesRoot, "feeds", 10, false, ""},
			{rulesRoot, "documents", 10, true, ""},
			{rulesRoot, "shards", 10, false, ""},
			{rulesRoot + "/shards/07", "documents", 10, false, ""},
		} {
			name := fmt.Sprintf("%s, %s of %s, %d, anywhere %v", who, c.collection, c.parent, c.limit, c.anywhere)
			req := listOf(c.parent, c.collection, c.limit, c.anywhere)
			for how, err := range map[string]error{
				"list": caller{rpc, auth}.list(t, req),
				"listen": caller{rpc, auth}.listen(t, &firestorepb.Target{TargetType: &firestorepb.Target_Query{Query: &firestorepb.Target_QueryTarget{
					Parent: req.GetParent(), QueryType: &firestorepb.Target_QueryTarget_StructuredQuery{StructuredQuery: req.GetStructuredQuery()}}}}),
			} {
				rows++
				if code := status.Code(err); who == c.reader && code != codes.OK || who != c.reader && code != codes.PermissionDenied {
					t.Errorf("%s, %s: %v; want allowed %v", how, name, err, who == c.reader)
				}
			}
		}
	}
	t.Logf("%d rows", rows)
}
