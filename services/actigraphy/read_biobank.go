package actigraphy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const formatBiobank = "UK Biobank csv"

var (
	biobankTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	biobankRate = regexp.MustCompile(`sampleRate = (\d{1,4}) seconds?`)
)

// readBiobank reads the accelerometer time series of UK Biobank: mean
// acceleration in mg an epoch, and whether it was imputed. What was imputed
// was not measured: it is missing here.
func readBiobank(l *lines) (Recording, error) {
	fail := func(what string) (Recording, error) { return Recording{}, &FormatError{formatBiobank, l.n, what} }
	header, _ := l.next()
	stamp, rate := biobankTime.FindString(header), biobankRate.FindStringSubmatch(header)
	if stamp == "" || rate == nil {
		return fail("the header does not tell a start time and a sampleRate")
	}
	start, err := time.Parse(time.DateTime, stamp)
	if err != nil {
		return fail("the start time is not a date and time")
	}
	seconds, _ := strconv.Atoi(rate[1])
	g := grid{rec: Recording{Start: start, Epoch: time.Duration(seconds) * time.Second, Kind: Acceleration, Device: "UK Biobank (Axivity AX3)"}}
	if seconds == 0 {
		return fail("a sampleRate of 0 seconds")
	}
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		if line == "" {
			continue
		}
		if len(g.rec.Values) == maxEpochs {
			return fail("too many epochs")
		}
		value, imputed, _ := strings.Cut(line, ",")
		v, err := number(value)
		if err != nil && strings.TrimSpace(value) != "" {
			return fail(fmt.Sprintf("the acceleration %v", err))
		}
		imputed, _, _ = strings.Cut(imputed, ",")
		g.put(v, strings.TrimSpace(value) == "" || isYes(imputed))
	}
	if len(g.rec.Values) == 0 {
		return fail("no epochs after the header")
	}
	return g.rec, nil
}

// isYes reads a flag as device files write it.
func isYes(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "1.0", "true":
		return true
	}
	return false
}
