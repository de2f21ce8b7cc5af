package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/local"
	"github.com/clarity-loop/clarity/services/queue"
	queuesqlite "github.com/clarity-loop/clarity/services/queue/sqlite"
)

// endpointName is the file in which a running platform says where it answers.
const endpointName = "endpoint"

// Endpoint is the URL of the platform that runs on the directory.
func Endpoint(ctx context.Context, dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, endpointName)) //nolint:gosec // the data directory is the caller's own
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no platform runs on the data directory %s: start one with `clarity up --data %s`, or say --server", dir, dir)
	}
	if err != nil {
		return "", sentence(dir, err)
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
		return sentence(dir, err)
	}
	return os.Rename(path+".new", path)
}

// A TokenRequest says whose token is made.
type TokenRequest struct {
	Dir, User string
	Role      string // "", "service" or "admin"
	TTL       time.Duration
	Now       func() time.Time
}

// Token makes a token of the directory's own issuer, whether or not a platform
// runs on it.
func Token(_ context.Context, r TokenRequest) (string, error) {
	subject := identity.Subject{UID: r.User}
	switch role := identity.Role(r.Role); role {
	case "":
	case identity.Service, identity.Admin:
		subject.Roles = []identity.Role{role}
	default:
		return "", configErrorf("there is no role %q; the roles are %s and %s", r.Role, identity.Service, identity.Admin)
	}
	if r.TTL <= 0 || r.TTL > local.MaxTTL {
		return "", configErrorf("a token is valid for at most %s, not %s", local.MaxTTL, r.TTL)
	}
	place, err := parseDriver("identity", "", r.Dir)
	if err != nil {
		return "", err
	}
	issuer, err := local.Open(place, r.Now)
	if err != nil {
		return "", sentence(r.Dir, err)
	}
	token, err := issuer.Issue(subject, r.TTL)
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return token, nil
}

// Topics lists the queue's topics, in the order of the flow.
func Topics() []string {
	return []string{flow.TopicUploads, flow.TopicAnalyses, flow.TopicResults, flow.TopicEvents}
}

// DeadLetters lists the dead letters of every topic of a directory on which no
// platform runs.
func DeadLetters(ctx context.Context, dir string, now func() time.Time) (letters []queue.DeadLetter, err error) {
	err = withQueue(ctx, dir, now, func(q queue.Queue) error {
		const page = 500
		for _, topic := range Topics() {
			for after := int64(0); ; {
				some, err := q.Dead(ctx, topic, after, page)
				if err != nil {
					return fmt.Errorf("list the dead letters of %s: %w", topic, err)
				}
				letters = append(letters, some...)
				if len(some) < page {
					break
				}
				after = some[page-1].Sequence
			}
		}
		return nil
	})
	return letters, err
}

// Depths counts the messages of every topic of a directory on which no platform runs.
func Depths(ctx context.Context, dir string, now func() time.Time) (depths map[string]queue.Depth, err error) {
	depths = map[string]queue.Depth{}
	err = withQueue(ctx, dir, now, func(q queue.Queue) error {
		for _, topic := range Topics() {
			if depths[topic], err = q.Depth(ctx, topic); err != nil {
				return fmt.Errorf("count the messages of %s: %w", topic, err)
			}
		}
		return nil
	})
	return depths, err
}

func withQueue(ctx context.Context, dir string, now func() time.Time, use func(queue.Queue) error) error {
	if err := mustExist(dir); err != nil {
		return err
	}
	release, err := lock(dir)
	if err != nil {
		return sentence(dir, err)
	}
	q, err := queuesqlite.Open(ctx, dir, now)
	if err != nil {
		return errors.Join(sentence(dir, err), release())
	}
	return errors.Join(use(q), q.Close(), release())
}

// mustExist keeps a mistyped directory from becoming a new, empty one.
func mustExist(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no data directory %s", dir)
	case err == nil && !info.IsDir():
		return sentence(dir, fs.ErrExist)
	}
	return err
}
