package uploads

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// An uploadView is how far an upload has come.
type uploadView struct {
	UploadID   string       `json:"uploadId"`
	State      string       `json:"state" enum:"received,merged,failed,held" doc:"received: durable, waits; merged: in the days; failed: see reason; held: consent was withdrawn before it was merged"`
	Reason     string       `json:"reason,omitempty" doc:"stable code of the failure"`
	Waiting    string       `json:"waiting,omitempty" doc:"why it is not merged by now, in a stable word of docs/api/codes.md; absent while it is in time; others may come" example:"overdue"`
	ReceivedAt reply.Time   `json:"receivedAt"`
	MergedAt   *reply.Time  `json:"mergedAt,omitempty"`
	Bytes      int          `json:"bytes" minimum:"0" doc:"as received"`
	Encoding   string       `json:"encoding" enum:"identity,gzip,zstd"`
	BodySHA256 string       `json:"bodySha256" doc:"of the body as received, hexadecimal"`
	Received   int          `json:"received" minimum:"0" doc:"entries of samples and of deleted"`
	Accepted   int          `json:"accepted" minimum:"0"`
	Rejected   int          `json:"rejected" minimum:"0"`
	Added      int          `json:"added" minimum:"0" doc:"samples that were new"`
	Replaced   int          `json:"replaced" minimum:"0" doc:"samples that took the place of another version of their uuid"`
	Duplicates int          `json:"duplicates" minimum:"0" doc:"samples that were there already, or a version of their uuid that is preferred"`
	Deleted    int          `json:"deleted" minimum:"0" doc:"samples that its deletions took away"`
	Days       []health.Day `json:"days" nullable:"false" doc:"local days it touched"`
	Refused    []refusedDay `json:"refused,omitempty" nullable:"false" doc:"local days of which no sample was taken, and why; absent where there is none"`
}

// A refusedDay is a day of an upload that was merged without it.
type refusedDay struct {
	Day  health.Day `json:"day"`
	Code string     `json:"code" doc:"day_full: it would hold more than a day can; others may come" example:"day_full"`
}

// The reasons for which an upload is not merged by now.
const (
	waitsForConsent = "consent" // the person withdrew it
	overdue         = "overdue" // a backend is away, or its message is a dead letter
)

// waiting is why an upload is not merged by now. When somebody looks at what is
// unfinished and asks again, it is overdue: whatever it waits for is not its turn.
func waiting(u record.Upload, now time.Time) string {
	switch {
	case u.State == record.UploadHeld:
		return waitsForConsent
	case u.State == record.UploadReceived && !now.Before(u.Next(u.ReceivedAt)):
		return overdue
	}
	return ""
}

func (r *Room) view(u store.Record[record.Upload]) uploadView {
	v := viewUpload(u)
	v.Waiting = waiting(u.Value, r.Now())
	return v
}

func viewUpload(r store.Record[record.Upload]) uploadView {
	u := r.Value
	v := uploadView{
		UploadID: r.Key, State: string(u.State), Reason: u.Reason, ReceivedAt: reply.Time(u.ReceivedAt), Bytes: u.Bytes, Encoding: u.Encoding,
		BodySHA256: u.BodySHA256, Added: u.Added, Replaced: u.Replaced, Duplicates: u.Duplicates, Deleted: u.Deleted, Days: reply.OrEmpty(u.Days),
	}
	for _, day := range u.Full {
		v.Refused = append(v.Refused, refusedDay{day, "day_full"})
	}
	v.MergedAt = reply.TimeOrNil(u.MergedAt)
	var given receipt
	if json.Unmarshal(u.Receipt, &given) == nil { // written by receiptFor
		v.Received, v.Accepted, v.Rejected = given.Received, given.Accepted, len(given.Rejected)
	}
	return v
}

// Exported are the uploads of an export.
func Exported(uploads store.Collection[record.Upload]) []reply.Section {
	return []reply.Section{reply.Exported(uploads, "upload", viewUpload)}
}

type listUploadsInput struct {
	reply.PageInput
	State string `query:"state" enum:"received,merged,failed,held" doc:"those in this state alone; all if absent"`
}

// listUploads shows the newest first. The records lie by the phones' own ids, so
// all of the person's are looked at; what is held of them is one page.
func (r *Room) listUploads(ctx context.Context, in *listUploadsInput) (*reply.PageOutput[uploadView], error) {
	from := newestPlace()
	if in.Cursor != "" {
		var ok bool
		if from, ok = placeOf(in.Cursor); !ok {
			return nil, reply.Invalid("query.cursor", "expected next of the page before")
		}
	}
	var page []store.Record[record.Upload]
	err := reply.EachRecord(ctx, r.Uploads, reply.UID(ctx), "", func(u store.Record[record.Upload]) error {
		if in.State != "" && string(u.Value.State) != in.State || !stands(u).behind(from) {
			return nil
		}
		i, _ := slices.BinarySearchFunc(page, stands(u), func(other store.Record[record.Upload], p place) int { return stands(other).compare(p) })
		if page = slices.Insert(page, i, u); len(page) > in.Limit+1 {
			page = page[:in.Limit+1]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &reply.PageOutput[uploadView]{Body: reply.Page[uploadView]{Items: []uploadView{}}}
	if len(page) > in.Limit {
		page = page[:in.Limit]
		out.Body.Next = stands(page[in.Limit-1]).cursor()
	}
	for _, u := range page {
		out.Body.Items = append(out.Body.Items, r.view(u))
	}
	return out, nil
}

// A place is where an upload stands among a person's, the newest first.
type place struct {
	received int64 // milliseconds
	id       string
}

func newestPlace() place { return place{received: math.MaxInt64} }

func stands(u store.Record[record.Upload]) place { return place{u.Value.ReceivedAt.UnixMilli(), u.Key} }

// compare is negative where p is the newer one.
func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(other.received, p.received), cmp.Compare(p.id, other.id))
}

func (p place) behind(other place) bool { return p.compare(other) > 0 }

func (p place) cursor() string { return strconv.FormatInt(p.received, 10) + "." + p.id }

// placeOf is the place that the cursor names.
func placeOf(cursor string) (place, bool) {
	received, id, found := strings.Cut(cursor, ".")
	ms, err := strconv.ParseInt(received, 10, 64)
	return place{ms, id}, found && err == nil && ms > 0 && validUploadID(id)
}

type uploadInput struct {
	UploadID string `path:"uploadId" minLength:"8" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" example:"2026-11-20T07-00-00Z-0001"`
}

type uploadOutput struct{ Body uploadView }

func (r *Room) getUpload(ctx context.Context, in *uploadInput) (*uploadOutput, error) {
	found, err := r.Uploads.Get(ctx, reply.UID(ctx), in.UploadID)
	if err != nil {
		return nil, err
	}
	return &uploadOutput{r.view(found)}, nil
}
