package actigraphy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/actigraphy"
)

// readOr reads a csv file, or finds that it is refused with the words; "" for none.
func readOr(t *testing.T, file, refusal string) (rec actigraphy.Recording, is bool) {
	t.Helper()
	rec, err := actigraphy.Read(strings.NewReader(file), "x.csv")
	switch {
	case refusal != "" && (err == nil || err.Error() != refusal):
		t.Errorf("error %v, want %s", err, refusal)
	case refusal == "" && err != nil:
		t.Fatal(err)
	}
	return rec, refusal == ""
}

// What a table's names say of its columns, wherever the columns stand.
func TestColumnsAreFoundByName(t *testing.T) {
	const first, second = "2026-03-05 10:00:00", "2026-03-05 10:01:00"
	type read struct {
		Values  []float64
		Missing []bool
		Kind    actigraphy.InputKind
		Channel string
	}
	counted := func(values ...float64) read { return read{Values: values, Kind: actigraphy.Counts} }
	on := func(channel string, values ...float64) read {
		return read{Values: values, Kind: actigraphy.Counts, Channel: channel}
	}
	tests := map[string]struct {
		names, one, two string // @ is the time stamp
		want            read
	}{
		"one axis is the vertical":                     {"timestamp,axis1", "@,5", "@,7", on("vertical axis", 5, 7)},
		"an axis in the first column":                  {"axis1,timestamp", "5,@", "7,@", on("vertical axis", 5, 7)},
		"two axes have no magnitude":                   {"timestamp,axis1,axis2", "@,3,4", "@,6,8", on("vertical axis", 3, 6)},
		"nor have the first and the third":             {"timestamp,axis1,axis3", "@,3,4", "@,6,8", on("vertical axis", 3, 6)},
		"nor has an axis two that comes first":         {"axis2,axis1,timestamp", "4,3,@", "8,6,@", on("vertical axis", 3, 6)},
		"three axes are the vector magnitude":          {"timestamp,axis1,axis2,axis3", "@,2,3,6", "@,0,0,1", on("vector magnitude", 7, 1)},
		"in any order":                                 {"axis3,axis2,axis1,timestamp", "6,3,2,@", "1,0,0,@", on("vector magnitude", 7, 1)},
		"with the second first":                        {"axis2,axis1,axis3,timestamp", "6,3,2,@", "1,0,0,@", on("vector magnitude", 7, 1)},
		"the magnitude in a column of its own is read": {"timestamp,axis1,axis2,axis3,vm", "@,2,3,6,9", "@,0,0,1,8", on("vector magnitude", 9, 8)},
		"counts win over axes":                         {"counts,timestamp,axis1,axis2,axis3", "1,@,2,3,6", "4,@,0,0,1", counted(1, 4)},
		"counts win over steps before them":            {"timestamp,steps,counts", "@,9,5", "@,9,7", counted(5, 7)},
		"and over steps behind them":                   {"counts,timestamp,steps", "5,@,9", "7,@,9", counted(5, 7)},
		"energy is no count":                           {"timestamp,active_energy_kcal", "@,0.5", "@,1.5", read{Values: []float64{0.5, 1.5}, Kind: actigraphy.Energy}},
		"a mark in the first column":                   {"off-wrist status,timestamp,counts", "0,@,5", "1,@,7", read{[]float64{5, 0}, []bool{false, true}, actigraphy.Counts, ""}},
		"a mark off the wrist is read before the axes": {"timestamp,axis1,axis2,axis3,niet-om-pols", "@,2,3,6,1", "@,2,3,6,0", read{[]float64{0, 7}, []bool{true, false}, actigraphy.Counts, "vector magnitude"}},
		"no value is missing":                          {"timestamp,counts", "@,", "@,NA", read{[]float64{0, 0}, []bool{true, true}, actigraphy.Counts, ""}},
		"a line that is cut short is missing, too":     {"timestamp,note,counts", "@,x,5", "@", read{[]float64{5, 0}, []bool{false, true}, actigraphy.Counts, ""}},
		"cells in quotes may hold the separator":       {"note,timestamp,counts", `"a,b",@,5`, `"",@,7`, counted(5, 7)},
		"an empty cell before others":                  {"note,timestamp,counts", ",@,5", "x,@,7", counted(5, 7)},
		"a quote that does not end is a character":     {"timestamp,counts,note", `@,5,"a`, "@,7,b", counted(5, 7)},
		"numbers may have spaces around them":          {"timestamp,counts", "@, 5 ", "@,7\t", counted(5, 7)},
		"as many semicolons as commas are commas":      {"timestamp,counts,;;", "@,5,;;", "@,7,;;", counted(5, 7)},
		"more semicolons separate":                     {"timestamp;counts", "@;5,5", "@;7", counted(5.5, 7)},
		"lines without cells are passed over":          {"timestamp,counts", "@,5\n,, ", "@,7", counted(5, 7)},
		"a name in quotes and capitals":                {`"Timestamp","Counts"`, "@,5", "@,7", counted(5, 7)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := tt.names + "\n" + strings.Replace(tt.one, "@", first, 1) + "\n" + strings.Replace(tt.two, "@", second, 1) + "\n"
			rec, err := actigraphy.Read(strings.NewReader(file), "x.csv")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, read{rec.Values, rec.Missing, rec.Kind, rec.Channel}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := time.Date(2026, 3, 5, 10, 0, 0, 0, time.UTC); !rec.Start.Equal(want) || rec.Epoch != time.Minute {
				t.Errorf("epochs of %v from %v", rec.Epoch, rec.Start)
			}
		})
	}
}

