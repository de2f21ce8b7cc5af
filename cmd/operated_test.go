package cmd_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
)

// Beside a worker that runs over stand-ins of Google's services, `insights` lists, replays and
// drops dead letters, names a person for a job, which a shard then finds, and counts and
// rotates keys, by which everything still opens.
func TestTheCloudIsOperatedByInsights(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs an emulator that takes minutes to build: make test-cloud")
	}
	c := startCloud(t, binaries(t), false)
	ingress, worker := c.start(t, "ingress"), c.start(t, "worker", "serve", "--debounce", "200ms")
	day := c.visit(t, ingress.url)
	env := append([]string{"CLARITY_CONFIG=cloud.yaml"}, c.Environment()...)
	insights := func(want string, words ...string) string {
		t.Helper()
		said := c.place.run(t, env, []int{0}, append([]string{"insights"}, words...)...)
		if !strings.Contains(said, want) {
			t.Errorf("insights %v says no %q:\n%s", words, want, said)
		}
		return said
	}
	insights("no dead letters\n", "dead", "list")
	c.publish(t, queue.Message{Topic: flow.TopicUploads, Key: "nobody", Body: []byte("{")})
	first := c.letter(t, env, "")
	insights(first+" is a message again", "dead", "replay", first)
	second := c.letter(t, env, first) // it dies again
	c.place.run(t, env, []int{1}, "insights", "dead", "replay", first)
	insights(second+" is removed", "dead", "drop", second)
	insights("no dead letters\n", "dead", "list")

	cmd := c.place.command(t.Context(), env, "insights", "subject")
	cmd.Stdin = strings.NewReader(uidOf(t, c.token) + "\nsomebody-else\n")
	named, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	pseudonyms := strings.Fields(string(named))
	if len(pseudonyms) != 2 || pseudonyms[0] == pseudonyms[1] {
		t.Fatalf("they are named %s", named)
	}
	c.shard(t, day, "--subject="+pseudonyms[0])

	insights("data  1         of 1 people", "keys", "list")
	insights("1 people get a new data key", "keys", "rotate", "data")
	if said := insights("wrapped by the new one\nthe key that wrapped them before is removed\n", "keys", "rotate", "kek"); !strings.Contains(said, " of ") {
		t.Errorf("how many are wrapped: %s", said)
	}
	insights("data  2         of 1 people, 1 of whom", "keys", "list")
	c.shard(t, day, "--subject="+pseudonyms[0])
	worker.stop(t)
	ingress.stop(t)
}

// publish tells the worker what nobody of ours would.
func (c *cloud) publish(t *testing.T, m queue.Message) {
	t.Helper()
	getenv := func(name string) string {
		i := slices.IndexFunc(c.Environment(), func(set string) bool { return strings.HasPrefix(set, name+"=") })
		if i < 0 {
			return ""
		}
		return strings.TrimPrefix(c.Environment()[i], name+"=")
	}
	_, at, _ := strings.Cut(c.Backends()["queue"], ":")
	q, err := google.New(getenv).Queue(t.Context(), at, platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Closing: func(_ string, closes io.Closer) {
		t.Cleanup(func() { _ = closes.Close() })
	}})
	if err == nil {
		err = q.Publish(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// letter waits for the one dead letter that there is, and is not the one before.
func (c *cloud) letter(t *testing.T, env []string, before string) string {
	t.Helper()
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		lines := strings.Split(c.place.run(t, env, []int{0}, "insights", "dead", "list"), "\n")
		if len(lines) > 1 {
			if fields := strings.Fields(lines[1]); len(fields) > 2 && fields[0] != before && fields[1] == flow.TopicUploads {
				return fields[0]
			}
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("nothing has died: %q", lines)
		}
	}
}

// uidOf is whose token it is.
func uidOf(t *testing.T, token string) string {
	t.Helper()
	var claims struct{ Sub string }
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("it is no token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil || claims.Sub == "" {
		t.Fatalf("whose token is it: %v", err)
	}
	return claims.Sub
}
