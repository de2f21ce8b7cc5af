package firestore

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/clarity-loop/clarity/services/store"
)

// Batch applies the conditional changes of one person, all or none, in one commit; see
// store.Driver.
func (s *Store) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	commits, err := s.writes(writes)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, store.Fault("write", err)
	}
	results, err := s.commit(ctx, commits)
	if err != nil {
		return nil, store.Fault("write", s.refused(ctx, writes, err))
	}
	versions := make([]int64, len(writes))
	for i, w := range writes {
		switch {
		case w.Check:
			versions[i] = w.IfVersion
		case w.Data == nil:
		case i >= len(results) || results[i].GetUpdateTime() == nil:
			return nil, store.Fault("write", store.ErrUnknown)
		default:
			versions[i] = versionOf(results[i].GetUpdateTime())
		}
	}
	return versions, nil
}

// writes are a batch's, for the service; the error is what makes it none.
func (s *Store) writes(writes []store.Write) ([]*firestorepb.Write, error) {
	if err := store.CheckBatch(writes); err != nil {
		return nil, err
	}
	commits := make([]*firestorepb.Write, len(writes))
	for i := range writes {
		w := &writes[i]
		if w.IfVersion > lastVersion {
			return nil, fmt.Errorf("%w: version %d", store.ErrConflict, w.IfVersion)
		}
		commits[i] = s.write(w)
	}
	return commits, nil
}

func (s *Store) write(w *store.Write) *firestorepb.Write {
	name := s.name(w.Key)
	c := &firestorepb.Write{CurrentDocument: conditionOf(w.IfVersion)}
	switch {
	case w.Check:
		verify(c, name)
	case w.Data == nil:
		c.Operation = &firestorepb.Write_Delete{Delete: name}
	default:
		c.Operation = &firestorepb.Write_Update{Update: &firestorepb.Document{Name: name, Fields: fieldsOf(w)}}
	}
	return c
}

// verifyField is the number of the operation that demands a precondition and changes
// nothing. The type that is generated for Go has not got it.
const verifyField = 5

func verify(w *firestorepb.Write, name string) {
	operation := protowire.AppendTag(nil, verifyField, protowire.BytesType)
	w.ProtoReflect().SetUnknown(protowire.AppendString(operation, name))
}

func conditionOf(version int64) *firestorepb.Precondition {
	switch version {
	case store.Any:
		return nil
	case 0:
		return &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}
	}
	return &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_UpdateTime{UpdateTime: timestamppb.New(time.UnixMicro(version))}}
}

// commit sends the writes once.
func (s *Store) commit(ctx context.Context, writes []*firestorepb.Write) ([]*firestorepb.WriteResult, error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	res, err := s.rpc.Commit(s.outgoing(ctx, "database", s.database), &firestorepb.CommitRequest{Database: s.database, Writes: writes})
	if err == nil || !refusal(status.Code(err)) {
		saw(caller, s.commits, err)
	}
	return res.GetWriteResults(), err
}

// refusal says whether the code is of a commit that came to the documents, and was not
// applied for what it found.
func refusal(c codes.Code) bool {
	switch c {
	case codes.AlreadyExists, codes.NotFound, codes.FailedPrecondition, codes.Aborted, codes.InvalidArgument:
		return true
	default:
		return false
	}
}

// refused is what became of a batch that did not go through. Some document had another
// version, or that is not said: the same codes are of a database that is none, and of
// two commits at once of which each found what it demanded.
func (s *Store) refused(ctx context.Context, writes []store.Write, err error) error {
	switch c := status.Code(err); {
	case c == codes.AlreadyExists: // only what was to be created can be there
		return store.ErrConflict
	case refusal(c):
		other, unread := s.otherVersion(ctx, writes)
		if unread == nil && other {
			return store.ErrConflict
		}
		return answer{c}
	case c == codes.PermissionDenied, c == codes.Unauthenticated, c == codes.ResourceExhausted, c == codes.Unimplemented, c == codes.OutOfRange:
		return answer{c}
	}
	return fmt.Errorf("%w: %w", store.ErrUnknown, answered(ctx, err))
}

// otherVersion says whether a document has not the version that its write demands. No
// version comes back, so that one that differs now did so when it was refused, unless
// the refusal was for another reason and somebody was faster than this look: a
// conflict then, too, for whoever reads again.
func (s *Store) otherVersion(ctx context.Context, writes []store.Write) (bool, error) {
	demanded := map[string]int64{}
	names := make([]string, 0, len(writes))
	for _, w := range writes {
		if w.IfVersion != store.Any {
			name := s.name(w.Key)
			demanded[name] = w.IfVersion
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return false, nil
	}
	other := false
	err := s.read(ctx, names, []string{fieldNonce}, func(name string, d *firestorepb.Document) error {
		var version int64
		if d != nil {
			version = versionOf(d.GetUpdateTime())
		}
		other = other || version != demanded[name]
		return nil
	})
	return other, err
}

// eraseAtOnce is how many documents one commit of an erasure deletes.
const eraseAtOnce = 500

// EraseUser removes every document of the uid but the account; see store.Driver.
func (s *Store) EraseUser(ctx context.Context, uid string) error {
	if err := (store.Key{Collection: store.Personal()[0], UID: uid, Key: "-"}).Check(); err != nil {
		return store.Fault("erase", err)
	}
	for _, collection := range store.Personal() {
		for more := true; more; {
			var err error
			if more, err = s.eraseSome(ctx, collection, uid); err != nil {
				return store.Fault("erase", err)
			}
		}
	}
	return nil
}

func (s *Store) eraseSome(ctx context.Context, collection, uid string) (more bool, err error) {
	var deletes []*firestorepb.Write
	place := placeOf(collection, uid)
	err = s.query(ctx, store.ShardOf(uid), idsOf(place+apart, place+behind, eraseAtOnce), func(d *firestorepb.Document) error {
		deletes = append(deletes, &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: d.GetName()}})
		return nil
	})
	if err != nil || len(deletes) == 0 {
		return false, err
	}
	if _, err := s.commit(ctx, deletes); err != nil {
		return false, answered(ctx, err)
	}
	return len(deletes) == eraseAtOnce, nil
}
