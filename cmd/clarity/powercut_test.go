package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
	"github.com/clarity-loop/clarity/internal/powerloss"
)

var (
	powerCuts = flag.Int("power.cuts", 6, "at how many moments TestPowerCut cuts the power")
	powerSeed = flag.Uint64("power.seed", 0, "seed of the moments and of what the disk holds; 0 takes the time")
	powerKeep = flag.Bool("power.keep", false, "keep the directories after which something was wrong")
)

const (
	powerPhones   = 3
	powerSessions = 3 // the platform is killed between them
	powerSession  = 4 * time.Second
)

// TestPowerCut records what the platform does to its directory while phones
// upload, delete, come and erase their accounts, and while it is killed and
// started again. Then it makes of the recording what a disk may hold after a loss
// of power at some moment, again and again: the platform starts on it, what was
// acked is there, the audit log verifies, and everything is whole.
func TestPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("records a platform under load and starts it on many directories")
	}
	needStrace(t)
	bin := powerBinary(t)
	r := recordUnderLoad(t, bin)
	for _, err := range r.cuts(t, bin, *powerCuts, *powerCuts, powerSeeded(t)) {
		t.Error(err)
	}
}

// needStrace skips where there is no strace, but in CI, or where it may not trace its
// own children.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has strace: install Debian's package strace")
		}
		t.Skip("needs strace, Debian's package of this name")
	}
	if out, err := exec.Command("strace", "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %v: %s", err, out)
	}
}

func powerSeeded(t *testing.T) uint64 {
	t.Helper()
	seed := *powerSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-power.seed=%d", seed)
	return seed
}

// powerToken is a token of the directory's issuer.
func powerToken(t *testing.T, dir, user string) string {
	t.Helper()
	token, err := issuer.Token(issuer.Request{Dir: dir, User: user, TTL: 2 * time.Hour, Now: time.Now})
	if err != nil {
		t.Error(err)
	}
	return token
}

// A powerRun is what was recorded of a run, and what was acked in it and when.
type powerRun struct {
	*powerloss.Recording
	uploads [powerPhones][]time.Time // by number of the upload
	tokens  [powerPhones]string
	visits  []visit
}

// A visit is of a person who agrees, uploads and erases the account again.
type visit struct {
	token          string
	upload         phone.Upload
	acked, erasing time.Time // zero: not yet
}

// recordUnderLoad runs the platform under strace and load. What a call has done in
// which the platform was killed is not always seen: then the directory is another than
// the recorded one, and all is recorded again.
func recordUnderLoad(t *testing.T, bin string) *powerRun {
	t.Helper()
	for range 3 {
		root := t.TempDir()
		r := recordIn(t, bin, root)
		err := r.Differs(func(path string) bool { return strings.HasSuffix(path, "-shm") })
		if err == nil {
			return r
		}
		t.Logf("the recording is not whole: %v", err)
	}
	t.Fatal("three recordings are not whole")
	return nil
}

func recordIn(t *testing.T, bin, root string) *powerRun {
	t.Helper()
	dir, address := filepath.Join(root, "data"), fixedAddress(t)
	r := &powerRun{Recording: powerloss.New(root)}
	var phones sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); phones.Wait() }()
	done := make(chan struct{})
	for session := range powerSessions {
		trace := filepath.Join(t.TempDir(), "trace")
		args := append([]string{"up", "--data", dir, "--listen", address}, powerArgs()...)
		p, err := launchCommand(powerloss.Command(context.Background(), trace, bin, args...)) // strace that is killed leaves its child
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			select {
			case <-p.exited:
			default:
				killTraced(t, p)
			}
		})
		if session == 0 {
			r.load(ctx, t, p.url, dir, &phones, done)
		}
		time.Sleep(powerSession)
		if session == powerSessions-1 { // the last answers come of a platform that runs
			close(done)
			phones.Wait()
		}
		killTraced(t, p)
		f, err := os.Open(trace)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Add(f), f.Close(), os.Remove(trace)); err != nil {
			t.Fatal(err)
		}
	}
	acked := 0
	for _, phone := range r.uploads {
		acked += len(phone)
	}
	t.Logf("%d lines recorded, %d uploads acked, %d visits", r.Lines(), acked, len(r.visits))
	return r
}

func powerArgs() []string {
	return []string{"--unlimited", "--log-level", "warn", "--debounce", "300ms"}
}

