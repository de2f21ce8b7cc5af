package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/fault"
)

// readiness says whether a process can do something useful, and what it goes without.
//
// Who answers people is ready as long as there is something that they can be served: not
// where what every request needs is away, and nobody could be served anywhere. What some
// requests need may be away once it was there, since another replica would not have it
// either; a process that begins has to have met all of it, so that one that is configured
// wrongly replaces no other. Whom nobody sends requests is ready where nothing is away.
type readiness struct {
	peers  []peer
	serves bool           // people
	spares capability.Set // what they can be served without
	log    *slog.Logger

	mu   sync.Mutex
	met  map[string]bool  // peers that were there once
	away map[string]error // peers that are not, or do only some of their work
	down map[string]error // stages that failed and are to be begun again
	runs *prometheus.CounterVec
}

// A peer is a driver that may be away, and which capability is its.
type peer struct {
	of  capability.Set
	ask func(ctx context.Context) error
}

// peers are the drivers that can tell whether they can do their work.
func (o Opened) peers() (all []peer) {
	for _, row := range []struct {
		of     capability.Set
		driver any
		is     bool
	}{
		{capability.Store, o.Store, o.Store != nil}, {capability.Blobs, o.Blobs, true}, {capability.Queue, o.Queue, true},
		{capability.Keys, o.Keys, true}, {capability.Identity, o.Identity, true}, {capability.Audit, o.Audit, true},
	} {
		if d, can := row.driver.(interface{ Ready(context.Context) error }); can && row.is {
			all = append(all, peer{row.of, d.Ready})
		}
	}
	return all
}

// newReadiness is that of a process with the stages of c over what is open.
func newReadiness(o Opened, c Config, table []Stage, log *slog.Logger) *readiness {
	r := &readiness{peers: o.peers(), log: log, met: map[string]bool{}, away: map[string]error{}, down: map[string]error{},
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clarity_stage_failures_total", Help: "How often a stage failed and was begun again."}, []string{"stage"})}
	for _, s := range table {
		if s.Needs.Has(capability.Listener) && slices.Contains(c.Stages, s.Name) {
			r.serves, r.spares = true, s.Spares
		}
	}
	return r
}

// look asks the peers. It is an error where there is nothing useful to do; without is
// whether there is, and something is away all the same.
func (r *readiness) look(ctx context.Context) (without bool, err error) {
	answers := make([]error, len(r.peers))
	var all sync.WaitGroup
	for i, p := range r.peers {
		all.Go(func() { answers[i] = p.ask(ctx) })
	}
	all.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var faults []error
	for i, p := range r.peers {
		if r.take(p, answers[i]) {
			faults = append(faults, answers[i])
		}
	}
	for name, why := range r.down {
		if !r.serves {
			faults = append(faults, fmt.Errorf("%s: %w", name, why))
		}
	}
	return len(r.away)+len(r.down) > 0, errors.Join(faults...)
}

// take takes note of a peer's answer, and says whether nothing useful can be done with it.
func (r *readiness) take(p peer, answer error) (useless bool) {
	name := p.of.String()
	met, before := r.met[name], r.away[name]
	attrs := append([]any{"peer", name, "reason", fault.Text(answer)}, fault.Attrs(answer)...)
	switch {
	case answer == nil:
		if delete(r.away, name); before != nil {
			r.log.Info("a peer is back", "peer", name)
		}
		r.met[name] = true
		return false
	case before == nil:
		r.log.Warn("a peer is away", attrs...)
	}
	r.away[name] = answer
	return !met || !r.serves || !fault.IsPartly(answer) && !r.spares.Has(p.of)
}

// fell takes note of a stage that failed; rose, that it runs.
func (r *readiness) fell(stage string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down[stage] = err
	r.runs.WithLabelValues(stage).Inc()
}

func (r *readiness) rose(stage string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.down, stage)
}

func awayDesc() *prometheus.Desc {
	return prometheus.NewDesc("clarity_peer_away", "1 where a peer that the process works with is away, or does only some of its work.", []string{"peer"}, nil)
}

func downDesc() *prometheus.Desc {
	return prometheus.NewDesc("clarity_stage_down", "1 where a stage has failed and is to be begun again.", []string{"stage"}, nil)
}

// Describe is prometheus.Collector's.
func (r *readiness) Describe(to chan<- *prometheus.Desc) {
	to <- awayDesc()
	to <- downDesc()
	r.runs.Describe(to)
}

// Collect is prometheus.Collector's. What is believed costs nothing; who has to be asked
// is, as by a probe, and waited for as long: who is slow is not away.
func (r *readiness) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), probed)
	defer cancel()
	_, _ = r.look(ctx) // what it says is below
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		name, is := p.of.String(), 0.0
		if r.away[name] != nil {
			is = 1
		}
		to <- prometheus.MustNewConstMetric(awayDesc(), prometheus.GaugeValue, is, name)
	}
	for stage := range r.down {
		to <- prometheus.MustNewConstMetric(downDesc(), prometheus.GaugeValue, 1, stage)
	}
	r.runs.Collect(to)
}
