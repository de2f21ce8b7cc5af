package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

func TestABatchOfSeveralCollections(t *testing.T) {
	s, _, _, _ := open(t)
	errand := agenda.Errand{Kind: agenda.Upload, Ref: "upload-1", Since: time.Unix(100, 0).UTC()}
	due := time.Unix(400, 0).UTC()
	versions, err := s.Batch(background, "anna",
		s.Uploads.ToPut("upload-1", 0, record.Upload{State: record.UploadReceived}),
		s.Agenda.ToPut(errand.Key(), 0, errand).At(due))
	if err != nil || len(versions) != 2 {
		t.Fatal(versions, err)
	}
	docs, err := s.Due(background, store.ShardOf("anna"), due, 10)
	if err != nil || len(docs) != 1 || docs[0].Key.UID != "anna" {
		t.Fatalf("due: %+v, %v", docs, err)
	}
	if r, err := s.Agenda.Open(background, docs[0]); err != nil || !reflect.DeepEqual(r.Value, errand) || !r.Due.Equal(due) || r.Version != versions[1] {
		t.Errorf("%+v, %v; want %+v", r, err, errand)
	}
	merged := record.Upload{State: record.UploadMerged}
	if _, err := s.Batch(background, "anna", s.Uploads.ToPut("upload-1", versions[1], merged), s.Agenda.ToDelete(errand.Key(), store.Any)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("over another version: %v", err)
	}
	if _, err := s.Agenda.Get(background, "anna", errand.Key()); err != nil {
		t.Errorf("a batch that did not apply took the entry: %v", err)
	}
	if _, err := s.Batch(background, "anna", s.Uploads.ToPut("upload-1", versions[0], merged), s.Agenda.ToDelete(errand.Key(), store.Any)); err != nil {
		t.Fatal(err)
	}
	if docs, err := s.Due(background, store.ShardOf("anna"), due, 10); err != nil || len(docs) != 0 {
		t.Errorf("due when all is done: %+v, %v", docs, err)
	}
}

func TestABatchUnderAnother(t *testing.T) {
	s, _, _, _ := open(t)
	version, err := s.Profiles.Put(background, "anna", "profile", 0, record.Profile{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Profiles.Put(background, "anna", "profile", version, record.Profile{Sex: "other"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Batch(background, "anna", s.Exports.ToPut("1", 0, record.Export{}), s.Profiles.ToCheck("profile", version)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("under a version that is gone: %v", err)
	}
	if _, err := s.Exports.Get(background, "anna", "1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it was written all the same: %v", err)
	}
}

func TestARecordThatIsTooLarge(t *testing.T) {
	s, _, _, _ := open(t)
	_, err := s.Profiles.Put(background, "anna", "profile", 0, record.Profile{Sex: strings.Repeat("x", store.MaxDocument)})
	var f *fault.Error
	if !errors.Is(err, store.ErrTooLarge) || !errors.As(err, &f) || f.Class != fault.Limit {
		t.Errorf("%v", err)
	}
}

// unsure is a driver that never says whether it wrote.
type unsure struct {
	store.Driver
	writes  bool   // it does, before it does not say so
	between func() // before it does not say so
}

func (u unsure) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if u.writes {
		if _, err := u.Driver.Batch(ctx, writes); err != nil {
			return nil, err
		}
	}
	if u.between != nil {
		u.between()
	}
	return nil, store.Fault("write", store.ErrUnknown)
}

func TestAnUnknownOutcomeIsReadBeforeItIsTold(t *testing.T) {
	certain, driver, e, _ := open(t)
	wrote := store.New(unsure{Driver: driver, writes: true}, e)
	version, err := wrote.Profiles.Put(background, "anna", "profile", 0, record.Profile{Sex: "female"})
	if err != nil {
		t.Fatalf("a create that finds its own document: %v", err)
	}
	if r, err := certain.Profiles.Get(background, "anna", "profile"); err != nil || r.Version != version {
		t.Errorf("version %d was returned, %d is there, %v", version, r.Version, err)
	}
	lost := store.New(unsure{Driver: driver}, e)
	if _, err := lost.Profiles.Put(background, "anna", "profile", version, record.Profile{}); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a write that left nothing: %v, want ErrUnknown", err)
	}
	if err := lost.Profiles.Delete(background, "anna", "profile", version); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a delete that left all: %v, want ErrUnknown", err)
	}
	if err := wrote.Profiles.Delete(background, "anna", "profile", version); err != nil {
		t.Errorf("a delete that left nothing: %v", err)
	}
}

// What somebody replaced before it was looked for is not taken for what was written.
func TestAnUnknownOutcomeThatIsReplacedMeanwhile(t *testing.T) {
	certain, driver, e, _ := open(t)
	other := store.New(unsure{Driver: driver, writes: true, between: func() {
		if _, err := certain.Results.Put(background, "anna", "2026-11-20", store.Any, record.Result{ComputedAt: time.Unix(1, 0)}); err != nil {
			t.Error(err)
		}
	}}, e)
	versions, err := other.Batch(background, "anna", other.Results.ToPut("2026-11-20", 0, record.Result{}), other.Profiles.ToPut("profile", 0, record.Profile{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certain.Results.Put(background, "anna", "2026-11-20", versions[0], record.Result{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a write under what another wrote: %v, want ErrConflict", err)
	}
	if _, err := certain.Profiles.Put(background, "anna", "profile", versions[1], record.Profile{}); err != nil {
		t.Errorf("a write under one's own: %v", err)
	}
}

// However many accounts of a shard are due, its uploads are met.
func TestAccountsThatAreDueHideNoUpload(t *testing.T) {
	s, _, _, _ := open(t)
	due, shard := time.Unix(400, 0).UTC(), store.ShardOf("anna")
	const limit = 10
	for n, i := 0, 0; n < store.MaxLimit+1; i++ {
		uid := fmt.Sprint("ben", i)
		if store.ShardOf(uid) != shard {
			continue
		}
		n++
		if _, err := s.Batch(background, uid, s.Accounts.ToPut(record.AccountKey, 0, record.Account{}).At(due.Add(-time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Batch(background, "anna", s.Uploads.ToPut("u", 0, record.Upload{State: record.UploadReceived}).At(due)); err != nil {
		t.Fatal(err)
	}
	if docs, err := s.Due(background, shard, due, limit); err != nil || len(docs) != 1 || docs[0].Key.UID != "anna" {
		t.Errorf("%+v, %v", docs, err)
	}
	if docs, err := s.Erasing(background, shard, due, limit); err != nil || len(docs) != limit {
		t.Errorf("%d accounts, %v", len(docs), err)
	}
}