// Where dates can be read two ways, all of them together tell the order.
func TestTheOrderOfDayAndMonth(t *testing.T) {
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, time.UTC)
	}
	tests := map[string]struct {
		lines []string
		want  time.Time
	}{
		"nothing tells: the day is first":               {[]string{"05/03/2026,10:00", "05/03/2026,10:01"}, at(3, 5, 10, 0)},
		"12 may be a month, so the change tells":        {[]string{"12/03/2026,10:00", "12/03/2026,10:01", "12/04/2026,10:00"}, at(12, 3, 10, 0)},
		"12 in the second place may be one, too":        {[]string{"03/12/2026,10:00", "03/12/2026,10:01", "04/12/2026,10:00"}, at(12, 3, 10, 0)},
		"13 in the first place is a day":                {[]string{"13/05/2026,10:00", "13/05/2026,10:01", "13/06/2026,10:00"}, at(5, 13, 10, 0)},
		"13 in the second place is a day":               {[]string{"05/13/2026,10:00", "05/13/2026,10:01"}, at(5, 13, 10, 0)},
		"what changes overnight is the day, first":      {[]string{"05/03/2026,10:00", "05/03/2026,10:01", "06/03/2026,10:00"}, at(3, 5, 10, 0)},
		"what changes overnight is the day, second":     {[]string{"03/05/2026,10:00", "03/05/2026,10:01", "03/06/2026,10:00"}, at(3, 5, 10, 0)},
		"the next month is no change of the day":        {[]string{"05/03/2026,10:00", "05/03/2026,10:01", "06/03/2026,10:00", "05/04/2026,10:00"}, at(3, 5, 10, 0)},
		"an empty line tells nothing":                   {[]string{"", "03/05/2026,10:00", "03/05/2026,10:01", "03/06/2026,10:00"}, at(3, 5, 10, 0)},
		"the year first leaves no question":             {[]string{"2026-03-05,10:00", "2026-03-05,10:01", "2026-03-06,10:00"}, at(3, 5, 10, 0)},
		"dots and half days are read":                   {[]string{"05.03.2026,9:30 PM", "05.03.2026,9:31:00 PM"}, at(3, 5, 21, 30)},
		"seconds are read, midnight is the day's own":   {[]string{"05.03.2026,0:00:00", "05.03.2026,0:01:00"}, at(3, 5, 0, 0)},
		"twelve at night in half days is the day's own": {[]string{"05.03.2026,12:00 AM", "05.03.2026,12:01 AM"}, at(3, 5, 0, 0)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := "counts,date,time\n"
			for _, line := range tt.lines {
				if line != "" {
					line = "1," + line
				}
				file += line + "\n"
			}
			rec, err := actigraphy.Read(strings.NewReader(file), "x.csv")
			if err != nil {
				t.Fatal(err)
			}
			if !rec.Start.Equal(tt.want) {
				t.Errorf("starts at %v, want %v", rec.Start, tt.want)
			}
		})
	}
}

