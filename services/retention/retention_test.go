package retention_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/record/points"
	"github.com/clarity-loop/clarity/services/retention"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/vault"
)

const uid = "anna"

func TestSweep(t *testing.T) {
	upload := blob.KindUploads + "/upload-1/0123456789abcdef"
	chunk := blob.KindDays + "/2026-11-20/0123456789abcdef"
	tombs := blob.KindTombstones + "/all/0123456789abcdef"
	points := blob.KindSeries + "/2026-11-20/0123456789abcdef"
	tests := map[string]struct {
		name  string
		state record.UploadState // of the upload's record; "" for none
		refer bool               // the record refers to the object
		age   time.Duration
		kept  bool
	}{
		"a merged upload of 30 days is kept":             {upload, record.UploadMerged, true, 30 * 24 * time.Hour, true},
		"a merged upload of 31 days has served":          {upload, record.UploadMerged, true, 31 * 24 * time.Hour, false},
		"an unreadable upload of 31 days has served":     {upload, record.UploadFailed, true, 31 * 24 * time.Hour, false},
		"an upload that waits is kept, however old":      {upload, record.UploadReceived, true, 400 * 24 * time.Hour, true},
		"an upload that is held is kept, however old":    {upload, record.UploadHeld, true, 400 * 24 * time.Hour, true},
		"an upload that is being recorded is kept":       {upload, "", false, 23 * time.Hour, true},
		"an upload that was never recorded is removed":   {upload, "", false, 24 * time.Hour, false},
		"an upload whose id went to another is removed":  {upload, record.UploadReceived, false, 24 * time.Hour, false},
		"a day's chunk is kept":                          {chunk, "", true, 4000 * 24 * time.Hour, true},
		"a chunk that was replaced is removed":           {chunk, "", false, 24 * time.Hour, false},
		"a day's series is kept":                         {points, "", true, 4000 * 24 * time.Hour, true},
		"a series that its day has no longer is removed": {points, "", false, 24 * time.Hour, false},
		"a series that is being recorded is kept":        {points, "", false, 59 * time.Minute, true},
		"the set of deleted samples is kept":             {tombs, "", true, 4000 * 24 * time.Hour, true},
		"an older set of deleted samples is removed":     {tombs, "", false, 24 * time.Hour, false},
	}
	for name, tt := range tests {
		for shape, named := range map[string]func(*testing.T, *stagetest.Laptop, string) string{"": putNow, ", named by a release before": putBefore} {
			t.Run(name+shape, func(t *testing.T) {
				now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
				l := open(t, func() time.Time { return now })
				name := named(t, l, tt.name)
				referred := name
				if !tt.refer {
					referred = "uploads/another/object/entirely"
				}
				refer(t, l.Store, tt.name, referred, tt.state)
				now = now.Add(tt.age)
				removed, err := sweep(t, l, now)
				if err != nil {
					t.Fatal(err)
				}
				infos, err := l.Blobs.List(t.Context(), "", "", 10)
				if err != nil {
					t.Fatal(err)
				}
				if kept := len(infos) == 1; kept != tt.kept || removed != 1-len(infos) {
					t.Errorf("kept %v, removed %d; want kept %v", kept, removed, tt.kept)
				}
				if tt.state == "" || !tt.refer {
					return
				}
				_, err = l.Store.Uploads.Get(t.Context(), uid, "upload-1")
				if gone := errors.Is(err, store.ErrNotFound); gone == tt.kept {
					t.Errorf("the object is kept: %v; its record: %v", tt.kept, err)
				}
			})
		}
	}
}

func sweep(t *testing.T, l *stagetest.Laptop, now time.Time) (int, error) {
	t.Helper()
	return retention.New(l.Blobs, l.Store, l.Keys, func() time.Time { return now }).Sweep(t.Context())
}

