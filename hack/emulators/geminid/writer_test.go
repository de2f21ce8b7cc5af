package main

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/gemini"
)

// The platform's writer, which is Google's client, takes it for Gemini: what it says in
// order keeps to the facts, and what it says otherwise is no text, or none that does.
func TestTheWriter(t *testing.T) {
	minutes, steps := 441.0, 9120.0
	facts := narrative.Known(narrative.Facts(analysis.Result{
		Sleep:    analysis.Family{"total_sleep_time_minutes": &minutes},
		Activity: analysis.Family{"steps_per_day": &steps},
	}, nil))
	for mode := range modes {
		t.Run(mode, func(t *testing.T) {
			s := &server{drip: 50 * time.Millisecond}
			if err := s.play([]act{{Mode: mode}}); err != nil {
				t.Fatal(err)
			}
			model := httptest.NewServer(s)
			defer model.Close()
			w, err := gemini.Open(t.Context(), gemini.Config{Project: "demo-clarity", Location: "europe-west3", Model: "gemini-3.5-flash-lite",
				Timeout: 300 * time.Millisecond, Emulator: strings.TrimPrefix(model.URL, "http://")}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			claims, err := w.Write(ctx, facts)
			if err == nil {
				err = narrative.Check(facts, claims)
			}
			if (err == nil) != (mode == "ok") {
				t.Errorf("%v, of %+v", err, claims)
			}
			if mode == "ok" && len(claims) != 2 {
				t.Errorf("it says %+v", claims)
			}
		})
	}
}