// A line without cells tells nothing of the order, wherever the date stands.
func TestAnEmptyLineBeforeTheDates(t *testing.T) {
	for _, empty := range []string{"", ",,", " , , ", ";;"} {
		rec, err := actigraphy.Read(strings.NewReader("date,time,counts\n"+empty+"\n03/05/2026,10:00,1\n03/05/2026,10:01,1\n03/06/2026,10:00,1\n"), "x.csv")
		if err != nil {
			t.Fatalf("%q: %v", empty, err)
		}
		if want := time.Date(2026, 3, 5, 10, 0, 0, 0, time.UTC); !rec.Start.Equal(want) {
			t.Errorf("%q: starts at %v, want %v", empty, rec.Start, want)
		}
	}
}

func TestStampsInOneColumn(t *testing.T) {
	noon := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		one, two string
		want     time.Time
		err      string
	}{
		"with a zone":            {"2026-03-05T12:00:00+02:00", "2026-03-05T12:01:00+02:00", noon.Add(-2 * time.Hour), ""},
		"with a T and no zone":   {"2026-03-05T12:00:00", "2026-03-05T12:01:00", noon, ""},
		"with slashes":           {"2026/03/05 12:00", "2026/03/05 12:01", noon, ""},
		"the oldest year":        {"1900-01-01 00:00:00", "1900-01-01 00:01:00", time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), ""},
		"the last year":          {"2200-12-31 23:00:00", "2200-12-31 23:01:00", time.Date(2200, 12, 31, 23, 0, 0, 0, time.UTC), ""},
		"a year too old":         {"1899-12-31 12:00:00", "", time.Time{}, `csv, line 2: "1899-12-31" is not a date`},
		"a year too far":         {"2201-01-01 12:00:00", "", time.Time{}, `csv, line 2: "2201-01-01" is not a date`},
		"a year of two digits":   {"05/03/26 12:00:00", "", time.Time{}, `csv, line 2: "05/03/26" is not a date`},
		"a year of five digits":  {"05/03/02026 12:00:00", "", time.Time{}, `csv, line 2: "05/03/02026" is not a date`},
		"a day that is none":     {"2026-02-30 12:00:00", "", time.Time{}, `csv, line 2: "2026-02-30" is not a date`},
		"a month that is none":   {"2026-13-01 12:00:00", "", time.Time{}, `csv, line 2: "2026-13-01" is not a date`},
		"a day of zero":          {"2026-03-00 12:00:00", "", time.Time{}, `csv, line 2: "2026-03-00" is not a date`},
		"two parts":              {"2026-03 12:00:00", "", time.Time{}, `csv, line 2: "2026-03" is not a date`},
		"words":                  {"5-March-2026 12:00:00", "", time.Time{}, `csv, line 2: "5-March-2026" is not a date`},
		"a date alone":           {"2026-03-05", "", time.Time{}, "csv, line 2: the time stamp is not a date and a time"},
		"an hour that is none":   {"2026-03-05 25:00", "", time.Time{}, `csv, line 2: "25:00" is not a time`},
		"what is long is cut":    {"2026-03-05 0123456789012345678901234", "", time.Time{}, `csv, line 2: "012345678901234567890123\u2026" is not a time`},
		"what is not is not":     {"2026-03-05 012345678901234567890123", "", time.Time{}, `csv, line 2: "012345678901234567890123" is not a time`},
		"the same instant twice": {"2026-03-05 12:00:00", "2026-03-05 12:00:00", time.Time{}, "csv, line 3: the time stamp is not after the one before it"},
		"one epoch is no epoch":  {"2026-03-05 12:00:00", "", time.Time{}, "csv, line 2: fewer than two epochs"},
		"a step of ten minutes":  {"2026-03-05 12:00:00", "2026-03-05 12:10:00", time.Time{}, "recording: epoch of 10m0s: want 1s to 5m0s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := "timestamp,counts\n" + tt.one + ",1\n"
			if tt.two != "" {
				file += tt.two + ",2\n"
			}
			rec, err := actigraphy.Read(strings.NewReader(file), "x.csv")
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || !rec.Start.Equal(tt.want) || rec.Epoch != time.Minute {
				t.Errorf("from %v in epochs of %v, %v; want %v", rec.Start, rec.Epoch, err, tt.want)
			}
		})
	}
}

