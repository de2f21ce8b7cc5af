package template_test

import (
	"math/rand/v2"
	"testing"

	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/narrativetest"
	"github.com/clarity-loop/clarity/services/narrative/template"
)

func BenchmarkCheck(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	before := narrativetest.Result(r)
	facts := narrative.Facts(narrativetest.Result(r), &before)
	claims, err := template.New().Write(b.Context(), facts)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := narrative.Check(facts, claims); err != nil {
			b.Fatal(err)
		}
	}
}
