package uploads

import (
	"context"
	"encoding/json"
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

const listUploadsDetail = "Of one state a page may have less than its limit, and still a next."

type listUploadsInput struct {
	reply.PageInput
	State string `query:"state" enum:"received,merged,failed,held" doc:"those in this state alone; all if absent"`
}

// The bounds of one page.
const (
	readAtOnce = 100  // records of a list: each may have its body
	mostLooked = 1000 // records that a page of one state looks at; then it ends, with what it has
)

// listUploads shows the newest first. A page of one state may have less than its limit,
// and a next: where others lie between.
func (r *Room) listUploads(ctx context.Context, in *listUploadsInput) (*reply.PageOutput[uploadView], error) {
	var q store.Query
	if in.Cursor != "" {
		var ok bool
		if q, ok = behind(in.Cursor); !ok {
			return nil, reply.Invalid("query.cursor", "expected next of the page before")
		}
	}
	out := &reply.PageOutput[uploadView]{Body: reply.Page[uploadView]{Items: []uploadView{}}}
	q.Newest = true
	for looked := 0; ; {
		if looked == mostLooked {
			out.Body.Next = cursor(q)
			return out, nil
		}
		q.Limit = readAtOnce
		if in.State == "" {
			q.Limit = min(in.Limit+1-len(out.Body.Items), readAtOnce)
		}
		records, err := r.Uploads.List(ctx, reply.UID(ctx), q)
		if err != nil {
			return nil, err
		}
		for _, u := range records {
			if in.State == "" || string(u.Value.State) == in.State {
				if len(out.Body.Items) == in.Limit {
					out.Body.Next = cursor(q)
					return out, nil
				}
				out.Body.Items = append(out.Body.Items, r.view(u))
			}
			q.Came, q.After = u.Came, u.Key
		}
		if len(records) < q.Limit {
			return out, nil
		}
		looked += len(records)
	}
}

// cursor names the place of the upload that the query lists behind.
func cursor(q store.Query) string { return strconv.FormatInt(q.Came.UnixMilli(), 10) + "." + q.After }

// behind lists what is behind the place that the cursor names.
func behind(cursor string) (store.Query, bool) {
	came, id, found := strings.Cut(cursor, ".")
	ms, err := strconv.ParseInt(came, 10, 64)
	return store.Query{Came: time.UnixMilli(ms).UTC(), After: id}, found && err == nil && ms > 0 && validUploadID(id)
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
