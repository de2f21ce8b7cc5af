package datadir

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/internal/durable"
)

// auditName is the file that says, outside of the audit log, which there is: one that is
// gone would be begun anew, and nobody would miss it.
const auditName = "AUDIT"

// auditLost says whether there was another audit log than there is. That of a place
// where none was on record is none.
func auditLost(dir string, b platform.Backends) (bool, error) {
	was, err := os.ReadFile(filepath.Join(dir, auditName)) //nolint:gosec // the data directory is the caller's own
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, Sentence(dir, err)
	}
	is, err := embedded.AuditIdentity(b)
	return strings.TrimSpace(string(was)) != is, err
}

// CheckAudit says what is wrong where there was another audit log than there is, a
// sentence each.
func CheckAudit(p Place) (bad []string) {
	lost, err := auditLost(p.Dir, embedded.In(p.Dir, p.Backends))
	if lost && err == nil { // an error is the verification's
		bad = append(bad, "the audit log: it is gone, or another than there was: put it back")
	}
	return bad
}

// tellAudit says where there was another audit log than there is.
func tellAudit(dir string, b platform.Backends, log *slog.Logger) {
	if lost, err := auditLost(dir, b); lost && err == nil { // an error is the driver's
		log.Error("the audit log is gone, or another than there was: it is begun anew, and nobody can show what was in it; stop, and put it back where there is a copy")
	}
}

// keepAudit has it on record which audit log there is.
func keepAudit(dir string, b platform.Backends) error {
	path := filepath.Join(dir, auditName)
	is, err := embedded.AuditIdentity(b)
	if err != nil || is == "" {
		return nil //nolint:nilerr // it is open, and its driver says what is wrong
	}
	if was, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(was)) == is { //nolint:gosec // the data directory is the caller's own
		return nil
	}
	return Sentence(dir, durable.Replace(path, []byte(is+"\n"), 0o600))
}
