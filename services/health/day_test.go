package health

import (
	"testing"
	"time"
)

// zoneOf loads a zone that must be there.
func zoneOf(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestDayBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		zone, day  string
		start, end string // UTC
		hours      float64
	}{
		"an ordinary day in UTC":                    {"UTC", "2026-11-24", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", 24},
		"the first day of Unix":                     {"UTC", "1970-01-01", "1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z", 24},
		"a day before Unix":                         {"Europe/Berlin", "1969-12-31", "1969-12-30T23:00:00Z", "1969-12-31T23:00:00Z", 24},
		"the day 32 bits end":                       {"UTC", "2038-01-19", "2038-01-19T00:00:00Z", "2038-01-20T00:00:00Z", 24},
		"a leap day":                                {"America/New_York", "2024-02-29", "2024-02-29T05:00:00Z", "2024-03-01T05:00:00Z", 24},
		"a century that is no leap year":            {"UTC", "1900-02-28", "1900-02-28T00:00:00Z", "1900-03-01T00:00:00Z", 24},
		"spring in Berlin":                          {"Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23},
		"autumn in Berlin":                          {"Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25},
		"spring in New York":                        {"America/New_York", "2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23},
		"autumn in New York":                        {"America/New_York", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25},
		"half an hour on Lord Howe":                 {"Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", 24.5},
		"half an hour back on Lord Howe":            {"Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z", 23.5},
		"the skipped midnight of São Paulo":         {"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z", 23},
		"the day before São Paulo's midnight":       {"America/Sao_Paulo", "2018-11-03", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", 24},
		"the repeated hour before midnight there":   {"America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z", 25},
		"the skipped midnight of Beirut":            {"Asia/Beirut", "2022-03-27", "2022-03-26T22:00:00Z", "2022-03-27T21:00:00Z", 23},
		"the repeated hour before Beirut's":         {"Asia/Beirut", "2022-10-29", "2022-10-28T21:00:00Z", "2022-10-29T22:00:00Z", 25},
		"the skipped midnight of Cairo":             {"Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00Z", "2024-04-26T21:00:00Z", 23},
		"Samoa's last day before the date line":     {"Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", 24},
		"Samoa's first day behind the date line":    {"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z", 24},
		"Samoa had no 30th of December":             {"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", 0},
		"Kwajalein had no 21st of August":           {"Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00:00Z", "1993-08-21T12:00:00Z", 0},
		"India is on the half hour":                 {"Asia/Kolkata", "2026-06-01", "2026-05-31T18:30:00Z", "2026-06-01T18:30:00Z", 24},
		"Nepal is on the quarter":                   {"Asia/Kathmandu", "2026-06-01", "2026-05-31T18:15:00Z", "2026-06-01T18:15:00Z", 24},
		"the far east of the date line":             {"Pacific/Kiritimati", "2026-06-01", "2026-05-31T10:00:00Z", "2026-06-01T10:00:00Z", 24},
		"the clock of Caracas went on by a half":    {"America/Caracas", "2016-05-01", "2016-05-01T04:30:00Z", "2016-05-02T04:00:00Z", 23.5},
		"Pyongyang repeated its last half hour":     {"Asia/Pyongyang", "2015-08-14", "2015-08-13T15:00:00Z", "2015-08-14T15:30:00Z", 24.5},
		"midnight comes twice in Havana":            {"America/Havana", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25},
		"midnight comes twice on the Azores":        {"Atlantic/Azores", "2026-10-25", "2026-10-25T00:00:00Z", "2026-10-26T01:00:00Z", 25},
		"midnight came twice in Tehran":             {"Asia/Tehran", "1978-08-05", "1978-08-04T19:00:00Z", "1978-08-05T20:00:00Z", 25},
		"a minute past midnight in St. John's":      {"America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z", 25},
		"Antarctica's Troll goes on by two hours":   {"Antarctica/Troll", "2026-03-29", "2026-03-29T00:00:00Z", "2026-03-29T22:00:00Z", 22},
		"Moscow gave up its summer, at two o'clock": {"Europe/Moscow", "2014-10-26", "2014-10-25T20:00:00Z", "2014-10-26T21:00:00Z", 25},
	} {
		t.Run(name, func(t *testing.T) {
			day, err := ParseDay(tc.day)
			if err != nil {
				t.Fatal(err)
			}
			start, end := day.Bounds(zoneOf(t, tc.zone))
			if got := start.Time().Format(time.RFC3339); got != tc.start {
				t.Errorf("starts %s, want %s", got, tc.start)
			}
			if got := end.Time().Format(time.RFC3339); got != tc.end {
				t.Errorf("ends %s, want %s", got, tc.end)
			}
			if got := float64(end-start) / 3_600_000; got != tc.hours {
				t.Errorf("lasts %v h, want %v", got, tc.hours)
			}
			if day.String() != tc.day {
				t.Errorf("is written %s", day)
			}
		})
	}
}

// dayZones has a zone for each of the 38 offsets in use (2026, winter and
// summer), with the names people have in their phones.
var dayZones = map[string][]string{
	"-12": {"Etc/GMT+12"}, "-11": {"Pacific/Pago_Pago"}, "-10": {"Pacific/Honolulu"}, "-9:30": {"Pacific/Marquesas"},
	"-9": {"America/Anchorage"}, "-8": {"America/Los_Angeles"}, "-7": {"America/Denver"}, "-6": {"America/Mexico_City"},
	"-5": {"America/New_York"}, "-4": {"America/Santiago"}, "-3:30": {"America/St_Johns"}, "-3": {"America/Sao_Paulo"},
	"-2": {"America/Noronha"}, "-1": {"Atlantic/Azores"}, "0": {"Europe/London"}, "+1": {"Europe/Berlin"},
	"+2": {"Africa/Cairo"}, "+3": {"Europe/Istanbul"}, "+3:30": {"Asia/Tehran"}, "+4": {"Asia/Dubai"},
	"+4:30": {"Asia/Kabul"}, "+5": {"Asia/Karachi"}, "+5:30": {"Asia/Kolkata"}, "+5:45": {"Asia/Kathmandu"},
	"+6": {"Asia/Dhaka"}, "+6:30": {"Asia/Yangon"}, "+7": {"Asia/Bangkok"}, "+8": {"Asia/Shanghai"},
	"+8:45": {"Australia/Eucla"}, "+9": {"Asia/Tokyo"}, "+9:30": {"Australia/Darwin", "Australia/Adelaide"},
	"+10": {"Australia/Sydney"}, "+10:30": {"Australia/Lord_Howe"}, "+11": {"Pacific/Guadalcanal"}, "+12": {"Pacific/Auckland"},
	"+12:45": {"Pacific/Chatham"}, "+13": {"Pacific/Apia"}, "+14": {"Pacific/Kiritimati"},
}

// Days tile time: each begins where the one before ends, the first instant of
// a day is of that day, the last millisecond too, and what is before is not.
func TestDaysTileTimeInEveryOffset(t *testing.T) {
	if len(dayZones) != 38 {
		t.Fatalf("%d offsets", len(dayZones))
	}
	first, _ := ParseDay("1969-12-25")
	last, _ := ParseDay("2039-01-05")
	for offset, names := range dayZones {
		for _, name := range names {
			loc := zoneOf(t, name)
			_, previousEnd := (first - 1).Bounds(loc)
			for day := first; day <= last; day++ {
				start, end := day.Bounds(loc)
				if start != previousEnd {
					t.Fatalf("%s %s: %s begins at %v, the day before ends at %v", offset, name, day, start.Time(), previousEnd.Time())
				}
				previousEnd = end
				if end < start || end-start > 26*3_600_000 {
					t.Fatalf("%s %s: %s lasts %d ms", offset, name, day, end-start)
				}
				if start == end {
					continue // a day that the zone left out
				}
				if got := DayOf(start, loc); got != day {
					t.Fatalf("%s %s: the first instant of %s is of %s", offset, name, day, got)
				}
				if got := DayOf(end-1, loc); got != day {
					t.Fatalf("%s %s: the last millisecond of %s is of %s", offset, name, day, got)
				}
				if got := DayOf(start-1, loc); got >= day {
					t.Fatalf("%s %s: the millisecond before %s is of %s", offset, name, day, got)
				}
			}
		}
	}
}

func TestParseDayRefuses(t *testing.T) {
	for _, text := range []string{"", "2026-2-3", "2026-02-30", "2025-02-29", "2026-13-01", "20260203", "2026-02-03T00:00:00Z", "-001-01-01"} {
		if day, err := ParseDay(text); err == nil {
			t.Errorf("%q is %s", text, day)
		}
	}
}

func TestDayText(t *testing.T) {
	var day Day
	if err := day.UnmarshalText([]byte("2024-02-29")); err != nil {
		t.Fatal(err)
	}
	if text, err := day.MarshalText(); err != nil || string(text) != "2024-02-29" {
		t.Errorf("%s, %v", text, err)
	}
	before := day
	if err := day.UnmarshalText([]byte("2023-02-29")); err == nil || day != before {
		t.Errorf("a day that does not exist: %v, %s", err, day)
	}
}

func TestInstantRoundsToTheNearestMillisecond(t *testing.T) {
	at := time.Date(2026, 8, 7, 16, 3, 37, 797_878_384, time.UTC)
	if got := InstantOf(at).Time().Format("05.000"); got != "37.798" {
		t.Errorf("got %s", got)
	}
	if got := InstantOf(time.Unix(0, -400_000)); got != 0 {
		t.Errorf("0.4 ms before Unix: %d", got)
	}
	if got := InstantOf(time.Unix(0, -600_000)); got != -1 {
		t.Errorf("0.6 ms before Unix: %d", got)
	}
}
