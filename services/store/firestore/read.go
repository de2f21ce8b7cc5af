package firestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/services/store"
)

// Get returns the document, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, k store.Key) (store.Document, error) {
	if err := k.Check(); err != nil {
		return store.Document{}, store.Fault("get", err)
	}
	doc, err := store.Document{}, store.ErrNotFound
	unread := s.read(ctx, []string{s.name(k)}, nil, func(_ string, d *firestorepb.Document) (malformed error) {
		if d != nil {
			doc, malformed = documentOf(d)
			err = nil
		}
		return malformed
	})
	if unread != nil {
		err = unread
	}
	if err != nil {
		return store.Document{}, store.Fault("get", err)
	}
	return doc, nil
}

// read shows each of the documents, nil where it is not there. It is no GetDocument,
// which says of a database that is none what it says of a document.
func (s *Store) read(ctx context.Context, names, mask []string, see func(name string, d *firestorepb.Document) error) error {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	req := &firestorepb.BatchGetDocumentsRequest{Database: s.database, Documents: names}
	if mask != nil {
		req.Mask = &firestorepb.DocumentMask{FieldPaths: mask}
	}
	stream, err := s.rpc.BatchGetDocuments(s.outgoing(ctx, "database", s.database), req)
	seen := 0
	for {
		var res *firestorepb.BatchGetDocumentsResponse
		if err == nil {
			res, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			saw(caller, s.reads, err)
			return answered(ctx, err)
		}
		name, found := res.GetMissing(), res.GetFound()
		if found != nil {
			name = found.GetName()
		}
		if name == "" {
			continue
		}
		seen++
		if err := see(name, found); err != nil {
			return err
		}
	}
	if seen < len(names) {
		return errShort
	}
	s.reads.Saw(nil)
	return nil
}

// errShort is of an answer that ended before all was said.
var errShort = errors.New("an answer is short of a document")

// List returns the documents of the query, in its order.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := q.Check(); err != nil {
		return nil, store.Fault("list", err)
	}
	r := rangeOf(q)
	if r.empty() {
		return nil, nil
	}
	docs, err := s.documents(ctx, store.ShardOf(q.UID), r.query(q.Limit))
	if err != nil {
		return nil, store.Fault("list", err)
	}
	return docs, nil
}

// rangeOf is where what a query lists lies.
func rangeOf(q store.Query) bounds {
	if q.Newest {
		r := bounds{field: fieldArrival, low: q.UID + apart, high: q.UID + behind}
		if q.After != "" {
			r.low, r.open = arrivalOf(q.UID, q.Came, q.After), true
		}
		return r
	}
	place := placeOf(q.Collection, q.UID)
	r := bounds{field: fieldKey, low: place + apart + q.From, high: place + behind, descending: q.Descending}
	if q.To != "" {
		r.high = place + apart + q.To
	}
	after := place + apart + q.After
	switch {
	case q.After == "":
	case q.Descending:
		r.high = min(r.high, after)
	case after >= r.low:
		r.low, r.open = after, true
	}
	return r
}

// Due returns what is due of the collections in the agenda's shard, the oldest first.
func (s *Store) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]store.Document, error) {
	if shard < 0 || shard >= store.Shards || limit < 1 || limit > store.MaxLimit {
		return nil, store.Fault("due", fmt.Errorf("no shard %d, or no limit %d", shard, limit))
	}
	of := make([][]store.Document, len(collections))
	each, asking := errgroup.WithContext(ctx)
	for i, collection := range collections {
		each.Go(func() (err error) {
			of[i], err = s.documents(asking, shard, dueBy(collection, before).query(limit))
			return err
		})
	}
	if err := each.Wait(); err != nil {
		return nil, store.Fault("due", err)
	}
	docs := slices.Concat(of...)
	slices.SortStableFunc(docs, func(a, b store.Document) int { return a.Due.Compare(b.Due) })
	return docs[:min(len(docs), limit)], nil
}

// dueBy is where what is due of a collection by then lies.
func dueBy(collection string, before time.Time) bounds {
	return bounds{field: fieldDue, low: collection + apart, high: dueOf(collection, before) + behind}
}

// documents are those of a query.
func (s *Store) documents(ctx context.Context, shard int, q *firestorepb.StructuredQuery) ([]store.Document, error) {
	var docs []store.Document
	err := s.query(ctx, shard, q, func(d *firestorepb.Document) error {
		doc, err := documentOf(d)
		docs = append(docs, doc)
		return err
	})
	return docs, err
}

// query shows each document of the shard that the query finds.
func (s *Store) query(ctx context.Context, shard int, q *firestorepb.StructuredQuery, see func(*firestorepb.Document) error) error {
	return s.queryOf(ctx, s.shard(shard), q, see)
}

// queryOf shows each document under the parent that the query finds.
func (s *Store) queryOf(ctx context.Context, parent string, q *firestorepb.StructuredQuery, see func(*firestorepb.Document) error) error {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	stream, err := s.rpc.RunQuery(s.outgoing(ctx, "parent", parent), &firestorepb.RunQueryRequest{
		Parent: parent, QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: q}})
	for {
		var res *firestorepb.RunQueryResponse
		if err == nil {
			res, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			s.reads.Saw(nil)
			return nil
		}
		if err != nil {
			saw(caller, s.reads, err)
			return answered(ctx, err)
		}
		if res.GetDocument() == nil {
			continue
		}
		if err := see(res.GetDocument()); err != nil {
			return err
		}
	}
}

// People lists those of whom there is an account or a consent, shard by shard.
func (s *Store) People(ctx context.Context, after string, limit int) ([]string, error) {
	if limit < 1 || limit > store.MaxLimit {
		return nil, store.Fault("list people", fmt.Errorf("limit %d", limit))
	}
	shard := 0
	if after != "" {
		shard = store.ShardOf(after)
	}
	for ; shard < store.Shards; shard++ {
		uids, err := s.peopleOf(ctx, shard, after, limit)
		if err != nil {
			return nil, store.Fault("list people", err)
		}
		if len(uids) > 0 {
			return uids, nil
		}
		after = ""
	}
	return nil, nil
}

// peopleOf are those of a shard. Of each collection a page is read, as far as the page
// before goes: behind the end of a page that is full somebody may be missing.
func (s *Store) peopleOf(ctx context.Context, shard int, after string, limit int) (uids []string, err error) {
	end := ""
	for _, collection := range []string{"consents", "accounts"} {
		low, high := collection+apart, collection+behind
		if after != "" {
			low = placeOf(collection, after) + behind
		}
		if end != "" {
			high = placeOf(collection, end) + behind
		}
		n, last := 0, ""
		err := s.query(ctx, shard, idsOf(low, high, limit), func(d *firestorepb.Document) error {
			k, legal := keyOf(d.GetFields()[fieldKey].GetStringValue())
			if !legal {
				return errDamaged
			}
			uids = append(uids, k.UID)
			n, last = n+1, k.UID
			return nil
		})
		if err != nil {
			return nil, err
		}
		if n == limit {
			end = last
		}
	}
	slices.SortFunc(uids, byPlace)
	uids = slices.DeleteFunc(slices.Compact(uids), func(uid string) bool { return end != "" && byPlace(uid, end) > 0 })
	return uids[:min(len(uids), limit)], nil
}

// byPlace is the order in which the documents of people lie.
func byPlace(a, b string) int { return strings.Compare(a+apart, b+apart) }
