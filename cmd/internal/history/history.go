// Package history makes up four weeks of one person's HealthKit data, as their
// phone would upload it, together with the truth behind it.
//
// The person lives in Berlin, goes to bed around 23:15 on working days and an
// hour and a quarter later before free days (social jetlag), wears an Apple
// Watch nearly always and carries an iPhone on most walks. In the four weeks:
//
//   - Watch and iPhone record the same walks: steps, distance and energy overlap;
//   - the iPhone records time in bed, the Watch the stages of sleep within it;
//   - the day before the second half is the one on which Berlin's clock goes
//     back, if the last day is a fortnight later (the default);
//   - they fly to New York on day 14 and back in the night to day 20 (counted
//     from 0), so samples change their time zone;
//   - they nap on days 5, 12 and 26, and are without the Watch on day 10 and in
//     the nights around it;
//   - they run on some days; the workout is of a type the catalog need not know;
//   - they type in their weight by hand;
//   - a phantom walk recorded on day 22 is deleted on day 24, and another one is
//     deleted before the sample itself arrives;
//   - the Watch's afternoon of day 23 arrives on day 25;
//   - some samples are sent twice, and one is broken (it ends before it starts).
//
// The app is installed in the evening of day 20: three weeks of backfill, type
// by type as HealthKit's anchored queries give it, then one sync a day.
//
// The same Config gives the same bytes.
package history

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/clarity-loop/clarity/services/health"
)

// Days is the length of a history.
const Days = 28

// The days, counted from 0, on which something happens.
const (
	dayFlightOut   = 14
	dayFlightBack  = 19 // lands on the morning of the next
	dayWatchless   = 10
	dayInstalled   = 20
	dayPhantom     = 22
	dayLate        = 23
	dayDeletes     = 24
	dayLateArrives = 25
)

// A Config decides a history.
type Config struct {
	// End is the last day. Four weeks that end on 2025-11-09 have Berlin's
	// change of the clock in them.
	End health.Day
	// Seed varies the noise.
	Seed uint64
	// Home and Away are IANA zones; "" is Europe/Berlin and America/New_York.
	Home, Away string
}

// Default is the history of the demo: 2025-10-13 to 2025-11-09.
func Default() Config {
	end, err := health.ParseDay("2025-11-09")
	if err != nil {
		panic(err) // a constant
	}
	return Config{End: end, Seed: 1}
}

// A History is what the phone sends, in order, and what was true.
type History struct {
	Uploads []Upload
	Nights  []Night // by the day on which the person woke up
	Days    []Day
}

// An Upload is one body of PUT /v1/uploads/{id}.
type Upload struct {
	Body     []byte // clarity.upload/1
	Samples  int
	Deleted  int
	Rejected int // samples that are broken on purpose
	Stage    string
	SentOn   health.Day
}

// A Night is one main sleep as it really was.
type Night struct {
	Day                health.Day // of waking up
	Zone               string
	Bed, Onset         time.Time
	Wake, Up           time.Time
	Asleep, AwakeAfter time.Duration // between onset and final awakening
	Awakenings         int
	Deep, Rem, Core    time.Duration
	Watch              bool // stages were recorded
}

// A Day is one local day as it really was.
type Day struct {
	Day   health.Day
	Steps float64
	Watch bool // the Watch was worn
}

// Generate makes the history of a Config.
func Generate(c Config) (*History, error) {
	if c.Home == "" {
		c.Home = "Europe/Berlin"
	}
	if c.Away == "" {
		c.Away = "America/New_York"
	}
	home, err := time.LoadLocation(c.Home)
	if err != nil {
		return nil, fmt.Errorf("load home zone %q: %w", c.Home, err)
	}
	away, err := time.LoadLocation(c.Away)
	if err != nil {
		return nil, fmt.Errorf("load away zone %q: %w", c.Away, err)
	}
	p := newPerson(c, home, away)
	p.live()
	uploads, err := p.sync()
	if err != nil {
		return nil, err
	}
	return &History{Uploads: uploads, Nights: p.truthNights(), Days: p.truthDays()}, nil
}

// A person is a life in the making.
type person struct {
	home, away *time.Location
	first      health.Day
	seed       uint64
	depart     time.Time // of the flight out
	landed     time.Time
	back       time.Time // departure of the flight back
	returned   time.Time
	nights     []night // nights[i] ends on day i; one more starts on the last day
	steps      [Days]float64
	samples    []sample // in order of making
	deletions  []deletion
}

func newPerson(c Config, home, away *time.Location) *person {
	p := &person{home: home, away: away, first: c.End - Days + 1, seed: c.Seed}
	p.depart = p.clock(dayFlightOut, 10*60+30, home)
	p.landed = p.depart.Add(9 * time.Hour)
	p.back = p.clock(dayFlightBack, 19*60, away)
	p.returned = p.back.Add(7*time.Hour + 30*time.Minute)
	return p
}

// live fills in the samples: the nights first, then what lies between them.
func (p *person) live() {
	for i := range Days + 1 {
		p.nights = append(p.nights, p.planNight(i))
	}
	for i := range Days {
		r := p.rand(i, "night")
		p.recordNight(&p.nights[i], i, r)
		p.recordDay(i)
	}
	p.recordOddities()
}

// clock is the instant at which a clock in loc shows minute (after midnight,
// may be negative or above 1440) of day i.
func (p *person) clock(i, minute int, loc *time.Location) time.Time {
	d := p.date(i)
	return time.Date(d.Year(), d.Month(), d.Day(), 0, minute, 0, 0, loc)
}

// day is day i as a calendar date.
func (p *person) day(i int) health.Day {
	return p.first + health.Day(i) //nolint:gosec // i is one of 29 days
}

// date is day i at midnight UTC.
func (p *person) date(i int) time.Time {
	start, _ := p.day(i).Bounds(time.UTC)
	return start.Time()
}

// zoneAt is where the person's phone thinks it is.
func (p *person) zoneAt(t time.Time) *time.Location {
	if t.Before(p.landed) || !t.Before(p.returned) {
		return p.home
	}
	return p.away
}

// flying says whether t lies in one of the flights: the iPhone rests then.
func (p *person) flying(t time.Time) bool {
	return !t.Before(p.depart) && t.Before(p.landed) || !t.Before(p.back) && t.Before(p.returned)
}

// rand is a stream of its own for each day and purpose, so that a change to one
// part of the history leaves the noise of the others alone.
func (p *person) rand(i int, purpose string) *rand.Rand {
	h := p.seed
	for _, b := range []byte(purpose) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, uint64(i)+1)) //nolint:gosec // a made-up life has to be the same each time
}

func (p *person) truthNights() []Night {
	out := make([]Night, Days)
	for i := range out {
		out[i] = p.nights[i].Night
	}
	return out
}

func (p *person) truthDays() []Day {
	out := make([]Day, Days)
	for i := range out {
		out[i] = Day{Day: p.day(i), Steps: p.steps[i], Watch: i != dayWatchless}
	}
	return out
}
