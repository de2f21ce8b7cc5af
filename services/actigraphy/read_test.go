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

const (
	awd = "made up\r\n05-Mar-2026\r\n21:30\r\n 4 \r\n40\r\nV000000\r\nX\r\n0\r\n12 M\r\n7 , 0,50\r\n1103 , 2,00 M\r\n"

	actiware = "\ufeffActiware Export File (version 6.0)\r\n" +
		`"Actiwatch Type:","Spectrum"` + "\r\n\r\n" +
		"Line,Date,Time,Marker,Interval Status\r\n1,3/5/2026,9:30:00 PM,Marker,ACTIVE\r\n\r\n" +
		"Line,Date,Time,Off-Wrist Status,Activity,Marker,Sleep/Wake,Interval Status,\r\n" +
		"1,3/5/2026,11:59:30 PM,0,14,0,1,ACTIVE,\r\n2,3/6/2026,12:00:00 AM,1,NaN,NaN,NaN,EXCLUDED,\r\n3,3/6/2026,12:00:30 AM,0,NaN,0,0,REST,\r\n4,3/6/2026,12:02:00 AM,0,\"3,5\",0,0,REST,\r\n"

	actiwareGerman = "Actiware-Exportdatei;;\n" +
		"Zeile;Datum;Uhrzeit;Off-Wrist-Status;Aktivität;Markierung\n" +
		"1;05.03.2026;23:59:00;0;14;0\n2;06.03.2026;00:00:00;0;0;0\n"

	actigraphHeader = "------------ Data File Created By ActiGraph wGT3X ActiLife v6 Firmware v1 date format M/d/yyyy -----------\n" +
		"Serial Number: NONE\nStart Time 09:00:00\nStart Date 3/5/2026\nEpoch Period (hh:mm:ss) 00:00:30\nDownload Time 1\nDownload Date 1\n" +
		"Current Memory Address: 0\nCurrent Battery Voltage: 4.0     Mode = %d\n--------------------------------------------------\n"

	biobank = "acceleration (mg) - 2026-03-05 10:00:00 - 2026-03-05 10:00:15 - sampleRate = 5 seconds,imputed\r\n10.5,0\r\n2,1\r\n,0\r\n0,0\r\n"
)

