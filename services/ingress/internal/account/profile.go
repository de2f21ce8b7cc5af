package account

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/told"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

// A profileBody is what a person may write.
type profileBody struct {
	BirthYear      int           `json:"birthYear,omitempty" minimum:"1900" maximum:"2100"`
	Sex            string        `json:"sex,omitempty" enum:"female,male,other" doc:"as in HealthKit's biological sex"`
	TimeZone       string        `json:"timeZone,omitempty" maxLength:"64" doc:"IANA time zone, or a fixed offset such as GMT+0100" example:"Europe/Berlin"`
	HeightM        float64       `json:"heightM,omitempty" minimum:"0.3" maximum:"2.8" doc:"metres"`
	WeightKg       float64       `json:"weightKg,omitempty" minimum:"1" maximum:"650" doc:"kilograms"`
	SourcePriority []told.Prefix `json:"sourcePriority,omitempty" nullable:"false" maxItems:"20" doc:"product type prefixes, best first" example:"[\"Watch\",\"iPhone\"]"`
}

type profileView struct {
	BirthYear      int         `json:"birthYear,omitempty" minimum:"1900" maximum:"2100"`
	Sex            string      `json:"sex,omitempty" enum:"female,male,other"`
	TimeZone       string      `json:"timeZone,omitempty"`
	HeightM        float64     `json:"heightM,omitempty" doc:"metres"`
	WeightKg       float64     `json:"weightKg,omitempty" doc:"kilograms"`
	SourcePriority []string    `json:"sourcePriority,omitempty" nullable:"false"`
	UpdatedAt      *reply.Time `json:"updatedAt,omitempty" readOnly:"true"`
}

type profileOutput struct {
	ETag string `header:"ETag" doc:"version of the profile, for If-Match"`
	Body profileView
}

func viewProfile(p record.Profile, version int64) *profileOutput {
	v := profileView{BirthYear: p.BirthYear, Sex: p.Sex, TimeZone: p.TimeZone, HeightM: p.HeightM, WeightKg: p.WeightKg, SourcePriority: p.SourcePriority, UpdatedAt: reply.TimeOrNil(p.UpdatedAt)}
	return &profileOutput{ETag: etag(version), Body: v}
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func (r *Room) getProfile(ctx context.Context, _ *struct{}) (*profileOutput, error) {
	found, err := r.Profiles.Get(ctx, reply.UID(ctx), record.ProfileKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return viewProfile(found.Value, found.Version), nil
}

type putProfileInput struct {
	IfMatch string `header:"If-Match" doc:"the ETag that was read; \"0\" where none was written yet; * for whichever there is" example:"\"0\""`
	Body    profileBody
}

func (r *Room) putProfile(ctx context.Context, in *putProfileInput) (*profileOutput, error) {
	version, err := r.matched(ctx, in.IfMatch)
	if err != nil {
		return nil, err
	}
	b := in.Body
	if b.BirthYear > r.Now().Year() {
		return nil, reply.Invalid("body.birthYear", "expected a year that has begun")
	}
	if b.TimeZone, err = told.Zone("body.timeZone", b.TimeZone); err != nil {
		return nil, err
	}
	priority, err := told.Prefixes("body.sourcePriority", b.SourcePriority)
	if err != nil {
		return nil, err
	}
	p := record.Profile{BirthYear: b.BirthYear, Sex: b.Sex, TimeZone: b.TimeZone, HeightM: b.HeightM, WeightKg: b.WeightKg, SourcePriority: priority, UpdatedAt: r.Now().UTC()}
	uid := reply.UID(ctx)
	before, err := r.Profiles.Get(ctx, uid, record.ProfileKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	written, err := r.writeProfile(ctx, uid, before, version, p)
	if err != nil {
		return nil, err
	}
	if err := r.Audit.Append(ctx, audit.Event{Action: audit.ProfileChanged, UID: uid, ActorUID: uid, Object: record.ProfileKey, Outcome: "ok"}); err != nil {
		return nil, fmt.Errorf("audit a profile: %w", err)
	}
	return viewProfile(p, written), nil
}

// profileTries is how often a profile is written while others change what is read with it.
const profileTries = 8

// writeProfile writes the profile under the version, and what rests on it: where it
// steers Results, what is held says so, and every Result is looked at.
func (r *Room) writeProfile(ctx context.Context, uid string, before store.Record[record.Profile], version int64, p record.Profile) (written int64, err error) {
	for range profileTries {
		changes := []store.Change{r.Profiles.ToPut(record.ProfileKey, version, p)}
		if p.Steers(before.Value) {
			preferring, err := r.Standing.Preferring(ctx, uid, p.SourcePriority)
			if err != nil {
				return 0, err
			}
			changes = append(changes, r.Standing.Errand(agenda.Review, r.Now(), r.Now()), preferring)
		}
		err = r.Cache.Storing(ctx, uid, func(demand store.Change) error {
			versions, err := r.Standing.Batch(ctx, uid, append(changes, demand)...)
			if err == nil {
				written = versions[0]
			}
			return err
		})
		if !errors.Is(err, store.ErrConflict) {
			return written, err
		}
		now, err := r.Profiles.Get(ctx, uid, record.ProfileKey)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
		if now.Version != version {
			return 0, stale()
		}
	}
	return 0, fmt.Errorf("write a profile: %w", store.ErrConflict)
}

// matched is the version that If-Match names; * is the one that there is.
func (r *Room) matched(ctx context.Context, ifMatch string) (int64, error) {
	switch ifMatch {
	case "":
		return 0, problem.New(PreconditionRequired, "If-Match must hold the ETag of the profile that was read")
	case "*":
		found, err := r.Profiles.Get(ctx, reply.UID(ctx), record.ProfileKey)
		if errors.Is(err, store.ErrNotFound) {
			err = stale()
		}
		return found.Version, err
	}
	version, err := strconv.ParseInt(strings.Trim(ifMatch, `"`), 10, 64)
	if err != nil || ifMatch != etag(version) || version < 0 {
		return 0, stale()
	}
	return version, nil
}

func stale() *problem.Problem {
	return problem.New(PreconditionFailed, "the profile is another than If-Match says; read it again")
}