// load lets the phones upload, and visitors come and go, until done is closed.
func (r *powerRun) load(ctx context.Context, t *testing.T, url, dir string, phones *sync.WaitGroup, done <-chan struct{}) {
	t.Helper()
	going := func() bool {
		select {
		case <-done:
			return false
		case <-time.After(30 * time.Millisecond):
			return !t.Failed()
		}
	}
	for i := range powerPhones {
		r.tokens[i] = powerToken(t, dir, fmt.Sprintf("phone-%d", i))
		c := phone.New(url, r.tokens[i], 2*time.Minute, nil)
		phones.Go(func() {
			defer c.Close()
			if err := grantConsent(ctx, c); err != nil {
				failed(ctx, t, err)
				return
			}
			for n := 0; going(); n++ {
				if _, err := c.Put(ctx, phonetest.Load(i).Upload(t, n)); err != nil {
					failed(ctx, t, err)
					return
				}
				r.uploads[i] = append(r.uploads[i], time.Now())
			}
		})
	}
	phones.Go(func() {
		for n := 0; going(); n++ {
			v := visit{token: powerToken(t, dir, fmt.Sprint("visitor-", n)), upload: phonetest.Load(powerPhones).Upload(t, n)}
			c := phone.New(url, v.token, 2*time.Minute, nil)
			v.come(ctx, t, c)
			r.visits = append(r.visits, v)
			c.Close()
		}
	})
}

// failed tells of an error of a phone that was to go on.
func failed(ctx context.Context, t *testing.T, err error) {
	t.Helper()
	if ctx.Err() == nil {
		t.Error(err)
	}
}

// come does what a visitor does; one of two stays.
func (v *visit) come(ctx context.Context, t *testing.T, c *phone.Client) {
	t.Helper()
	err := grantConsent(ctx, c)
	if err == nil {
		_, err = c.Put(ctx, v.upload)
	}
	if err != nil {
		failed(ctx, t, err)
		return
	}
	if v.acked = time.Now(); v.acked.UnixNano()%2 == 0 {
		return
	}
	time.Sleep(200 * time.Millisecond)
	var gone *phone.RefusalError
	err = c.Send(ctx, http.MethodDelete, "/v1/account", nil, nil)
	if err != nil && (!errors.As(err, &gone) || gone.Status != http.StatusGone) { // the answer to an earlier try was lost
		failed(ctx, t, err)
		return
	}
	v.erasing = time.Now()
}

// killTraced kills the platform, a child of strace, which ends with it.
func killTraced(t *testing.T, p *running) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.cmd.Process.Pid, p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatalf("strace has the children %q: %v", data, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.exited
}

