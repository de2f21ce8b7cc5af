package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring/kms/kmstest"
	"github.com/clarity-loop/clarity/services/queue/pubsub"
)

// The three binaries, as processes over stand-ins of Google's services, take an upload
// to a result, words and events; told to stop they end cleanly, and what comes up again
// has everything.
func TestThreeBinariesTakeAnUploadToItsInsight(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs an emulator that takes minutes to build: make test-cloud")
	}
	c := startCloud(t, binaries(t))
	for range 2 {
		ingress, worker, insights := c.start(t, "ingress"), c.start(t, "worker", "serve", "--debounce", "200ms"), c.start(t, "insights")
		day := c.visit(t, ingress.url)
		for path, want := range map[string]string{"/v1/days/" + day: `"date"`, "/v1/weeks/" + day: day, "/v1/insights/" + day: `"text"`, "/v1/models": "pat-s-sim"} {
			c.until(t, ingress.url+path, want)
		}
		c.shard(t, day)
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
	said := c.place.run(t, c.env, []int{0}, "insights", "--config", "cloud.yaml", "audit", "verify")
	if _, err := fmt.Sscanf(said, "ok: %d entries\n", &entries); err != nil || entries < 10 {
		t.Errorf("the audit log: %q, %v", said, err)
	}
}

// A cloud is stand-ins of Google's services, and what leads to them.
type cloud struct {
	place *place
	env   []string
	token string
}

const project = "demo-clarity"

// port is a free one.
func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// emulator starts one and waits until it can be reached at the address.
func emulator(t *testing.T, name, address string, args ...string) {
	t.Helper()
	built, err := exec.CommandContext(t.Context(), filepath.Join("..", "hack", "emulators", "emulator"), "--built", name).Output()
	if err != nil {
		t.Fatalf("%s is not built: make emulators: %v", name, err)
	}
	cmd := exec.Command(strings.TrimSpace(string(built)), args...)
	cmd.Dir, cmd.Stderr = t.TempDir(), os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%s does not answer", name)
		}
	}
}

func startCloud(t *testing.T, bin string) *cloud {
	t.Helper()
	documents, messages, objects := port(t), port(t), port(t)
	host := func(address string) string { h, _, _ := net.SplitHostPort(address); return h }
	of := func(address string) string { _, p, _ := net.SplitHostPort(address); return p }
	emulator(t, "hidane", documents, "--host", host(documents), "--port", of(documents))
	emulator(t, "pubsubd", messages, "--listen", messages, "--data", t.TempDir())
	emulator(t, "fake-gcs-server", objects, "-backend", "memory", "-scheme", "http", "-host", host(objects), "-port", of(objects), "-public-host", objects, "-log-level", "error")
	for _, bucket := range []string{"demo-clarity-objects", "demo-clarity-audit"} {
		res, err := http.Post("http://"+objects+"/storage/v1/b?project="+project, "application/json", strings.NewReader(`{"name":"`+bucket+`"}`))
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("make a bucket: %v, %v", res, err)
		}
		res.Body.Close()
	}
	if err := pubsub.Prepare(t.Context(), pubsub.Config{Project: project, Emulator: messages}, flow.Consumers()); err != nil {
		t.Fatal(err)
	}
	accounts := httptest.NewServer(http.HandlerFunc(account))
	t.Cleanup(accounts.Close)
	c := &cloud{place: newPlace(t, bin), token: idToken(t, "anna"), env: []string{
		"CLARITY_DEV=true", "FIRESTORE_EMULATOR_HOST=" + documents, "PUBSUB_EMULATOR_HOST=" + messages, "STORAGE_EMULATOR_HOST=" + objects,
		"CLARITY_KMS_EMULATOR_HOST=" + kmstest.Start(t).Address, "FIREBASE_AUTH_EMULATOR_HOST=" + strings.TrimPrefix(accounts.URL, "http://")}}
	c.place.write(t, "cloud.yaml", c.key(cloudFile))
	return c
}

// key has a text name the key of the stand-in.
func (*cloud) key(text string) string {
	return strings.ReplaceAll(text, "projects/demo-clarity/locations/europe-west3/keyRings/clarity/cryptoKeys/kek", kmstest.Key)
}

// account answers that the one who is asked for is there.
func account(w http.ResponseWriter, r *http.Request) {
	var asks struct{ LocalID []string }
	if err := json.NewDecoder(r.Body).Decode(&asks); err != nil || len(asks.LocalID) != 1 || !strings.HasSuffix(r.URL.Path, "/accounts:lookup") {
		http.Error(w, `{"error":{"message":"OPERATION_NOT_ALLOWED"}}`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"users": []any{map[string]any{"localId": asks.LocalID[0]}}})
}

// idToken is what the Auth emulator gives: signed by nobody.
func idToken(t *testing.T, sub string) string {
	t.Helper()
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": "https://securetoken.google.com/" + project, "aud": project, "sub": sub, "user_id": sub,
		"iat": now, "exp": now + 3600, "auth_time": now, "firebase": map[string]any{"sign_in_provider": "password"}})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(claims) + "."
}

// A server is one of the three, running.
type server struct {
	name, url, admin string
	cmd              *exec.Cmd
	log              *shared
}

// shared is what a process writes, while others read it.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// start starts one of the three and waits until it is ready.
func (c *cloud) start(t *testing.T, name string, args ...string) *server {
	t.Helper()
	s := &server{name: name, log: &shared{}}
	line := append(append([]string{name}, args...), "--config", "cloud.yaml", "--linger", "0s", "--grace", "20s")
	s.cmd = c.place.command(context.Background(), append([]string{"CLARITY_LISTEN=127.0.0.1:0", "CLARITY_UNLIMITED=true"}, c.env...), line...)
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
	if err := s.cmd.Wait(); err != nil || time.Since(began) > 20*time.Second || !strings.Contains(s.log.String(), `"msg":"stopped"`) {
		t.Errorf("%s ends with %v after %v; its log:\n%s", s.name, err, time.Since(began), s.log)
	}
}

// shard computes the day's window again, beside the three.
func (c *cloud) shard(t *testing.T, day string) {
	t.Helper()
	env := append([]string{"JOB_COMPLETION_INDEX=0", "CLARITY_TERMINATION_LOG=last-words"}, c.env...)
	for _, line := range strings.Split(cloudFile, "\n") {
		if capability, driver, is := strings.Cut(strings.TrimSpace(line), ": "); is && strings.HasPrefix(line, "  ") {
			env = append(env, "CLARITY_"+strings.ToUpper(capability)+"="+c.key(driver))
		}
	}
	said := c.place.run(t, env, []int{0}, "worker", "shard", "--run=r-"+fmt.Sprint(time.Now().UnixNano()), "--shards=1", "--start="+day, "--end="+day, "--analyses=sleep", "--on-existing=Replace", "--all")
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
