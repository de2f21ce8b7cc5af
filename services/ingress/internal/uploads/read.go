package uploads

import (
	"context"
	"encoding/json"
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
	ReceivedAt time.Time    `json:"receivedAt"`
	MergedAt   *time.Time   `json:"mergedAt,omitempty"`
	Bytes      int          `json:"bytes" minimum:"0" doc:"as received"`
	Encoding   string       `json:"encoding" enum:"identity,gzip,zstd"`
	BodySHA256 string       `json:"bodySha256" doc:"of the body as received, hexadecimal"`
	Received   int          `json:"received" minimum:"0" doc:"entries of samples and of deleted"`
	Accepted   int          `json:"accepted" minimum:"0"`
	Rejected   int          `json:"rejected" minimum:"0"`
	Added      int          `json:"added" minimum:"0" doc:"samples that were new"`
	Duplicates int          `json:"duplicates" minimum:"0" doc:"samples that were there already"`
	Deleted    int          `json:"deleted" minimum:"0" doc:"samples that its deletions took away"`
	Days       []health.Day `json:"days" nullable:"false" doc:"local days it touched"`
}

func viewUpload(r store.Record[record.Upload]) uploadView {
	u := r.Value
	v := uploadView{
		UploadID: r.Key, State: string(u.State), Reason: u.Reason, ReceivedAt: u.ReceivedAt.UTC(), Bytes: u.Bytes, Encoding: u.Encoding,
		BodySHA256: u.BodySHA256, Added: u.Added, Duplicates: u.Duplicates, Deleted: u.Deleted, Days: reply.OrEmpty(u.Days),
	}
	if !u.MergedAt.IsZero() {
		merged := u.MergedAt.UTC()
		v.MergedAt = &merged
	}
	var given receipt
	if json.Unmarshal(u.Receipt, &given) == nil { // written by receiptFor
		v.Received, v.Accepted, v.Rejected = given.Received, given.Accepted, len(given.Rejected)
	}
	return v
}

func (r *Room) listUploads(ctx context.Context, in *reply.PageInput) (*reply.PageOutput[uploadView], error) {
	return reply.List(ctx, r.Uploads, *in, store.Query{}, viewUpload)
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
	return &uploadOutput{viewUpload(found)}, nil
}
