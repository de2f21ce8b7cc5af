package cmd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/internal/emulated"
	"github.com/clarity-loop/clarity/internal/logtest"
)

// The three binaries, as processes over stand-ins of Google's services, take an upload
// to a result, words and events; told to stop they end cleanly, and what comes up again
// has everything.
func TestThreeBinariesTakeAnUploadToItsInsight(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs an emulator that takes minutes to build: make test-cloud")
	}
	c := startCloud(t, binaries(t), false)
	for range 2 {
		ingress, worker, insights := c.start(t, "ingress"), c.start(t, "worker", "serve", "--debounce", "200ms"), c.start(t, "insights")
		day := c.visit(t, ingress.url)
		for path, want := range map[string]string{"/v1/days/" + day: `"date"`, "/v1/weeks/" + day: day, "/v1/insights/" + day: `"text"`, "/v1/models": "pat-s-sim"} {
			c.until(t, ingress.url+path, want)
		}
		c.shard(t, day, "--all")
		for _, s := range []*server{ingress, worker, insights} {
			if status, text := c.ask(t, http.MethodGet, s.admin+"/metrics", ""); status != http.StatusOK || !strings.Contains(text, "clarity_queue_messages") {
				t.Errorf("%s measures %d %.200s", s.name, status, text)
			}
			if status, _ := c.ask(t, http.MethodGet, s.admin+"/livez", ""); status != http.StatusOK {
				t.Errorf("%s lives: %d", s.name, status)
			}
			s.stop(t)
		}
		for _, s := range []*server{ingress, worker, insights} {
			for _, secret := range []string{"anna", c.token, "61.25"} {
				if strings.Contains(s.log.String(), secret) {
					t.Errorf("the log of %s has %q", s.name, secret)
				}
			}
		}
	}
	var entries int
	said := c.place.run(t, c.Environment(), []int{0}, "insights", "--config", "cloud.yaml", "audit", "verify")
	if _, err := fmt.Sscanf(said, "ok: %d entries\n", &entries); err != nil || entries < 10 {
		t.Errorf("the audit log: %q, %v", said, err)
	}
}

// A cloud is stand-ins of Google's services, and a person.
type cloud struct {
	*emulated.Cloud
	place *place
	token string
}

func startCloud(t *testing.T, bin string, lines bool) *cloud {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	under, err := emulated.Start(t.Context(), emulated.Options{Root: root, Dir: t.TempDir(), Lines: lines})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := under.Stop(); err != nil {
			t.Error(err)
		}
	})
	token, err := under.Person(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{Cloud: under, place: newPlace(t, bin), token: token}
	config, err := json.Marshal(map[string]any{"backends": c.Backends(), "listen": map[string]string{"admin": "127.0.0.1:0"}}) // which is YAML
	if err != nil {
		t.Fatal(err)
	}
	c.place.write(t, "cloud.yaml", string(config))
	return c
}

// A server is one of the three, running.
type server struct {
	name, url, admin string
	cmd              *exec.Cmd
	log              *logtest.Log
}

// start starts one of the three and waits until it is ready.
func (c *cloud) start(t *testing.T, name string, args ...string) *server {
	t.Helper()
	s := &server{name: name, log: &logtest.Log{}}
	line := append(append([]string{name}, args...), "--config", "cloud.yaml", "--linger", "0s", "--grace", "20s")
	s.cmd = c.place.command(context.Background(), append([]string{"CLARITY_LISTEN=127.0.0.1:0", "CLARITY_UNLIMITED=true"}, c.Environment()...), line...)
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(said, "ready") {
		_ = s.cmd.Wait()
		t.Fatalf("%s says %q, %v:\n%s", name, said, err, s.log)
	}
	s.url = strings.TrimSpace(strings.TrimPrefix(said, "ready"))
	for began := time.Now(); s.admin == ""; time.Sleep(5 * time.Millisecond) {
		if m := regexp.MustCompile(`"admin":"(http://[^"]+)"`).FindStringSubmatch(s.log.String()); m != nil {
			s.admin = m[1]
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%s does not say where its probes are:\n%s", name, s.log)
		}
	}
	c.until(t, s.admin+"/readyz", "ok")
	return s
}

// stop tells it to stop, which it does.
func (s *server) stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := s.cmd.Wait(); err != nil || time.Since(began) > 20*time.Second || !strings.Contains(s.log.String(), `":"stopped"`) {
		t.Errorf("%s ends with %v after %v; its log:\n%s", s.name, err, time.Since(began), s.log)
	}
}

// shard computes the day's window again, of whom it is told, beside the three.
func (c *cloud) shard(t *testing.T, day, of string) {
	t.Helper()
	env := append([]string{"JOB_COMPLETION_INDEX=0", "CLARITY_TERMINATION_LOG=last-words"}, c.Environment()...)
	for capability, driver := range c.Backends() {
		env = append(env, "CLARITY_"+strings.ToUpper(capability)+"="+driver)
	}
	said := c.place.run(t, env, []int{0}, "worker", "shard", "--run=r-"+fmt.Sprint(time.Now().UnixNano()), "--shards=1", "--start="+day, "--end="+day, "--analyses=sleep", "--on-existing=Replace", of)
	if !strings.Contains(said, `"subjects":1,"succeeded":1`) {
		t.Errorf("the shard says %s", said)
	}
}

// ask sends a request as the person.
func (c *cloud) ask(t *testing.T, method, url, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// until asks until it is answered so.
func (c *cloud) until(t *testing.T, url, want string) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		status, text := c.ask(t, http.MethodGet, url, "")
		if status == http.StatusOK && strings.Contains(text, want) {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s: %d %.500s; want %q", url, status, text, want)
		}
	}
}

// visit is what a phone does: it agrees, and sends two hours of a heart. It returns
// the day.
func (c *cloud) visit(t *testing.T, url string) string {
	t.Helper()
	for _, purpose := range []string{"processing", "narrative"} {
		if status, text := c.ask(t, http.MethodPut, url+"/v1/consents/"+purpose, `{"granted": true, "version": "2026-11"}`); status/100 != 2 {
			t.Fatalf("consent: %d %s", status, text)
		}
	}
	var samples []string
	start := time.Now().UTC().Add(-26 * time.Hour).Truncate(24 * time.Hour).Add(10 * time.Hour)
	for i := range 120 {
		at := start.Add(time.Duration(i) * time.Minute).Format(time.RFC3339)
		samples = append(samples, fmt.Sprintf(`{"uuid": "0b7d1f0a-3f6e-4c0e-9a55-%012d", "type": "HKQuantityTypeIdentifierHeartRate", "start": %q, "end": %q, "value": 61.25, "unit": "count/min",
			"source": {"bundleId": "com.apple.health", "productType": "Watch7,5"}}`, i, at, at))
	}
	body := `{"schema": "clarity.upload/1", "installationId": "a", "timeZone": "UTC", "samples": [` + strings.Join(samples, ",") + `], "deleted": [], "cursor": {}, "stage": "daily", "final": true}`
	if status, text := c.ask(t, http.MethodPut, url+"/v1/uploads/first-upload", body); status/100 != 2 || !strings.Contains(text, `"accepted":120`) {
		t.Fatalf("upload: %d %s", status, text)
	}
	c.until(t, url+"/v1/uploads/first-upload", `"merged"`)
	return start.Format(time.DateOnly)
}