// cuts makes n cuts, or fewer once so many have shown something, and returns what is
// wrong after any.
func (r *powerRun) cuts(t *testing.T, bin string, n, enough int, seed uint64) (found []error) {
	t.Helper()
	var mu sync.Mutex
	var hands sync.WaitGroup
	next := make(chan int)
	for range 3 {
		hands.Go(func() {
			for i := range next {
				if err := r.cut(t, bin, rand.New(rand.NewPCG(seed, uint64(i)))); err != nil {
					mu.Lock()
					found = append(found, fmt.Errorf("cut %d: %w", i, err))
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		mu.Lock()
		over := len(found) >= enough
		mu.Unlock()
		if over {
			break
		}
		next <- i
	}
	close(next)
	hands.Wait()
	return found
}

// moment is when the power goes: at any time, or, as often, right after an ack.
func (r *powerRun) moment(chance *rand.Rand) int {
	if of := r.uploads[chance.IntN(powerPhones)]; chance.IntN(2) == 0 && len(of) > 0 {
		return r.After(of[chance.IntN(len(of))])
	}
	if chance.IntN(6) == 0 { // while directories and keys are made
		return chance.IntN(r.After(r.uploads[0][0]))
	}
	return chance.IntN(r.Lines())
}

// cut makes one cut, and says what is wrong after it.
func (r *powerRun) cut(t *testing.T, bin string, chance *rand.Rand) (err error) {
	t.Helper()
	root, err := os.MkdirTemp("", "power-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil || !*powerKeep {
			_ = os.RemoveAll(root)
		}
	}()
	moment := r.moment(chance)
	if err := r.Cut(moment, chance, root); err != nil {
		return err
	}
	dir := filepath.Join(root, "data")
	if r.uploads[0][0].Before(r.Time(moment)) { // before anything is mended, too
		if out, err := powerTool(bin, "audit", "verify", "--data", dir); err != nil {
			return fmt.Errorf("at line %d of %d, in %s: clarity audit verify: %w: %s", moment, r.Lines(), root, err, out)
		}
	}
	p, err := launchCommand(exec.Command(bin, append([]string{"up", "--data", dir, "--listen", "127.0.0.1:0"}, powerArgs()...)...))
	if err != nil {
		return fmt.Errorf("at line %d of %d, in %s: start: %w", moment, r.Lines(), root, err)
	}
	err = r.acked(t, p.url, r.Time(moment))
	p.end(syscall.SIGTERM)
	if p.err != nil {
		err = errors.Join(err, fmt.Errorf("stop: %w: %s", p.err, p.log))
	}
	for _, args := range [][]string{{"audit", "verify", "--data", dir}, {"fsck", "--data", dir}, {"dead", "--data", dir}} {
		out, failed := powerTool(bin, args...)
		if failed != nil || args[0] == "dead" && out != "no dead letters\n" {
			err = errors.Join(err, failed, fmt.Errorf("clarity %s says %s", args[0], out))
		}
	}
	if err != nil {
		return fmt.Errorf("at line %d of %d, in %s: %w", moment, r.Lines(), root, err)
	}
	return nil
}

// powerTool runs a command in a process of its own: in this one a child that is about to
// be another program would hold its locks.
func powerTool(bin string, args ...string) (string, error) {
	out, err := exec.Command(bin, args...).CombinedOutput()
	return string(out), err
}

// acked says what of that which was acked before the time is not there.
func (r *powerRun) acked(t *testing.T, url string, at time.Time) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var errs []error
	for i, times := range r.uploads {
		n := 0
		for n < len(times) && times[n].Before(at) {
			n++
		}
		if n > 0 {
			errs = append(errs, r.phoneHas(ctx, t, url, i, n))
		}
	}
	for i, v := range r.visits {
		if !v.acked.IsZero() && v.acked.Before(at) {
			if err := v.left(ctx, url, at); err != nil {
				errs = append(errs, fmt.Errorf("visitor %d: %w", i, err))
			}
		}
	}
	return errors.Join(errs...)
}

// phoneHas says what of n uploads of a phone is not there, and goes on with the next.
func (r *powerRun) phoneHas(ctx context.Context, t *testing.T, url string, i, n int) error {
	t.Helper()
	c := phone.New(url, r.tokens[i], 20*time.Second, nil)
	defer c.Close()
	if _, err := c.Put(ctx, phonetest.Load(i).Upload(t, n)); err != nil {
		return fmt.Errorf("phone %d goes on with upload %d: %w", i, n, err)
	}
	if err := allMerged(ctx, c, i, n+1); err != nil {
		return err
	}
	days, err := phone.Pages[struct{ Samples int }](ctx, c, "/v1/days")
	samples := 0
	for _, d := range days {
		samples += d.Samples
	}
	if err != nil {
		return fmt.Errorf("phone %d: list its days: %w", i, err)
	}
	if samples != phonetest.Load(i).Alive(n+1) {
		return fmt.Errorf("phone %d: %d samples of %d uploads, want %d", i, samples, n+1, phonetest.Load(i).Alive(n+1))
	}
	return nil
}

// allMerged waits until the first n uploads of a phone are merged.
func allMerged(ctx context.Context, c *phone.Client, i, n int) error {
	for {
		uploads, err := phone.Pages[phone.Status](ctx, c, "/v1/uploads")
		if err != nil {
			return fmt.Errorf("phone %d: list its uploads: %w", i, err)
		}
		waiting := ""
		for _, u := range uploads {
			if u.State == "received" {
				waiting = u.UploadID
			} else if u.State != "merged" {
				return fmt.Errorf("phone %d: upload %s is %q", i, u.UploadID, u.State)
			}
		}
		if waiting == "" && len(uploads) == n {
			return nil
		}
		if waiting == "" {
			return fmt.Errorf("phone %d: it has %d uploads of %d", i, len(uploads), n)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("phone %d: upload %s is still received", i, waiting)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// left says what is wrong with what a visitor has left behind: all, or nothing.
func (v *visit) left(ctx context.Context, url string, at time.Time) error {
	c := phone.New(url, v.token, 20*time.Second, nil)
	defer c.Close()
	s, err := c.Merged(ctx, v.upload.ID)
	var gone *phone.RefusalError
	switch is := errors.As(err, &gone) && gone.Status == http.StatusGone; {
	case is && v.erasing.IsZero():
		return errors.New("is erased, and never asked for it")
	case is:
		return nil
	case !v.erasing.IsZero() && v.erasing.Before(at):
		return errors.Join(fmt.Errorf("asked to be erased, and is not: the upload is %q", s.State), err)
	case err != nil || s.State != "merged":
		return errors.Join(fmt.Errorf("the upload is %q", s.State), err)
	}
	return nil
}
