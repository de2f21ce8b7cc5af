package ingress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A profileBody is what a person may write.
type profileBody struct {
	BirthYear      int      `json:"birthYear,omitempty" minimum:"1900" maximum:"2100"`
	Sex            string   `json:"sex,omitempty" enum:"female,male,other" doc:"as in HealthKit's biological sex"`
	TimeZone       string   `json:"timeZone,omitempty" maxLength:"64" doc:"IANA time zone" example:"Europe/Berlin"`
	HeightM        float64  `json:"heightM,omitempty" minimum:"0.3" maximum:"2.8" doc:"metres"`
	WeightKg       float64  `json:"weightKg,omitempty" minimum:"1" maximum:"650" doc:"kilograms"`
	SourcePriority []string `json:"sourcePriority,omitempty" nullable:"false" maxItems:"20" doc:"product type prefixes, best first" example:"[\"Watch\",\"iPhone\"]"`
}

type profileView struct {
	BirthYear      int        `json:"birthYear,omitempty" minimum:"1900" maximum:"2100"`
	Sex            string     `json:"sex,omitempty" enum:"female,male,other"`
	TimeZone       string     `json:"timeZone,omitempty"`
	HeightM        float64    `json:"heightM,omitempty" doc:"metres"`
	WeightKg       float64    `json:"weightKg,omitempty" doc:"kilograms"`
	SourcePriority []string   `json:"sourcePriority,omitempty" nullable:"false"`
	UpdatedAt      *time.Time `json:"updatedAt,omitempty" readOnly:"true"`
}

type profileOutput struct {
	ETag string `header:"ETag" doc:"version of the profile, for If-Match"`
	Body profileView
}

