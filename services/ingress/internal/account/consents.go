package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// purposes is the written-out list of what can be agreed to.
func purposes() []string { return []string{record.PurposeProcessing, record.PurposeNarrative} }

type consentView struct {
	Purpose string         `json:"purpose" enum:"processing,narrative"`
	Granted bool           `json:"granted"`
	Version string         `json:"version,omitempty" doc:"of the text that was shown"`
	At      *reply.Time    `json:"at,omitempty" doc:"when it was answered; absent where it never was"`
	History []consentEvent `json:"history" nullable:"false" doc:"earlier answers, oldest first"`
}

type consentEvent struct {
	Granted bool       `json:"granted"`
	Version string     `json:"version"`
	At      reply.Time `json:"at"`
}

func viewConsent(purpose string, c record.Consent) consentView {
	v := consentView{Purpose: purpose, Granted: c.Granted, Version: c.Version, History: make([]consentEvent, 0, len(c.History))}
	if !c.At.IsZero() {
		at := reply.Time(c.At)
		v.At = &at
	}
	for _, h := range c.History {
		v.History = append(v.History, consentEvent{h.Granted, h.Version, reply.Time(h.At)})
	}
	return v
}

type consentsView struct {
	Items []consentView `json:"items" nullable:"false" doc:"one a purpose"`
}

type consentsOutput struct{ Body consentsView }

func (r *Room) listConsents(ctx context.Context, _ *struct{}) (*consentsOutput, error) {
	out := &consentsOutput{}
	for _, purpose := range purposes() {
		found, err := r.Consents.Get(ctx, reply.UID(ctx), purpose)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, viewConsent(purpose, found.Value))
	}
	return out, nil
}

type putConsentInput struct {
	Purpose string `path:"purpose" enum:"processing,narrative" doc:"processing: store and analyse health data; narrative: have derived facts put into words by a language model" example:"processing"`
	Body    consentAnswer
}

type consentAnswer struct {
	Granted bool   `json:"granted"`
	Version string `json:"version" minLength:"1" maxLength:"64" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"of the text that was shown" example:"2026-11"`
}

type consentOutput struct{ Body consentView }

// historyKept bounds a consent's history.
const historyKept = 200

func (r *Room) putConsent(ctx context.Context, in *putConsentInput) (*consentOutput, error) {
	uid := reply.UID(ctx)
	defer r.Cache.Forget(uid)
	c, err := r.Standing.Answer(ctx, uid, in.Purpose, func(before record.Consent) record.Consent { return r.answered(before, in.Body) })
	if err != nil {
		return nil, err
	}
	action := audit.ConsentWithdrawn
	if in.Body.Granted {
		action = audit.ConsentGranted
	}
	if err := r.Audit.Append(ctx, audit.Event{Action: action, UID: uid, ActorUID: uid, Object: in.Purpose, Outcome: "ok"}); err != nil {
		return nil, fmt.Errorf("audit a consent: %w", err)
	}
	return &consentOutput{viewConsent(in.Purpose, c)}, nil
}

// answered is the consent after an answer; the one before becomes history.
func (r *Room) answered(c record.Consent, answer consentAnswer) record.Consent {
	if !c.At.IsZero() {
		c.History = append(c.History, record.ConsentChange{Granted: c.Granted, Version: c.Version, At: c.At})
		c.History = c.History[max(0, len(c.History)-historyKept):]
	}
	c.Granted, c.Version, c.At = answer.Granted, answer.Version, r.Now().UTC()
	return c
}
