package line

import (
	"log/slog"
	"math"
	"syscall"
)

// The share of the files that a process may open, and how many at least, that are not for
// connections: databases, objects and what the process itself asks others.
const (
	keptShare = 4 // one part
	keptLeast = 128
	fewest    = 16 // connections, however few files there may be
)

// Files is how many files the process may have open at a time, a connection being one.
func Files() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}

// Within is the bound as far as so many files allow, of which one address has half at most;
// the log has it where that is less.
func (b Bound) Within(files int, log *slog.Logger) Bound {
	if most := max(files-max(files/keptShare, keptLeast), fewest); b.Most > most {
		b.Most, b.PerAddress = most, min(b.PerAddress, most/2)
		log.Warn("the process may open too few files for its connections: they are fewer", "files", files, "connections", b.Most, "perAddress", b.PerAddress)
	}
	return b
}
