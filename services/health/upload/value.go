package upload

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/clarity-loop/clarity/services/health"
)

// hexDigit is the digit's value, or 0xff.
var hexDigit = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xff
	}
	for i := range byte(10) {
		table['0'+i] = i
	}
	for i := range byte(6) {
		table['a'+i], table['A'+i] = 10+i, 10+i
	}
	return table
}()

// parseUUID reads the 36-character form, in either case.
func parseUUID(b []byte, u *health.UUID) bool {
	if len(b) != 36 || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return false
	}
	var bad byte
	pair := func(to, from int) {
		high, low := hexDigit[b[from]], hexDigit[b[from+1]]
		bad |= high | low
		u[to] = high<<4 | low
	}
	pair(0, 0)
	pair(1, 2)
	pair(2, 4)
	pair(3, 6)
	pair(4, 9)
	pair(5, 11)
	pair(6, 14)
	pair(7, 16)
	pair(8, 19)
	pair(9, 21)
	pair(10, 24)
	pair(11, 26)
	pair(12, 28)
	pair(13, 30)
	pair(14, 32)
	pair(15, 34)
	return bad < 16
}

// The years an instant may lie in.
const firstYear, lastYear = 1900, 2200

// parseTime reads RFC 3339 with T and an offset or Z, in either case, rounded to
// the nearest millisecond. lastDate remembers the date read before.
func parseTime(b []byte, last *lastDate) (health.Instant, bool) {
	if len(b) < len("2006-01-02T15:04:05Z") || b[10]|0x20 != 't' {
		return 0, false
	}
	date, day := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint16(b[8:])
	if date != last.date || day != last.day {
		days, ok := parseDate(b)
		if !ok {
			return 0, false
		}
		*last = lastDate{date, day, days}
	}
	ms, ok := parseClock(binary.LittleEndian.Uint64(b[11:]))
	if !ok {
		return 0, false
	}
	rest := b[19:]
	if rest[0] == '.' {
		fraction, n := 0, 1
		for scale := 1000; n < len(rest) && rest[n]-'0' <= 9; n++ {
			fraction += int(rest[n]-'0') * scale
			scale /= 10
		}
		if n == 1 || n == len(rest) {
			return 0, false
		}
		ms += int64(fraction+5) / 10 // the fourth digit rounds
		rest = rest[n:]
	}
	offset, ok := parseOffset(rest)
	return health.Instant(last.days*86_400_000 + ms - offset*60_000), ok
}

type lastDate struct {
	date uint64
	day  uint16
	days int64 // since 1970
}

func parseDate(b []byte) (days int64, ok bool) {
	if b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	var bad byte
	two := func(i int) int64 {
		high, low := b[i]-'0', b[i+1]-'0'
		if high > 9 || low > 9 {
			bad = 1
		}
		return int64(high)*10 + int64(low)
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	if bad != 0 || year < firstYear || year > lastYear || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	// Howard Hinnant, "chrono-compatible low-level date algorithms" (2013):
	// days from a civil date, with years that begin in March.
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719_468, true
}

func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// parseClock reads the eight bytes of hh:mm:ss, all at once.
func parseClock(x uint64) (ms int64, ok bool) {
	x ^= 0x3030_3a30_303a_3030 // digits become their values, colons zero
	const nibbles, colons = 0xf0f0f0f0f0f0f0f0, 0x0000ff0000ff0000
	if (x|(x+0x0606060606060606))&nibbles != 0 || x&colons != 0 {
		return 0, false
	}
	hour, minute, second := x&15*10+x>>8&15, x>>24&15*10+x>>32&15, x>>48&15*10+x>>56&15
	return int64(hour*3600+minute*60+second) * 1000, hour < 24 && minute < 60 && second < 60
}

func parseOffset(b []byte) (minutes int64, ok bool) {
	if len(b) == 1 && b[0]|0x20 == 'z' {
		return 0, true
	}
	if len(b) != 6 || b[0] != '+' && b[0] != '-' || b[3] != ':' {
		return 0, false
	}
	h1, h2, m1, m2 := b[1]-'0', b[2]-'0', b[4]-'0', b[5]-'0'
	if h1 > 9 || h2 > 9 || m1 > 5 || m2 > 9 {
		return 0, false
	}
	hours := int64(h1)*10 + int64(h2)
	minutes = hours*60 + int64(m1)*10 + int64(m2)
	if b[0] == '-' {
		minutes = -minutes
	}
	return minutes, hours < 24
}

// parseNumber reads what the grammar accepted. It is false for a number beyond
// float64, or of more than MaxTextBytes. Minus zero is zero.
func parseNumber(b []byte) (float64, bool) {
	// Up to 15 digits are exact in a float64, as are powers of ten up to 22,
	// and so one correctly rounded division gives the nearest float64
	// (Clinger, "How to read floating point numbers accurately", 1990).
	var mantissa uint64
	count, decimals := 0, -1
	for _, c := range b {
		switch {
		case c-'0' <= 9:
			mantissa = mantissa*10 + uint64(c-'0')
			count++
			if decimals >= 0 {
				decimals++
			}
		case c == '.':
			decimals = 0
		case c != '-':
			count = 99 // an exponent
		}
		if count > 15 {
			return parseLong(b)
		}
	}
	f := float64(mantissa)
	if decimals > 0 {
		f /= powersOfTen[decimals]
	}
	if b[0] == '-' && f != 0 {
		f = -f
	}
	return f, true
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

func parseLong(b []byte) (float64, bool) {
	if len(b) > MaxTextBytes {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, false
	}
	if f == 0 {
		f = 0 // not minus zero
	}
	return f, true
}

// finite says whether a number of the grammar is within float64.
func finite(b []byte) bool {
	if len(b) < 5 { // 9e99 is
		return true
	}
	_, ok := parseNumber(b)
	return ok
}