func TestEachFormatIsRead(t *testing.T) {
	at := func(day, hour, min, sec int) time.Time { return time.Date(2026, 3, day, hour, min, sec, 0, time.UTC) }
	tests := map[string]struct {
		file string
		want actigraphy.Recording
	}{
		"AWD with markers and light": {awd, actigraphy.Recording{
			Start: at(5, 21, 30, 0), Epoch: time.Minute, Kind: actigraphy.Counts, Device: "Actiwatch", Values: []float64{0, 12, 7, 1103}}},
		"Actiware in American English, with a hole and off the wrist": {actiware, actigraphy.Recording{
			Start: at(5, 23, 59, 30), Epoch: 30 * time.Second, Kind: actigraphy.Counts, Device: "Actiwatch Spectrum",
			Values: []float64{14, 0, 0, 0, 0, 3.5}, Missing: []bool{false, true, true, true, true, false}}},
		"Actiware in German": {actiwareGerman, actigraphy.Recording{
			Start: at(5, 23, 59, 0), Epoch: time.Minute, Kind: actigraphy.Counts, Device: "Actiwatch", Values: []float64{14, 0}}},
		"ActiGraph with one axis": {fmt.Sprintf(actigraphHeader, 1) + "10,2\n0,0\n", actigraphy.Recording{
			Start: at(5, 9, 0, 0), Epoch: 30 * time.Second, Kind: actigraphy.Counts, Device: "ActiGraph wGT3X", Channel: "vertical axis", Values: []float64{10, 0}}},
		"ActiGraph with three axes": {fmt.Sprintf(actigraphHeader, 61) + "2,3,6,9\n0,0,0,0\n", actigraphy.Recording{
			Start: at(5, 9, 0, 0), Epoch: 30 * time.Second, Kind: actigraphy.Counts, Device: "ActiGraph wGT3X", Channel: "vector magnitude", Values: []float64{7, 0}}},
		"ActiGraph with names and a hole": {fmt.Sprintf(actigraphHeader, 12) +
			"Axis1,Axis2,Axis3,vectormagnitude,timestamp\n1,1,1,2,2026-03-05 09:00:00\n1,1,1,4,2026-03-05 09:01:00\n", actigraphy.Recording{
			Start: at(5, 9, 0, 0), Epoch: 30 * time.Second, Kind: actigraphy.Counts, Device: "ActiGraph wGT3X", Channel: "vector magnitude",
			Values: []float64{2, 0, 4}, Missing: []bool{false, true, false}}},
		"UK Biobank, imputed is missing": {biobank, actigraphy.Recording{
			Start: at(5, 10, 0, 0), Epoch: 5 * time.Second, Kind: actigraphy.Acceleration, Device: "UK Biobank (Axivity AX3)",
			Values: []float64{10.5, 0, 0, 0}, Missing: []bool{false, true, true, false}}},
		"Actiware whose dates tell the month first by a day above 12": {strings.NewReplacer("3/5/2026,11", "3/15/2026,11", "3/6/", "3/16/").Replace(actiware), actigraphy.Recording{
			Start: at(15, 23, 59, 30), Epoch: 30 * time.Second, Kind: actigraphy.Counts, Device: "Actiwatch Spectrum",
			Values: []float64{14, 0, 0, 0, 0, 3.5}, Missing: []bool{false, true, true, true, true, false}}},
		"dates of one day whose second number is above 12 have the month first": {"date,time,counts\n03/15/2026,10:00,1\n03/15/2026,10:01,2\n", actigraphy.Recording{
			Start: at(15, 10, 0, 0), Epoch: time.Minute, Kind: actigraphy.Counts, Values: []float64{1, 2}}},
		"dates of one day that tell no order have the day first": {"date,time,counts\n05/03/2026,10:00,1\n05/03/2026,10:01,2\n", actigraphy.Recording{
			Start: at(5, 10, 0, 0), Epoch: time.Minute, Kind: actigraphy.Counts, Values: []float64{1, 2}}},
		"a csv with a timestamp and steps": {"timestamp,steps\n2026-03-05T10:00:00Z,5\n2026-03-05T10:01:00Z,7\n", actigraphy.Recording{
			Start: at(5, 10, 0, 0), Epoch: time.Minute, Kind: actigraphy.Steps, Values: []float64{5, 7}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := actigraphy.Read(strings.NewReader(tt.file), "upload.bin")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("recording (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBeReadSaysWhereAndWhy(t *testing.T) {
	header := fmt.Sprintf(actigraphHeader, 1)
	tests := map[string]struct{ name, file, want string }{
		"nothing":                            {"x.awd", "", "Actiwatch AWD: the file ends inside the header of 7 lines"},
		"a picture":                          {"x.png", "\x89PNG\r\n\x1a\n", actigraphy.ErrUnknownFormat.Error()},
		"an AWD with a letter for a count":   {"x", awd + "abc\r\n", `Actiwatch AWD, line 12: the count "abc" is not a number`},
		"an AWD with a negative count":       {"x", awd + "-4\r\n", `Actiwatch AWD, line 12: the count "-4" is below 0`},
		"an AWD with an empty line inside":   {"x", awd + "\r\n4\r\n", "Actiwatch AWD, line 13: an empty line between epochs"},
		"an AWD with an unknown epoch code":  {"x", strings.Replace(awd, " 4 ", "81", 1), `Actiwatch AWD, line 4: the epoch code "81" is not 1 to 20 quarters of a minute`},
		"an AWD with a wrong date":           {"x.AWD", strings.Replace(awd, "05-Mar", "31-Feb", 1), `Actiwatch AWD, line 2: the date "31-Feb-2026" is not like 23-Jan-2018`},
		"an AWD without an epoch":            {"x", awd[:strings.Index(awd, "0\r\n12")], "Actiwatch AWD, line 7: no epochs after the header"},
		"an Actiware file without a table":   {"x", "Actiware\na,b\n", "Actiware csv, line 2: no table of epochs with the columns date, time and activity"},
		"time that runs backwards":           {"x", "timestamp,steps\n2026-03-05 10:01:00,5\n2026-03-05 10:00:00,7\n", "csv, line 3: the time stamp is not after the one before it"},
		"a hole of a century":                {"x", "timestamp,steps\n1926-03-05 10:00:00,5\n1926-03-05 10:00:01,5\n2026-03-05 10:00:00,7\n", "csv, line 4: a hole of 3155759998 epochs"},
		"an ActiGraph header without dashes": {"x", header[:strings.LastIndex(header, "-----")-60], "ActiGraph csv"},
		"an ActiGraph value that is none":    {"x", header + "1\nNaNaN\n", `ActiGraph csv, line 12: the value in column 1: "NaNaN" is not a number`},
		"a Biobank header without a rate":    {"x", "acceleration (mg) - 2026\n1\n", "UK Biobank csv, line 1: the header does not tell a start time and a sampleRate"},
		"a number beyond all bounds":         {"x", awd + "1e999\r\n", `Actiwatch AWD, line 12: the count "1e999" is not a number`},
	}
	for about, tt := range tests {
		t.Run(about, func(t *testing.T) {
			_, err := actigraphy.Read(strings.NewReader(tt.file), tt.name)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestAFileWithoutEndIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 64 MiB")
	}
	if _, err := actigraphy.Read(endless{}, "x"); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("error %v", err)
	}
}

func TestAReaderThatFailsIsReported(t *testing.T) {
	broken := errors.New("cable pulled")
	if _, err := actigraphy.Read(failing{broken}, "x"); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzRead: whatever the bytes, Read returns a recording that keeps its
// contract, or an error; and both only once it has looked at bounded memory.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		awd, actiware, actiwareGerman, biobank,
		fmt.Sprintf(actigraphHeader, 1) + "10,2\n0,0\n", fmt.Sprintf(actigraphHeader, 12) + "1,2,3\n",
		"timestamp,steps\n2026-03-05T10:00:00Z,5\n2026-03-05T10:01:00Z,7\n", "date;time;axis1;axis2;axis3\n1/2/2026;1:00 AM;1;2;3\n1/2/2026;1:05 AM;1;2;3\n",
		`timestamp,counts` + "\n" + `"2026-03-05 10:00:00","` + "\n",
	} {
		f.Add([]byte(seed), "x.csv")
		f.Add([]byte(seed), "x.awd")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		rec, err := actigraphy.Read(bytes.NewReader(data), name)
		if err != nil {
			return
		}
		if err := rec.Check(); err != nil {
			t.Fatalf("a recording that breaks its contract: %v", err)
		}
		if minutes, err := rec.Minutes(); err == nil {
			if err := minutes.Check(); err != nil && len(rec.Values) < 1<<20 {
				t.Fatalf("its minutes break the contract: %v", err)
			}
			actigraphy.Choi2011().Worn(minutes)
		}
	})
}
