package actigraphy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const formatAWD = "Actiwatch AWD"

// readAWD reads the text format of the Actiwatch: seven header lines (subject,
// date, time, epoch code, age, serial number, sex), then one epoch a line: the
// count, perhaps a light value, perhaps an M where the wearer pressed the
// marker.
func readAWD(l *lines) (Recording, error) {
	fail := func(what string) (Recording, error) { return Recording{}, &FormatError{formatAWD, l.n, what} }
	var header [7]string
	for i := range header {
		line, ok := l.next()
		if !ok {
			return fail("the file ends inside the header of 7 lines")
		}
		header[i] = strings.TrimSpace(line)
	}
	start, err := parseAWDStart(header[1], header[2])
	if err != nil {
		return Recording{}, &FormatError{formatAWD, 2, err.Error()}
	}
	epoch, err := parseAWDEpoch(header[3])
	if err != nil {
		return Recording{}, &FormatError{formatAWD, 4, err.Error()}
	}
	rec := Recording{Start: start, Epoch: epoch, Kind: Counts, Device: "Actiwatch"}
	for blank := false; ; {
		line, ok := l.next()
		if !ok {
			break
		}
		if line = strings.TrimSpace(line); line == "" {
			blank = true
			continue
		}
		if blank {
			return fail("an empty line between epochs")
		}
		if len(rec.Values) == maxEpochs {
			return fail("too many epochs")
		}
		v, err := parseAWDEpochLine(line)
		if err != nil {
			return fail(err.Error())
		}
		rec.Values = append(rec.Values, v)
	}
	if len(rec.Values) == 0 {
		return fail("no epochs after the header")
	}
	return rec, nil
}

func parseAWDDate(s string) (time.Time, error) {
	for _, layout := range []string{"02-Jan-2006", "2-Jan-2006", "02-Jan-06"} {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("the date %s is not like 23-Jan-2018", quote(s))
}

func parseAWDStart(date, clock string) (time.Time, error) {
	day, err := parseAWDDate(date)
	if err != nil {
		return day, err
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, clock); err == nil {
			return day.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second), nil
		}
	}
	return day, errors.New("the time on line 3 is not like 13:58")
}

// parseAWDEpoch reads the epoch code: quarters of a minute.
func parseAWDEpoch(code string) (time.Duration, error) {
	n, err := strconv.Atoi(code)
	if err != nil || n < 1 || n > 20 {
		return 0, fmt.Errorf("the epoch code %s is not 1 to 20 quarters of a minute", quote(code))
	}
	return time.Duration(n) * 15 * time.Second, nil
}

func parseAWDEpochLine(line string) (float64, error) {
	line = strings.TrimSpace(strings.TrimSuffix(line, "M"))
	count, light, hasLight := strings.Cut(line, " ")
	if hasLight {
		light = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(light), ","))
		if _, err := number(light); err != nil {
			return 0, fmt.Errorf("the light value %w", err)
		}
	}
	v, err := number(count)
	if err != nil {
		return 0, fmt.Errorf("the count %w", err)
	}
	return v, nil
}
