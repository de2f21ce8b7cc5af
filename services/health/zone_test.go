package health

import (
	"strings"
	"testing"
	"time"
)

func TestFixedOffsetsAreZonesAsAppleNamesThem(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string]struct {
		zone   string
		offset int
	}{
		"GMT+1": {"GMT+0100", 3600}, "GMT+01": {"GMT+0100", 3600}, "GMT+0100": {"GMT+0100", 3600}, "GMT-8": {"GMT-0800", -8 * 3600},
		"GMT+0530": {"GMT+0530", 19800}, "GMT-0330": {"GMT-0330", -12600}, "GMT+14": {"GMT+1400", 14 * 3600}, "GMT-1800": {"GMT-1800", -18 * 3600},
		"GMT": {"GMT", 0}, "GMT+0": {"GMT", 0}, "GMT-0000": {"GMT", 0}, "GMT0": {"GMT0", 0},
		"Europe/Berlin": {"Europe/Berlin", 7200}, "Etc/GMT-2": {"Etc/GMT-2", 7200}, "UTC": {"UTC", 0},
	} {
		loc, err := LoadZone(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := LoadZone(loc.String())
		if err != nil {
			t.Errorf("%s is called %s, which is none", name, loc)
			continue
		}
		for _, l := range []*time.Location{loc, again} {
			if zone, offset := at.In(l).Zone(); l.String() != want.zone || offset != want.offset {
				t.Errorf("%s is %s (%s), %d seconds; want %+v", name, l, zone, offset, want)
			}
		}
	}
}

func TestWhatIsNoZone(t *testing.T) {
	for _, name := range []string{
		"", "Local", "localtime", "posixrules", "Factory", "europe/berlin", "Mars/Olympus", "../etc", "Europe/..", "/etc/localtime", "A\x00", "Asia Tokyo",
		"GMT+", "GMT+1:00", "GMT+19", "GMT+1801", "GMT+0160", "GMT+100", "GMT+00100", "GMT+-1", "GMT+1a", "gmt+1", "UTC+1", strings.Repeat("A", 65),
	} {
		if loc, err := LoadZone(name); err == nil {
			t.Errorf("%q is %s", name, loc)
		}
	}
}

func TestWhatNamesOfZonesLookLike(t *testing.T) {
	for name, want := range map[string]bool{
		"Asia/Tokyo": true, "Zulu": true, "America/Port-au-Prince": true, "Etc/GMT+12": true, "America/Argentina/Buenos_Aires": true, "Etc/GMT-0": true, "Xz/aZ9": true,
		"": false, "Local": false, "localtime": false, "asia/tokyo": false, "@sia": false, "[sia": false, "../etc": false, "Asia/..": false, "Asia Tokyo": false, "Asia:": false, "A`": false, "A{": false, "A@": false, "A[": false, "A,": false,
		"A" + strings.Repeat("a", 63): true, "A" + strings.Repeat("a", 64): false,
	} {
		if got := looksLikeZone(name); got != want {
			t.Errorf("%q looks like one: %v", name, got)
		}
	}
}
