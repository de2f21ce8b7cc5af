package store_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// answers are one answer after the other, as a person gives them.
func answers(t *testing.T, s *store.Store, uid, purpose string, granted ...bool) {
	t.Helper()
	for _, yes := range granted {
		if _, err := s.Answer(background, uid, purpose, func(record.Consent) record.Consent { return record.Consent{Granted: yes} }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPermitted(t *testing.T) {
	tests := map[string]struct {
		answers []bool
		erased  bool
		want    error
	}{
		"who was never asked has not agreed": {nil, false, analysis.ErrNoConsent},
		"who agreed":                         {[]bool{true}, false, nil},
		"who withdrew":                       {[]bool{true, false}, false, analysis.ErrNoConsent},
		"who agreed again":                   {[]bool{true, false, true}, false, nil},
		"who is erased, whatever they said":  {[]bool{true}, true, analysis.ErrErased},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, _, sealer, _ := open(t)
			answers(t, s, "anna", record.PurposeProcessing, tt.answers...)
			if tt.erased {
				if _, err := s.MarkErased(background, "anna", time.Now(), 0, "receipt"); err != nil {
					t.Fatal(err)
				}
				sealer.erased["anna"] = true // the key is gone, and with it what was sealed
			}
			if err := s.Permitted(background, "anna"); !errors.Is(err, tt.want) {
				t.Errorf("Permitted = %v, want %v", err, tt.want)
			}
			if err := s.CheckActive(background, "anna"); errors.Is(err, analysis.ErrErased) != tt.erased || err != nil && !tt.erased {
				t.Errorf("CheckActive = %v", err)
			}
			if err := s.Permitted(background, "bert"); !errors.Is(err, analysis.ErrNoConsent) {
				t.Errorf("another person: Permitted = %v, want %v", err, analysis.ErrNoConsent)
			}
		})
	}
}

func TestOneConsentIsNotAnother(t *testing.T) {
	s, _, _, _ := open(t)
	answers(t, s, "anna", record.PurposeProcessing, true)
	standing, err := s.Standing(background, "anna")
	if err != nil || standing.Value.Agreed(record.PurposeNarrative) || !standing.Value.Agreed(record.PurposeProcessing) {
		t.Errorf("%+v, %v", standing.Value, err)
	}
}

func TestTheEpochRisesWithEachAnswer(t *testing.T) {
	s, _, _, _ := open(t)
	var epochs []int64
	var purposes [][]string
	note := func() {
		standing, err := s.Standing(background, "anna")
		if err != nil {
			t.Fatal(err)
		}
		epochs, purposes = append(epochs, standing.Value.Epoch), append(purposes, standing.Value.Purposes)
	}
	note()
	for _, a := range []struct {
		purpose string
		granted bool
	}{{record.PurposeProcessing, true}, {record.PurposeNarrative, true}, {record.PurposeProcessing, true}, {record.PurposeProcessing, false}} {
		answers(t, s, "anna", a.purpose, a.granted)
		note()
	}
	if _, err := s.MarkErased(background, "anna", time.Now(), 0, "receipt"); err != nil {
		t.Fatal(err)
	}
	note()
	if diff := cmp.Diff([]int64{0, 1, 2, 3, 4, 5}, epochs); diff != "" {
		t.Errorf("epochs (-want +got):\n%s", diff)
	}
	want := [][]string{{}, {"processing"}, {"narrative", "processing"}, {"narrative", "processing"}, {"narrative"}, {}}
	if diff := cmp.Diff(want, purposes); diff != "" {
		t.Errorf("purposes (-want +got):\n%s", diff)
	}
}

// Every answer of a person who answers on many devices at once is kept.
func TestAnswersAtOnce(t *testing.T) {
	s, _, _, _ := open(t)
	var wg sync.WaitGroup
	for range 4 {
		for _, purpose := range []string{record.PurposeProcessing, record.PurposeNarrative} {
			wg.Go(func() {
				_, err := s.Answer(background, "anna", purpose, func(before record.Consent) record.Consent {
					before.History = append(slices.Clone(before.History), record.ConsentChange{})
					before.Granted = true
					return before
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	standing, err := s.Standing(background, "anna")
	if err != nil || standing.Value.Epoch != 8 || len(standing.Value.Purposes) != 2 {
		t.Errorf("%+v, %v", standing.Value, err)
	}
	for _, purpose := range []string{record.PurposeProcessing, record.PurposeNarrative} {
		if c, err := s.Consents.Get(background, "anna", purpose); err != nil || len(c.Value.History) != 4 {
			t.Errorf("%s: %+v, %v", purpose, c.Value, err)
		}
	}
}

// What is written under a standing is written before the person stands otherwise, or not at all.
func TestUnderAStanding(t *testing.T) {
	s, _, _, _ := open(t)
	put := func(key string, standing store.Record[record.Account]) error {
		_, err := s.Batch(background, "anna", s.Exports.ToPut(key, 0, record.Export{}), s.Under(standing))
		return err
	}
	standing := func() store.Record[record.Account] {
		t.Helper()
		r, err := s.Standing(background, "anna")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	nobody := standing()
	if err := put("1", nobody); err != nil {
		t.Errorf("of who never answered: %v", err)
	}
	answers(t, s, "anna", record.PurposeProcessing, true)
	if err := put("2", nobody); !errors.Is(err, store.ErrConflict) {
		t.Errorf("under a standing from before the answer: %v", err)
	}
	agreed := standing()
	for _, key := range []string{"3", "4"} {
		if err := put(key, agreed); err != nil {
			t.Errorf("under the consent that stands: %v", err)
		}
	}
	answers(t, s, "anna", record.PurposeProcessing, false)
	if err := put("5", agreed); !errors.Is(err, store.ErrConflict) {
		t.Errorf("under a consent that was withdrawn: %v", err)
	}
	withdrawn := standing()
	if _, err := s.MarkErased(background, "anna", time.Now(), 0, "receipt"); err != nil {
		t.Fatal(err)
	}
	if err := put("6", withdrawn); !errors.Is(err, store.ErrConflict) {
		t.Errorf("under an account that was erased: %v", err)
	}
	if _, err := s.Answer(background, "anna", record.PurposeProcessing, func(c record.Consent) record.Consent { return c }); !errors.Is(err, analysis.ErrErased) {
		t.Errorf("an answer of who is erased: %v", err)
	}
}

func TestWhoIsErasedStaysSo(t *testing.T) {
	s, _, _, _ := open(t)
	first, err := s.MarkErased(background, "anna", time.Unix(100, 0).UTC(), 0, "receipt")
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.MarkErased(background, "anna", time.Unix(200, 0).UTC(), 0, "receipt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Value, again.Value); diff != "" || first.Version != again.Version {
		t.Errorf("(-first +again):\n%s", diff)
	}
}
