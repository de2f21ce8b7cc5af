package sleep

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
)

func recording(values ...float64) actigraphy.Recording {
	return actigraphy.Recording{Start: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), Epoch: time.Minute, Kind: actigraphy.Counts, Values: values}
}

// parse reads states: s asleep, w awake, ? unknown; "20w" is twenty.
func parse(text string) []State {
	var states []State
	n := 0
	for _, c := range text {
		if c >= '0' && c <= '9' {
			n = 10*n + int(c-'0')
			continue
		}
		for range max(n, 1) {
			states = append(states, map[rune]State{'s': Asleep, 'w': Wake, '?': Unknown}[c])
		}
		n = 0
	}
	return states
}

func show(states []State) string {
	var b strings.Builder
	for _, s := range states {
		b.WriteByte("?ws"[s])
	}
	return b.String()
}

func TestWebstersRules(t *testing.T) {
	tests := map[string]struct{ before, after string }{
		"after 4 minutes of wake the first of sleep is wake": {"20s 4w 20s", "20s 5w 19s"},
		"after 3 it is not":        {"20s 3w 20s", "20s 3w 20s"},
		"after 10 the first 3 are": {"20s10w20s", "20s13w17s"},
		"after 15 the first 4 are": {"20s15w20s", "20s19w16s"},
		"a sleep shorter than a rule's is left to the smaller rule": {"20s15w3s3w20s", "20s15w3w3w20s"},
		"6 minutes between 10 of wake are wake":                     {"20s10w6s10w20s", "20s10w6w10w3w17s"},
		"7 minutes between 10 of wake are not, but their first 3":   {"20s10w7s10w20s", "20s10w3w4s10w3w17s"},
		"10 minutes between 20 of wake are wake":                    {"20w10s20w", "50w"},
		"11 minutes between 20 of wake are not, but their first 4":  {"20w11s20w", "24w7s20w"},
		"what is not known is not between":                          {"20w2s1?2s20w", "20w1w1s1?2s20w"},
		"the rules see the scores as they were":                     {"4w1s3w1s", "5w3w1s"},
		"nothing at all":                                            {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			states := parse(strings.ReplaceAll(tt.before, " ", ""))
			webster(states)
			if got, want := show(states), show(parse(strings.ReplaceAll(tt.after, " ", ""))); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// One minute of movement at 10. D of the minute itself is 0.001·230·count/30, of
// the minute four later 0.001·106·count/30; sleep is D < 1.
func TestColeKripkeByHand(t *testing.T) {
	for counts, want := range map[float64]string{
		130: "wwwwssssssssssssw" + "www", // 0.997
		131: "wwwwsssssswsssssw" + "www", // 1.004
		300: "wwwwsssssswssswsw" + "www", // 2.3, and 1.06 at 14
	} {
		values := make([]float64, 20)
		values[10] = counts
		if got := show(ColeKripke(recording(values...), false)); got != want {
			t.Errorf("%v counts: %s, want %s", counts, got, want)
		}
	}
}

func TestScoresAroundAHoleAreUnknown(t *testing.T) {
	rec := recording(make([]float64, 30)...)
	rec.Missing = make([]bool, 30)
	rec.Missing[15] = true
	if got, want := show(ColeKripke(rec, false)), "wwwwsssssss?????????ssssss"+"wwww"; got != want {
		t.Errorf("Cole-Kripke: %s, want %s", got, want)
	}
	if got, want := show(Sadeh(rec)), "wwwwwsssss???????????ssss"+"wwwww"; got != want {
		t.Errorf("Sadeh:       %s, want %s", got, want)
	}
}

func TestSadehByHand(t *testing.T) {
	values := make([]float64, 30)
	states := Sadeh(recording(values...))
	if states[15] != Asleep {
		t.Error("stillness is not sleep: PS = 7.601")
	}
	// All 11 minutes at 75: mean 75, NAT 11, SD 0, ln 76.
	for i := range values {
		values[i] = 75
	}
	if ps := 7.601 - 0.065*75 - 1.08*11 - 0.703*math.Log(76); ps > 0 {
		t.Fatal("the example is wrong")
	}
	if states = Sadeh(recording(values...)); states[15] != Wake {
		t.Error("75 counts a minute are sleep")
	}
	// All at 30: mean 30, NAT 0, SD 0, ln 31: 7.601 − 1.95 − 2.414 = 3.237.
	for i := range values {
		values[i] = 30
	}
	if states = Sadeh(recording(values...)); states[15] != Asleep {
		t.Error("an even 30 counts a minute are not sleep")
	}
}

func TestRecordingsShorterThanTheWindowAreWake(t *testing.T) {
	for n := range 12 {
		if got := show(ColeKripke(recording(make([]float64, n)...), true)); n < 9 && strings.Contains(got, "s") {
			t.Errorf("%d epochs: %s", n, got)
		}
		Sadeh(recording(make([]float64, n)...))
	}
}