// putNow puts an object whose place is the kind and the rest of its name.
func putNow(t *testing.T, l *stagetest.Laptop, place string) string {
	t.Helper()
	kind, rest, _ := strings.Cut(place, "/")
	o, err := vault.New(l.Blobs, l.Keys).Put(t.Context(), kind, uid, rest, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	return o.Name
}

func putBefore(t *testing.T, l *stagetest.Laptop, place string) string {
	t.Helper()
	kind, rest, _ := strings.Cut(place, "/")
	name := blob.PersonPrefix(kind, uid) + rest
	if _, err := l.Blobs.Put(t.Context(), name, []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSweepGoesThroughEveryPage(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := open(t, func() time.Time { return now })
	var want []string
	for i := range 1203 {
		day := time.Unix(int64(i)*86400, 0).UTC().Format(time.DateOnly)
		place := blob.KindDays + "/" + day + "/digest"
		name := putNow(t, l, place)
		if i%400 == 0 { // these are referred to
			refer(t, l.Store, place, name, "")
			want = append(want, name)
		}
	}
	now = now.Add(retention.Orphans + time.Second) // what is put at one time is a moment apart
	removed, err := sweep(t, l, now)
	if err != nil || removed != 1203-len(want) {
		t.Fatalf("Sweep = %d, %v; want %d removed", removed, err, 1203-len(want))
	}
	infos, err := l.Blobs.List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, info := range infos {
		got = append(got, info.Name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestOldCheckpointsOfShardsAreRemoved(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := open(t, func() time.Time { return now })
	put := func(name string) {
		t.Helper()
		if _, err := l.Blobs.Put(t.Context(), name, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	put(blob.Checkpoints + "old-run/00000/0000000000000007")
	now = now.Add(time.Hour)
	put(blob.Checkpoints + "run/00000/0000000000000001")
	now = now.Add(retention.Checkpoints - time.Hour)
	if removed, err := sweep(t, l, now); err != nil || removed != 1 {
		t.Errorf("Sweep = %d, %v; want the older one removed", removed, err)
	}
	left, err := l.Blobs.List(t.Context(), "", "", 10)
	if err != nil || len(left) != 1 || left[0].Name != blob.Checkpoints+"run/00000/0000000000000001" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A record that cannot be opened keeps its object, and costs no other.
func TestASweepGoesOnBehindABadRecord(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var broken string
	l := stagetest.Open(t, stagetest.Options{Now: func() time.Time { return now }, Over: func(d store.Driver) store.Driver { return &damaged{d, &broken} }})
	for _, day := range []string{"2026-11-01", "2026-11-02", "2026-11-03"} {
		putNow(t, l, blob.KindDays+"/"+day+"/digest")
	}
	agree(t, l)
	now = now.Add(retention.Orphans + time.Second) // what is put at one time is a moment apart
	broken = "2026-11-01"
	removed, err := sweep(t, l, now)
	if removed != 2 || !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "1 objects are left as they are") || strings.Contains(err.Error(), uid) {
		t.Errorf("Sweep = %d, %v; want the two others removed, and to be told of the first", removed, err)
	}
}

var errDamaged = errors.New("it cannot be opened")

type damaged struct {
	store.Driver
	key *string
}

func (d *damaged) Get(ctx context.Context, k store.Key) (store.Document, error) {
	if k.Key == *d.key {
		return store.Document{}, errDamaged
	}
	return d.Driver.Get(ctx, k)
}

// What another has taken the place of is found for an hour.
func TestAFormerObjectIsKeptForAWhile(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := open(t, func() time.Time { return now })
	place := blob.KindDays + "/2026-11-20/former"
	former := putNow(t, l, place)
	now = now.Add(10 * time.Hour)
	refer(t, l.Store, place, former+"-newer", "")
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 0}, {retention.Former - time.Second, 0}, {time.Second, 1}} {
		now = now.Add(step.after)
		if removed, err := sweep(t, l, now); err != nil || removed != step.want {
			t.Errorf("%v later: Sweep = %d, %v; want %d removed", step.after, removed, err, step.want)
		}
	}
}

// The body of an upload that came again, and whose ingress died before it removed it,
// goes after a day, however often the upload's record is written meanwhile: as that of
// one is which waits, each time it is asked for.
func TestTheBodyOfAnUploadThatCameAgainIsRemoved(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := open(t, func() time.Time { return now })
	place := blob.KindUploads + "/upload-1/0123456789abcdef"
	again := putNow(t, l, place)
	upload := record.Upload{Body: []byte("x"), State: record.UploadReceived}
	for hour := range 25 {
		if _, err := l.Store.Uploads.Put(t.Context(), uid, "upload-1", store.Any, upload); err != nil {
			t.Fatal(err)
		}
		if removed, err := sweep(t, l, now); err != nil || (removed == 1) != (hour == 24) {
			t.Errorf("after %d hours: Sweep = %d, %v", hour, removed, err)
		}
		upload.Asked++
		now = now.Add(time.Hour)
	}
	if _, err := l.Blobs.Get(t.Context(), again); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("its body: %v", err)
	}
}

// An object whose deletion is lost with the sector of the disk that told of it is
// there again. It is what nobody refers to: the next sweep has it.
func TestWhatComesBackWithADamagedDiskIsRemovedAgain(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	const place = blob.KindDays + "/2026-11-20/0123456789abcdef"
	var name string
	t.Run("deleted", func(t *testing.T) {
		l := stagetest.Open(t, stagetest.Options{Dir: dir, Now: clock})
		agree(t, l)
		refer(t, l.Store, place, "another/object", "")
		name = putNow(t, l, place)
		segment := filepath.Join(dir, "blobs", "00000001.seg")
		from := size(t, segment)
		if err := vault.New(l.Blobs, l.Keys).Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		until := size(t, segment)
		if _, err := l.Blobs.Put(t.Context(), "behind/it", nil); err != nil { // the last group could be one that never came
			t.Fatal(err)
		}
		f, err := os.OpenFile(segment, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(make([]byte, until-from), from); err != nil {
			t.Fatal(err)
		}
	})
	l := stagetest.Open(t, stagetest.Options{Dir: dir, Now: clock})
	if _, err := l.Blobs.Get(t.Context(), name); err != nil {
		t.Fatalf("nothing came back: %v", err)
	}
	now = now.Add(retention.Orphans)
	if n, err := sweep(t, l, now); err != nil || n != 1 {
		t.Errorf("removed %d, %v", n, err)
	}
	if _, err := l.Blobs.Get(t.Context(), name); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("it is there still: %v", err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// refer writes the record that a place belongs to, referring to a name.
func refer(t *testing.T, s *store.Store, place, refers string, state record.UploadState) {
	t.Helper()
	kind, rest, _ := strings.Cut(place, "/")
	key, _, _ := strings.Cut(rest, "/")
	ctx := context.Background()
	var err error
	switch kind {
	case blob.KindUploads:
		if state != "" {
			_, err = s.Uploads.Put(ctx, uid, key, 0, record.Upload{Blob: refers, State: state})
		}
	case blob.KindDays:
		_, err = s.Days.Put(ctx, uid, key, 0, record.Day{Chunk: refers})
	case blob.KindSeries:
		_, err = s.Days.Put(ctx, uid, key, 0, record.Day{Series: []points.Reference{{Blob: "series/another"}, {Blob: refers}}})
	default:
		_, err = s.Tombstones.Put(ctx, uid, key, 0, record.Tombstones{Blob: refers})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, now func() time.Time) *stagetest.Laptop {
	t.Helper()
	l := stagetest.Open(t, stagetest.Options{Now: now})
	agree(t, l)
	return l
}

// agree has the person be one whom there is something of.
func agree(t *testing.T, l *stagetest.Laptop) {
	t.Helper()
	if _, err := l.Store.Answer(t.Context(), uid, record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: true} }); err != nil {
		t.Fatal(err)
	}
}

// What a writer takes up between the sweeper's look and its delete stays, and so
// does what a second writer puts there (pipeline 9).
func TestWhatIsTakenUpMeanwhileStays(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := open(t, func() time.Time { return now })
	place := blob.KindUploads + "/upload-1/0123456789abcdef"
	name := putNow(t, l, place)
	now = now.Add(2 * retention.Orphans)
	between := meanwhile{l.Blobs, func() {
		if again := putNow(t, l, place); again != name {
			t.Errorf("the phone's retry is named %q, and was %q", again, name)
		}
	}}
	if _, err := retention.New(between, l.Store, l.Keys, func() time.Time { return now }).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Blobs.Get(t.Context(), name); err != nil {
		t.Errorf("what was acknowledged a moment ago: %v", err)
	}
}

// meanwhile has something happen before each delete.
type meanwhile struct {
	blob.Store
	do func()
}

func (m meanwhile) Delete(ctx context.Context, name string, generation int64) error {
	m.do()
	return m.Store.Delete(ctx, name, generation)
}

// A keyring that knows of a destroyed key, as one that was put back beside the wrong
// directory or from another day, has nothing swept of whom the records do not say to be
// erased.
func TestNothingIsSweptOnTheWordOfTheKeyringAlone(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := open(t, func() time.Time { return now })
	place := blob.KindDays + "/2026-11-20/0123456789abcdef"
	refer(t, l.Store, place, putNow(t, l, place), "")
	if err := l.Keys.Destroy(t.Context(), uid); err != nil {
		t.Fatal(err)
	}
	now = now.Add(400 * 24 * time.Hour)
	if n, err := sweep(t, l, now); n != 0 || err != nil {
		t.Errorf("of who is not erased: %d, %v", n, err)
	}
	account, err := l.Store.Accounts.Get(t.Context(), uid, record.AccountKey)
	if err != nil {
		t.Fatal(err)
	}
	a := account.Value.Erased(now, "r")
	a.Erasure.Step = erased.Destroyed
	if _, err := l.Store.ChangeAccount(t.Context(), uid, account, a, now); err != nil {
		t.Fatal(err)
	}
	if n, err := sweep(t, l, now); n != 1 || err != nil {
		t.Errorf("of who is: %d, %v", n, err)
	}
}
