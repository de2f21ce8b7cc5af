package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/internal/durable"
	auditfile "github.com/clarity-loop/clarity/services/audit/file"
	"github.com/clarity-loop/clarity/services/blob/files"
	queuesqlite "github.com/clarity-loop/clarity/services/queue/sqlite"
	storesqlite "github.com/clarity-loop/clarity/services/store/sqlite"
)

// Copy copies what the directory's own drivers keep, but for the keys, into a new
// data directory, whether or not a platform is running. The messages go first and
// the objects behind the records that refer to them: what a copied record refers
// to is in the copy.
func Copy(ctx context.Context, b platform.Backends, to string) error {
	for _, part := range []struct {
		of, spec, driver, file, into string
		run                          func(from, to string) error
	}{
		{"queue", b.Queue, "sqlite", queuesqlite.FileName, "", func(from, to string) error { return queuesqlite.Copy(ctx, from, to) }},
		{"store", b.Store, "sqlite", storesqlite.FileName, "", func(from, to string) error { return storesqlite.Copy(ctx, from, to) }},
		{"blobs", b.Blobs, "files", ".", "blobs", files.Copy},
		{"audit", b.Audit, "file", "keys.json", "audit", auditfile.Copy},
		{"identity", b.Identity, "local", "issuer.json", "identity", copyIssuer},
	} {
		from := placeOf(part.spec, part.driver)
		if from == "" {
			return fmt.Errorf("the %s %s is not the data directory's own: it has a backup of its own", part.of, part.spec)
		}
		if _, err := os.Stat(filepath.Join(from, part.file)); errors.Is(err, fs.ErrNotExist) {
			continue // nothing was kept yet
		}
		into := filepath.Join(to, part.into)
		if err := os.MkdirAll(into, 0o700); err != nil {
			return err
		}
		if err := part.run(from, into); err != nil {
			return err
		}
	}
	return nil
}

func copyIssuer(from, to string) error {
	return durable.Copy(filepath.Join(from, "issuer.json"), filepath.Join(to, "issuer.json"), os.O_EXCL)
}

// AuditIdentity is the name by which the audit log's checkpoints are signed; "" where there
// is no log, or it is not in files.
func AuditIdentity(b platform.Backends) (string, error) {
	at := placeOf(b.Audit, "file")
	if at == "" {
		return "", nil
	}
	return auditfile.Identity(at)
}

// CheckBeside says what is wrong with what the directory's own drivers keep beside the
// records, a sentence each: the messages, and, where something was audited for certain, the
// checkpoints of that. It changes nothing, and no process has them open.
func CheckBeside(ctx context.Context, b platform.Backends, audited bool) (bad []string) {
	if at := placeOf(b.Audit, "file"); at != "" && audited {
		if signed, err := auditfile.Signed(at); err == nil && !signed { // an error is the verification's
			bad = append(bad, "the audit log: its checkpoints are empty: nothing vouches for how many entries there were")
		}
	}
	if at := placeOf(b.Queue, "sqlite"); at != "" {
		if err := queuesqlite.Check(ctx, at); err != nil && !errors.Is(err, fs.ErrNotExist) { // a queue is begun anew
			bad = append(bad, "the queue: its "+queuesqlite.FileName+" is damaged or cut: "+err.Error())
		}
	}
	return bad
}
