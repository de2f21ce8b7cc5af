package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/record"
)

func TestPermitted(t *testing.T) {
	tests := map[string]struct {
		consent *record.Consent
		erased  bool
		want    error
	}{
		"who was never asked has not agreed": {nil, false, analysis.ErrNoConsent},
		"who agreed":                         {&record.Consent{Granted: true}, false, nil},
		"who withdrew":                       {&record.Consent{Granted: false}, false, analysis.ErrNoConsent},
		"who is erased, whatever they said":  {&record.Consent{Granted: true}, true, analysis.ErrErased},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, _, sealer, _ := open(t)
			if tt.consent != nil {
				if _, err := s.Consents.Put(background, "anna", record.PurposeProcessing, 0, *tt.consent); err != nil {
					t.Fatal(err)
				}
			}
			if tt.erased {
				if _, err := s.Accounts.Put(background, "anna", record.AccountKey, 0, record.Account{ErasedAt: time.Now()}); err != nil {
					t.Fatal(err)
				}
				sealer.erased["anna"] = true // the key is gone, and with it what was sealed
			}
			if err := s.Permitted(background, "anna"); !errors.Is(err, tt.want) {
				t.Errorf("Permitted = %v, want %v", err, tt.want)
			}
			if err := s.Permitted(background, "bert"); !errors.Is(err, analysis.ErrNoConsent) {
				t.Errorf("another person: Permitted = %v, want %v", err, analysis.ErrNoConsent)
			}
		})
	}
}

func TestOneConsentIsNotAnother(t *testing.T) {
	s, _, _, _ := open(t)
	if _, err := s.Consents.Put(background, "anna", record.PurposeProcessing, 0, record.Consent{Granted: true}); err != nil {
		t.Fatal(err)
	}
	granted, err := s.Consented(background, "anna", record.PurposeNarrative)
	if err != nil || granted {
		t.Errorf("Consented = %v, %v; want false", granted, err)
	}
}
