// Package datadir is what a data directory has beside what its drivers put
// there: a lock that one process at a time holds, the endpoint where that process
// answers, sentences for what can be wrong with it, and tools for a directory on
// which nothing is running.
package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/queue"
)

// A Platform is one that holds a data directory.
type Platform struct {
	*platform.Platform
	release func() error
}

// Open takes the data directory and opens a platform on it, with the directory's
// own drivers where the configuration names no others. Where the platform
// answers is on record in the directory as long as it does.
func Open(ctx context.Context, dir string, c platform.Config, d platform.Drivers, table []platform.Stage, e platform.Env) (*Platform, error) {
	told := c.Backends
	c.Backends = embedded.In(dir, told)
	if err := Validate(dir, c, d, table); err != nil {
		return nil, err
	}
	_, missing := os.Stat(dir)
	makeRoom(dir, syscall.Statfs)
	if err := probe(dir); err != nil {
		return nil, err
	}
	release, err := lock(dir)
	if err != nil {
		return nil, err
	}
	leave := func() error { return release() }
	if errors.Is(missing, fs.ErrNotExist) {
		leave = orUnmade(dir, leave)
	}
	if _, err := readVersion(dir); err != nil {
		return nil, errors.Join(err, leave())
	}
	if release, err = withKeys(dir, c.Backends, release); err != nil {
		return nil, errors.Join(err, leave())
	}
	if c.Backends, err = prepare(ctx, dir, told, e); err != nil {
		return nil, errors.Join(describe(dir, err), leave())
	}
	e.Space = (&space{dir: dir, of: whole, now: e.Now}).left
	e.Working = (&space{dir: dir, of: lowerHalf, now: e.Now}).left
	held := &reserve{dir: dir, log: e.Log, ask: syscall.Statfs}
	e.Writing = held.left
	opened, err := platform.Open(ctx, c, d, table, e)
	if err != nil {
		return nil, errors.Join(describe(dir, err), leave())
	}
	// What the drivers have made in it, and itself: who made it may have died before.
	if err := syncEntries(dir); err != nil {
		return nil, errors.Join(err, opened.Close(), release())
	}
	p := &Platform{opened, sync.OnceValue(release)}
	held.watch()
	p.Closing("the reserve of the disk", held)
	err = p.Beside(func(q queue.Queue, g queue.Gauge) (platform.Runner, error) { return control(ctx, dir, q, g, p.Closing) })
	if err != nil { // a path of more than a hundred bytes has no socket
		e.Log.Warn("dead letters can be asked for while this is stopped only", "err", err)
	}
	if p.URL() == "" {
		return p, nil
	}
	if err := writeEndpoint(dir, p.URL()); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.Closing("the endpoint", endpoint(filepath.Join(dir, endpointName)))
	return p, nil
}

// prepare has the keys where they belong, and everyone erased who is to be,
// before anything is opened for them.
func prepare(ctx context.Context, dir string, told platform.Backends, e platform.Env) (platform.Backends, error) {
	if told.Keys == "" || told.Keys == "tink" || told.Keys == "tink:" { // else they are to stay where that says
		if err := embedded.MoveKeys(dir, e.Log); err != nil {
			return told, err
		}
	}
	b := embedded.In(dir, told)
	if err := embedded.CheckWhole(dir, b); err != nil {
		return b, err
	}
	found, missing, err := embedded.Replay(ctx, b, e.Now)
	if err == nil {
		err = embedded.CheckObjects(ctx, dir, b, e.Now)
	}
	if err == nil {
		err = upgrade(ctx, dir, b, e)
	}
	if err != nil {
		return b, err
	}
	if found > 0 {
		e.Log.Info("people whose keys are destroyed are in the data directory, or erasures that were cut: they are erased", "people", found)
	}
	if missing > 0 {
		e.Log.Error("people's keys are not at the keys' place, or cannot be read: put them back; until then these people are answered 503, and nothing of theirs is lost", "people", missing, "keys", b.Keys)
	}
	return b, nil
}

// Validate is Config.Validate for a platform on a data directory. It opens nothing.
func Validate(dir string, c platform.Config, d platform.Drivers, table []platform.Stage) error {
	err := c.Validate(d, table)
	if dir != "" {
		return err
	}
	text := "name the data directory"
	if err != nil {
		text += "; " + err.Error()
	}
	return &platform.ConfigError{Text: text}
}

// Run is platform.Platform's, and gives the directory back.
func (p *Platform) Run(ctx context.Context) error {
	return errors.Join(p.Platform.Run(ctx), p.release())
}

// Close is platform.Platform's, and gives the directory back.
func (p *Platform) Close() error { return errors.Join(p.Platform.Close(), p.release()) }

// endpointName is the file in which a running platform says where it answers.
const endpointName = "endpoint"

// endpoint is that file; closing removes it.
type endpoint string

func (e endpoint) Close() error { return os.Remove(string(e)) }

// Endpoint is the URL of the platform that is running on the directory.
func Endpoint(ctx context.Context, dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, endpointName)) //nolint:gosec // the data directory is the caller's own
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no platform runs on the data directory %s: start one with `clarity up --data %s`, or name a --server", dir, dir)
	}
	if err != nil {
		return "", Sentence(dir, err)
	}
	url := strings.TrimSpace(string(data))
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil { // what ran there was killed
		return "", fmt.Errorf("no platform runs on the data directory %s any more: start one with `clarity up --data %s`", dir, dir)
	}
	return url, conn.Close()
}

// writeEndpoint replaces the file whole, so that nobody reads half of it.
func writeEndpoint(dir, url string) error {
	path := filepath.Join(dir, endpointName)
	if err := os.WriteFile(path+".new", []byte(url+"\n"), 0o600); err != nil {
		return Sentence(dir, err)
	}
	return os.Rename(path+".new", path)
}
