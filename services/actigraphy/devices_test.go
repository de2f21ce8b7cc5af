package actigraphy_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/actigraphy"
)

func TestActiGraphHeaders(t *testing.T) {
	header := fmt.Sprintf(actigraphHeader, 1)
	three := fmt.Sprintf(actigraphHeader, 12)
	dashes := strings.LastIndex(header, "\n-----") + 1
	// padded is the header with so many lines that the dashes are line n.
	padded := func(n int) string {
		return header[:dashes] + strings.Repeat("Note\n", n-10) + header[dashes:]
	}
	march := time.Date(2026, 3, 5, 9, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		file  string
		start time.Time
		err   string
	}{
		"the month first":                      {header + "10\n0\n", march, ""},
		"the day first":                        {strings.NewReplacer("format M/d", "format d/M", "3/5/2026", "5/3/2026").Replace(header) + "10\n0\n", march, ""},
		"cells behind the header's texts":      {strings.ReplaceAll(header, "\n", ",,,\n") + "10\n0\n", march, ""},
		"empty lines between epochs":           {header + "10\n, ,\n\n0\n", march, ""},
		"dashes on line 30":                    {padded(30) + "10\n0\n", march, ""},
		"dashes on line 31":                    {padded(31) + "10\n0\n", march, "ActiGraph csv, line 31: the header does not end with a line of dashes"},
		"no dashes at all":                     {header[:dashes], march, "ActiGraph csv, line 9: the header does not end with a line of dashes"},
		"a header alone":                       {header, march, "ActiGraph csv, line 10: no epochs after the header"},
		"a date that is none":                  {strings.Replace(header, "3/5/2026", "3/32/2026", 1) + "1\n", march, `ActiGraph csv: the header's Start Date and Start Time: "3/32/2026" is not a date`},
		"an epoch of no time":                  {strings.Replace(header, "00:00:30", "00:00:00", 1) + "1\n", march, `ActiGraph csv: the header's Epoch Period "00:00:00" is not hh:mm:ss`},
		"an epoch that is no time":             {strings.Replace(header, "00:00:30", "30", 1) + "1\n", march, `ActiGraph csv: the header's Epoch Period "30" is not hh:mm:ss`},
		"a line of names in the middle":        {header + "10\nAxis1\n0\n", march, `ActiGraph csv, line 12: the value in column 1: "Axis1" is not a number`},
		"an axis that is no number":            {three + "1,x,1\n", march, `ActiGraph csv, line 11: axis in column 2: "x" is not a number`},
		"an axis that is not there":            {three + "1,1\n", march, `ActiGraph csv, line 11: axis in column 3: "" is not a number`},
		"axes beyond all bounds":               {three + "1e200,1e200,1\n", march, "ActiGraph csv, line 11: the axes have no finite magnitude"},
		"a value beyond what any device has":   {header + "10\n1e10\n", march, "recording: epoch 1: a value must be a number from 0 to 1e+09"},
		"a stamp that is none in a named file": {header + "timestamp,axis1\nnoon,1\n", march, "ActiGraph csv, line 12: the time stamp is not a date and a time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec, is := readOr(t, tt.file, tt.err)
			if !is {
				return
			}
			if diff := cmp.Diff([]float64{10, 0}, rec.Values); diff != "" || !rec.Start.Equal(tt.start) || rec.Epoch != 30*time.Second {
				t.Errorf("epochs of %v from %v, values %s", rec.Epoch, rec.Start, diff)
			}
		})
	}
}

