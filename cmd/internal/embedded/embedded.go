// Package embedded has the drivers of a data directory, which belongs to one
// process: blobs/, store.db, queue.db and audit/. The keys lie beside it. What is not there yet is
// made; what a former process left, however it ended, is gone on with.
//
// The issuer of tokens and the plans of models are packages of their own: who
// only computes links neither.
package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/audit"
	auditfile "github.com/clarity-loop/clarity/services/audit/file"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/files"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/queue"
	queuesqlite "github.com/clarity-loop/clarity/services/queue/sqlite"
	"github.com/clarity-loop/clarity/services/store"
	storesqlite "github.com/clarity-loop/clarity/services/store/sqlite"
)

// In is b with the directory's own driver for each capability that b names none
// for, and the directory's own place for each of these drivers that b names
// without one.
func In(dir string, b platform.Backends) platform.Backends {
	if isPlace(b.Keys) { // --keys DIR
		b.Keys = "tink:" + b.Keys
	}
	for _, own := range []struct {
		spec        *string
		name, place string
	}{
		{&b.Store, "sqlite", dir},
		{&b.Blobs, "files", filepath.Join(dir, "blobs")},
		{&b.Queue, "sqlite", dir},
		{&b.Keys, "tink", keysPlace(dir)},
		{&b.Identity, "local", filepath.Join(dir, "identity")},
		{&b.Audit, "file", filepath.Join(dir, "audit")},
	} {
		if *own.spec == "" || *own.spec == own.name || *own.spec == own.name+":" {
			*own.spec = own.name + ":" + own.place
		}
	}
	if b.Writer == "" {
		b.Writer = "template"
	}
	return b
}

// isPlace says whether a spec names no driver of keys but a directory, which may be to be
// made.
func isPlace(spec string) bool {
	return spec != "" && spec != "tink" && spec != "kms" && !strings.Contains(spec, ":")
}

// Holds says whether the directory's own driver of the capability, which is one of
// Queue, Keys, Identity and Audit, has kept something at the place before. It opens and
// makes nothing.
func Holds(of capability.Set, at string) (bool, error) {
	file := map[capability.Set]string{capability.Queue: "queue.db", capability.Keys: kekName, capability.Identity: "issuer.json", capability.Audit: "keys.json"}[of]
	_, err := os.Stat(filepath.Join(at, file))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Store opens the documents in the directory at.
func Store(ctx context.Context, at string, e platform.Env) (store.Driver, error) {
	d, err := storesqlite.Open(ctx, at, e.Now)
	if err != nil {
		return nil, err
	}
	e.Closing("the store", d)
	return d, nil
}

// Blobs opens the objects in the directory at.
func Blobs(_ context.Context, at string, e platform.Env) (blob.Store, error) {
	s, err := files.Open(at, e.Now)
	if err != nil {
		return nil, err
	}
	for _, c := range s.Cuts() {
		e.Log.Warn("the end of a segment was not whole, and was cut off", "segment", c.Segment, "cut", c.Bytes, "left", c.Left)
	}
	e.Closing("the blobs", s)
	return s, nil
}

// Queue opens the messages in the directory at.
func Queue(ctx context.Context, at string, e platform.Env) (queue.Driver, error) {
	q, err := queuesqlite.Open(ctx, at, flow.Consumers(), e.Now)
	if err != nil {
		return nil, err
	}
	e.Closing("the queue", q)
	return q, nil
}

// Keys opens the keyring in the directory at, which any number of processes may.
func Keys(_ context.Context, at string, _ platform.Env) (platform.Keyring, error) {
	return tink.Open(at)
}

// Audit opens the log in the directory at.
func Audit(_ context.Context, at string, e platform.Env) (audit.Log, error) {
	l, err := auditfile.Open(at, e.Now)
	if err != nil {
		return nil, err
	}
	e.Closing("the audit log", l)
	return l, nil
}

// VerifyAudit checks the audit log in the directory at, whether or not a
// platform is running on it, and returns how many entries it has.
func VerifyAudit(ctx context.Context, at string) (int64, error) {
	return auditfile.Verify(ctx, at)
}