func viewProfile(p record.Profile, version int64) *profileOutput {
	v := profileView{BirthYear: p.BirthYear, Sex: p.Sex, TimeZone: p.TimeZone, HeightM: p.HeightM, WeightKg: p.WeightKg, SourcePriority: p.SourcePriority}
	if !p.UpdatedAt.IsZero() {
		updated := p.UpdatedAt.UTC()
		v.UpdatedAt = &updated
	}
	return &profileOutput{ETag: etag(version), Body: v}
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func (s *Server) getProfile(ctx context.Context, _ *struct{}) (*profileOutput, error) {
	r, err := s.Store.Profiles.Get(ctx, uidOf(ctx), record.ProfileKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return viewProfile(r.Value, r.Version), nil
}

type putProfileInput struct {
	IfMatch string `header:"If-Match" doc:"the ETag that was read; \"0\" where none was written yet" example:"\"0\""`
	Body    profileBody
}

func (s *Server) putProfile(ctx context.Context, in *putProfileInput) (*profileOutput, error) {
	if in.IfMatch == "" {
		return nil, problem.New(problem.PreconditionRequired, "If-Match must hold the ETag of the profile that was read")
	}
	stale := problem.New(problem.PreconditionFailed, "the profile is another than If-Match says; read it again")
	version, err := strconv.ParseInt(strings.Trim(in.IfMatch, `"`), 10, 64)
	if err != nil || in.IfMatch != etag(version) || version < 0 {
		return nil, stale
	}
	b := in.Body
	if b.TimeZone != "" && !validZone(b.TimeZone) {
		return nil, problem.New(problem.InvalidRequest, "the request is not what the operation accepts").At("body.timeZone", "expected an IANA time zone")
	}
	p := record.Profile{BirthYear: b.BirthYear, Sex: b.Sex, TimeZone: b.TimeZone, HeightM: b.HeightM, WeightKg: b.WeightKg, SourcePriority: b.SourcePriority, UpdatedAt: s.Now().UTC()}
	uid := uidOf(ctx)
	var written int64
	err = s.people.storing(ctx, uid, func() (err error) {
		written, err = s.Store.Profiles.Put(ctx, uid, record.ProfileKey, version, p)
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		return nil, stale
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.Audit.Append(ctx, audit.Event{Action: audit.ProfileChanged, UID: uid, ActorUID: uid, Object: record.ProfileKey, Outcome: "ok"}); err != nil {
		return nil, fmt.Errorf("audit a profile: %w", err)
	}
	return viewProfile(p, written), nil
}

// validZone reports whether the name is one of the zone database; "Local" is
// this machine's business.
func validZone(name string) bool {
	_, err := time.LoadLocation(name)
	return err == nil && name != "Local"
}

// purposes is the written-out list of what can be agreed to.
func purposes() []string { return []string{record.PurposeProcessing, record.PurposeNarrative} }

type consentView struct {
	Purpose string         `json:"purpose" enum:"processing,narrative"`
	Granted bool           `json:"granted"`
	Version string         `json:"version,omitempty" doc:"of the text that was shown"`
	At      *time.Time     `json:"at,omitempty" doc:"when it was answered; absent where it never was"`
	History []consentEvent `json:"history" nullable:"false" doc:"earlier answers, oldest first"`
}

type consentEvent struct {
	Granted bool      `json:"granted"`
	Version string    `json:"version"`
	At      time.Time `json:"at"`
}

func viewConsent(purpose string, c record.Consent) consentView {
	v := consentView{Purpose: purpose, Granted: c.Granted, Version: c.Version, History: make([]consentEvent, 0, len(c.History))}
	if !c.At.IsZero() {
		at := c.At.UTC()
		v.At = &at
	}
	for _, h := range c.History {
		v.History = append(v.History, consentEvent{h.Granted, h.Version, h.At.UTC()})
	}
	return v
}

type consentsView struct {
	Items []consentView `json:"items" nullable:"false" doc:"one a purpose"`
}

type consentsOutput struct{ Body consentsView }

func (s *Server) listConsents(ctx context.Context, _ *struct{}) (*consentsOutput, error) {
	out := &consentsOutput{}
	for _, purpose := range purposes() {
		r, err := s.Store.Consents.Get(ctx, uidOf(ctx), purpose)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, viewConsent(purpose, r.Value))
	}
	return out, nil
}

type putConsentInput struct {
	Purpose string `path:"purpose" enum:"processing,narrative" doc:"processing: store and analyse health data; narrative: have derived facts put into words by a language model" example:"processing"`
	Body    consentAnswer
}

type consentAnswer struct {
	Granted bool   `json:"granted"`
	Version string `json:"version" minLength:"1" maxLength:"64" doc:"of the text that was shown" example:"2026-11"`
}

type consentOutput struct{ Body consentView }

// historyKept bounds a consent's history.
const historyKept = 200

func (s *Server) putConsent(ctx context.Context, in *putConsentInput) (*consentOutput, error) {
	uid := uidOf(ctx)
	c, err := s.changeConsent(ctx, uid, in)
	if err != nil {
		return nil, err
	}
	action := audit.ConsentWithdrawn
	if in.Body.Granted {
		action = audit.ConsentGranted
	}
	if _, err := s.Audit.Append(ctx, audit.Event{Action: action, UID: uid, ActorUID: uid, Object: in.Purpose, Outcome: "ok"}); err != nil {
		return nil, fmt.Errorf("audit a consent: %w", err)
	}
	if in.Body.Granted && in.Purpose == record.PurposeProcessing {
		if err := s.resume(ctx, uid); err != nil {
			return nil, err
		}
	}
	return &consentOutput{viewConsent(in.Purpose, c)}, nil
}

// changeConsent writes the answer behind the person's gate: what was let in
// before is stored, what comes after sees the answer.
func (s *Server) changeConsent(ctx context.Context, uid string, in *putConsentInput) (record.Consent, error) {
	gate := s.people.gate(uid)
	gate.Lock()
	defer gate.Unlock()
	defer s.people.forget(uid)
	if who, err := s.people.getGated(ctx, uid); err != nil || who.erased {
		return record.Consent{}, cmp.Or(err, analysis.ErrErased)
	}
	r, err := s.Store.Consents.Get(ctx, uid, in.Purpose)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return record.Consent{}, err
	}
	c := r.Value
	if !c.At.IsZero() {
		c.History = append(c.History, record.ConsentChange{Granted: c.Granted, Version: c.Version, At: c.At})
		c.History = c.History[max(0, len(c.History)-historyKept):]
	}
	c.Granted, c.Version, c.At = in.Body.Granted, in.Body.Version, s.Now().UTC()
	_, err = s.Store.Consents.Put(ctx, uid, in.Purpose, r.Version, c)
	return c, err
}

// resume publishes the uploads again that were held for want of consent.
func (s *Server) resume(ctx context.Context, uid string) error {
	for after := ""; ; {
		uploads, err := s.Store.Uploads.List(ctx, uid, store.Query{After: after, Limit: 500})
		if err != nil {
			return err
		}
		for _, u := range uploads {
			if u.Value.State == record.UploadHeld {
				if err := s.publishUpload(ctx, uid, u.Key); err != nil {
					return err
				}
			}
			after = u.Key
		}
		if len(uploads) < 500 {
			return nil
		}
	}
}