func TestAWDHeaders(t *testing.T) {
	evening := time.Date(2026, 3, 5, 21, 30, 0, 0, time.UTC)
	replaced := func(old, with string) string { return strings.Replace(awd, old, with, 1) }
	tests := map[string]struct {
		file  string
		start time.Time
		epoch time.Duration
		err   string
	}{
		"seconds of the start":    {replaced("21:30\r", "21:30:15\r"), evening.Add(15 * time.Second), time.Minute, ""},
		"a day of one digit":      {replaced("05-Mar-2026", "5-Mar-2026"), evening, time.Minute, ""},
		"a year of two digits":    {replaced("05-Mar-2026", "05-Mar-26"), evening, time.Minute, ""},
		"the shortest epoch":      {replaced(" 4 ", "1"), evening, 15 * time.Second, ""},
		"the longest epoch":       {replaced(" 4 ", "20"), evening, 5 * time.Minute, ""},
		"an epoch of no time":     {replaced(" 4 ", "0"), evening, 0, `Actiwatch AWD, line 4: the epoch code "0" is not 1 to 20 quarters of a minute`},
		"an epoch too long":       {replaced(" 4 ", "21"), evening, 0, `Actiwatch AWD, line 4: the epoch code "21" is not 1 to 20 quarters of a minute`},
		"an epoch that is none":   {replaced(" 4 ", "x"), evening, 0, `Actiwatch AWD, line 4: the epoch code "x" is not 1 to 20 quarters of a minute`},
		"a start that is none":    {replaced("21:30\r", "evening\r"), evening, 0, "Actiwatch AWD, line 2: the time on line 3 is not like 13:58"},
		"a light that is none":    {awd + "9 , dark\r\n", evening, 0, `Actiwatch AWD, line 12: the light value "dark" is not a number`},
		"numbers that code knows": {awd + "0x10\r\n", evening, 0, `Actiwatch AWD, line 12: the count "0x10" is not a number`},
		"numbers that code parts": {awd + "1_000\r\n", evening, 0, `Actiwatch AWD, line 12: the count "1_000" is not a number`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec, err := actigraphy.Read(strings.NewReader(tt.file), "x.csv")
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || !rec.Start.Equal(tt.start) || rec.Epoch != tt.epoch || len(rec.Values) != 4 {
				t.Errorf("%d epochs of %v from %v, %v", len(rec.Values), rec.Epoch, rec.Start, err)
			}
		})
	}
}

func TestBiobankLines(t *testing.T) {
	const header = "acceleration (mg) - 2026-03-05 10:00:00 - 2026-03-05 10:00:15 - sampleRate = 5 seconds,imputed\n"
	type read struct {
		Values  []float64
		Missing []bool
	}
	tests := map[string]struct {
		file string
		want read
		err  string
	}{
		"columns behind the flag":     {header + "1,1,9\n2,0,9\n", read{[]float64{0, 2}, []bool{true, false}}, ""},
		"an empty line is no epoch":   {header + "1,0\n\n2,0\n", read{[]float64{1, 2}, nil}, ""},
		"flags in words":              {header + "1,True\n2,False\n", read{[]float64{0, 2}, []bool{true, false}}, ""},
		"flags as numbers":            {header + "1, 1.0\n2,0.0\n", read{[]float64{0, 2}, []bool{true, false}}, ""},
		"no flags":                    {header + "1\n2\n", read{[]float64{1, 2}, nil}, ""},
		"no rate":                     {"acceleration (mg) - 2026-03-05 10:00:00,imputed\n1,0\n", read{}, "UK Biobank csv, line 1: the header does not tell a start time and a sampleRate"},
		"no start":                    {"acceleration (mg) - sampleRate = 5 seconds,imputed\n1,0\n", read{}, "UK Biobank csv, line 1: the header does not tell a start time and a sampleRate"},
		"a start that is none":        {strings.Replace(header, "2026-03-05", "2026-13-05", 1) + "1,0\n", read{}, "UK Biobank csv, line 1: the start time is not a date and time"},
		"a rate of no time":           {strings.Replace(header, "= 5", "= 0", 1) + "1,0\n", read{}, "UK Biobank csv, line 1: a sampleRate of 0 seconds"},
		"an acceleration below zero":  {header + "-1,0\n", read{}, `UK Biobank csv, line 2: the acceleration "-1" is below 0`},
		"a header without any epochs": {header, read{}, "UK Biobank csv, line 1: no epochs after the header"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec, is := readOr(t, tt.file, tt.err)
			if !is {
				return
			}
			if diff := cmp.Diff(tt.want, read{rec.Values, rec.Missing}); diff != "" || rec.Epoch != 5*time.Second {
				t.Errorf("epochs of %v (-want +got):\n%s", rec.Epoch, diff)
			}
		})
	}
}

func TestATableWithoutATimeIsNoFormatOfOurs(t *testing.T) {
	for _, file := range []string{"counts,steps\n1,2\n3,4\n", "timestamp,weight\n2026-03-05 10:00:00,70\n"} {
		if _, err := actigraphy.Read(strings.NewReader(file), "x.csv"); !errors.Is(err, actigraphy.ErrUnknownFormat) {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestTheLargestFileIsLookedAt(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 64 MiB")
	}
	if _, err := actigraphy.Read(bytes.NewReader(make([]byte, actigraphy.MaxFileBytes)), "x"); !errors.Is(err, actigraphy.ErrUnknownFormat) {
		t.Errorf("a file of 64 MiB: %v", err)
	}
}