// A small file cannot claim a large memory: what it may leave out grows with
// what it holds.
func TestHolesAreBoundedByWhatAFileHolds(t *testing.T) {
	start := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	file := func(hole int) string {
		var b strings.Builder
		b.WriteString("timestamp,counts\n")
		for _, second := range []int{0, 1, 2 + hole} {
			b.WriteString(start.Add(time.Duration(second)*time.Second).Format(time.DateTime) + ",1\n")
		}
		return b.String()
	}
	const most = 45_000 + 21*2 - 2 // a month of minutes, and twenty epochs for each of the two before it
	rec, err := actigraphy.Read(strings.NewReader(file(most)), "x.csv")
	if err != nil || len(rec.Values) != most+3 || rec.MissingEpochs() != most {
		t.Errorf("%d epochs, %d missing, %v", len(rec.Values), rec.MissingEpochs(), err)
	}
	if _, err := actigraphy.Read(strings.NewReader(file(most+1)), "x.csv"); err == nil || !strings.Contains(err.Error(), "a hole of 45041 epochs") {
		t.Errorf("one more: %v", err)
	}
	uneven := "timestamp,counts\n2026-03-05 10:00:00,1\n2026-03-05 10:01:00,1\n2026-03-05 10:02:30,1\n"
	const want = "csv, line 4: the time stamp is 1m30s after the one before it, which is no multiple of the epoch of 1m0s"
	if _, err := actigraphy.Read(strings.NewReader(uneven), "x.csv"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestActiwareHeaders(t *testing.T) {
	const epochs = "1,3/5/2026,11:59:00 PM,14,0\n2,3/6/2026,12:00:00 AM,15,0\n"
	tests := map[string]struct{ file, device, err string }{
		"the device in English":            {"Actiware\nActiwatch Type:,Spectrum\nLine,Date,Time,Activity,Marker\n" + epochs, "Actiwatch Spectrum", ""},
		"the device in German":             {"Actiware\nType Actiwatch :,Spectrum\nLine,Date,Time,Activity,Marker\n" + epochs, "Actiwatch Spectrum", ""},
		"a type that is not told":          {"Actiware\nActiwatch Type:\nLine,Date,Time,Activity,Marker\n" + epochs, "Actiwatch", ""},
		"nor in the other order":           {"Actiware\nType Actiwatch\nLine,Date,Time,Activity,Marker\n" + epochs, "Actiwatch", ""},
		"another line of two cells":        {"Actiware\nOther,Spectrum\nLine,Date,Time,Activity,Marker\n" + epochs, "Actiwatch", ""},
		"only what can be shown is shown":  {"Actiware\nActiwatch Type:, Spé\x7fc~t\x01rum \nLine,Date,Time,Activity,Marker\n" + epochs, "Actiwatch Spc~trum", ""},
		"and at most 32 characters":        {"Actiware\nActiwatch Type:," + strings.Repeat("x", 33) + "\nLine,Date,Time,Activity,Marker\n" + epochs, "Actiwatch " + strings.Repeat("x", 32), ""},
		"four names are no table":          {"Actiware\nLine,Date,Time,Activity\n" + epochs, "", "Actiware csv, line 4: no table of epochs with the columns date, time and activity"},
		"a table without a date is none":   {"Actiware\nLine,Day,Time,Activity,Marker\n" + epochs, "", "Actiware csv, line 4: no table of epochs with the columns date, time and activity"},
		"a table without a time is none":   {"Actiware\nLine,Date,Clock,Activity,Marker\n" + epochs, "", "Actiware csv, line 4: no table of epochs with the columns date, time and activity"},
		"the date may be the first column": {"Actiware\nDate,Time,Activity,Marker,Wake\n3/5/2026,11:59:00 PM,14,0,0\n3/6/2026,12:00:00 AM,15,0,0\n", "Actiwatch", ""},
		"the time may be the first column": {"Actiware\nTime,Date,Activity,Marker,Wake\n11:59:00 PM,3/5/2026,14,0,0\n12:00:00 AM,3/6/2026,15,0,0\n", "Actiwatch", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec, is := readOr(t, tt.file, tt.err)
			if !is {
				return
			}
			if diff := cmp.Diff([]float64{14, 15}, rec.Values); diff != "" || rec.Device != tt.device {
				t.Errorf("device %q, values %s", rec.Device, diff)
			}
		})
	}
}
