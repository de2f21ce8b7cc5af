package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
)

func TestASecondUpGoesOnWhereTheFirstWas(t *testing.T) {
	dir := t.TempDir()
	file := write(t, "export.xml", appleExport)
	p := startPlatform(t, dir)
	first := uploadReport(t, dir, "me", file, "--wait")
	if took := p.stop(t, syscall.SIGINT); took > 3*time.Second {
		t.Errorf("SIGINT took %s", took)
	}
	if _, stderr, code := clarity(t, "upload", "--data", dir, file); code != 1 || !strings.Contains(stderr, "no platform runs on the data directory") {
		t.Errorf("upload without a platform: exit %d, %s", code, stderr)
	}
	startPlatform(t, dir)
	second := uploadReport(t, dir, "me", file, "--wait")
	if second.Merged.Added != 0 || second.Merged.Duplicates != first.Merged.Added || second.Uploads[0] != first.Uploads[0] {
		t.Errorf("first %+v, second %+v", first.Merged, second.Merged)
	}
}

func TestSignalsStopWithOpenStreams(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			p := startPlatform(t, dir)
			c := phone.New(p.url, strings.TrimSpace(must(t, "token", "--data", dir, "--user", "me")), time.Second, nil)
			defer c.Close()
			if err := grantConsent(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _ = c.Events(ctx, phone.FromTheFirst, func(phone.Event) error { return nil }) }()
			for i := range 20 {
				if _, err := c.Put(t.Context(), phonetest.Load(0).Upload(t, i)); err != nil {
					t.Fatal(err)
				}
			}
			if took := p.stop(t, sig); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// Two stages follow the plan; that there is none yet is said once.
func TestAMissingPlanIsSaidOnce(t *testing.T) {
	p := startPlatform(t, t.TempDir(), "--model", "traffic:file:"+filepath.Join(t.TempDir(), "nowhere"))
	for limit := time.Now().Add(20 * time.Second); !strings.Contains(p.log.String(), "no traffic plan yet") && time.Now().Before(limit); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the other stage has its say
	p.stop(t, syscall.SIGTERM)
	if log := p.log.String(); strings.Count(log, "nowhere") != 1 || strings.Contains(log, "rejected") {
		t.Errorf("the log says\n%s", log)
	}
}

// One clear sentence each, and exit status 1.
func TestUpSaysWhyItCannot(t *testing.T) {
	used := t.TempDir()
	p := startPlatform(t, used)
	tests := map[string]struct {
		dir, listen string
		want        string
	}{
		"a locked directory": {used, "127.0.0.1:0", "the data directory " + used + " is in use by another process: stop that one, or choose another --data"},
		"a taken port":       {t.TempDir(), strings.TrimPrefix(p.url, "http://"), "is taken by another process: choose another --listen, or port 0 for a free one"},
		"a file in place":    {write(t, "data", "x"), "127.0.0.1:0", "is not a directory: choose another --data"},
		"a read-only disk":   {mounted(t, "ro", syscall.MS_RDONLY, ""), "127.0.0.1:0", "is on a read-only disk: choose another --data"},
		"a full disk":        {mounted(t, "full", 0, "size=64k"), "127.0.0.1:0", "is full: make room, or choose another --data"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.dir == "" {
				t.Skip("this user may not mount a disk to try it on")
			}
			stdout, stderr, code := clarity(t, "up", "--data", tt.dir, "--listen", tt.listen)
			if code != 1 || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit %d, stdout %q, stderr %q; want one line with %q", code, stdout, stderr, tt.want)
			}
		})
	}
}

// mounted is a small disk of its own; "" where this user may not mount one.
func mounted(t *testing.T, name string, flags uintptr, options string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		return ""
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	return dir
}

// An up that cannot listen leaves no directory behind that it has made, and every one
// that was there.
func TestUpThatCannotListenLeavesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, there := range map[string]bool{"made": false, "there": true} {
		dir := filepath.Join(t.TempDir(), "data")
		if there {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if _, stderr, code := clarity(t, "up", "--data", dir, "--listen", l.Addr().String()); code == 0 || !strings.Contains(stderr, "is taken") {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
		if _, err := os.Stat(dir); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUpListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":8080", "[::]:0", "192.0.2.1:80", "example.org:80", "8080"} {
		stdout, stderr, code := clarity(t, "up", "--data", t.TempDir(), "--listen", address)
		if code != 2 || stdout != "" || !strings.Contains(stderr, "address") {
			t.Errorf("%s: exit %d, %q %q", address, code, stdout, stderr)
		}
	}
}

func TestCommandLines(t *testing.T) {
	tests := map[string]struct {
		args []string
		code int
		want string // in stdout for 0, else in stderr
	}{
		"no command":                  {nil, 2, "no command given"},
		"an unknown command":          {[]string{"dance"}, 2, `no command "dance"`},
		"help":                        {[]string{"help"}, 0, "analyze FILE"},
		"a command's help":            {[]string{"up", "--help"}, 0, "--listen ADDRESS"},
		"an unknown flag":             {[]string{"up", "--nope"}, 2, "--nope"},
		"an argument too many":        {[]string{"version", "x"}, 2, "takes no argument"},
		"a token of nobody":           {[]string{"token"}, 2, "--user NAME"},
		"a token of an unknown role":  {[]string{"token", "--data", t.TempDir(), "--user", "a", "--role", "king"}, 2, `no role "king"`},
		"a token for a year":          {[]string{"token", "--data", t.TempDir(), "--user", "a", "--ttl", "8760h"}, 2, "at most 24h0m0s"},
		"audit without verify":        {[]string{"audit"}, 2, "audit verify"},
		"a stage that is not":         {[]string{"up", "--data", t.TempDir(), "--stages", "ingress,model"}, 2, `no stage "model"`},
		"an unknown log format":       {[]string{"up", "--log", "xml"}, 2, "text, json or google:PROJECT"},
		"analysis of nothing":         {[]string{"analyze"}, 2, "one FILE"},
		"analysis of what is not":     {[]string{"analyze", "/nowhere/x.awd"}, 1, "no such file"},
		"analysis of a directory":     {[]string{"analyze", t.TempDir()}, 1, "is a directory"},
		"a start and an end":          {[]string{"analyze", "x", "--start", "2026-01-01", "--end", "2026-01-02"}, 2, "one of them"},
		"a zone that is not":          {[]string{"analyze", "x", "--zone", "Mars/Base"}, 2, "IANA"},
		"upload of nothing":           {[]string{"upload"}, 2, "at least one FILE"},
		"upload to nowhere":           {[]string{"upload", "--data", t.TempDir(), "x"}, 1, "no platform runs"},
		"a token without a place":     {[]string{"token", "--data=", "--user", "a"}, 2, "name the data directory"},
		"an audit log of no place":    {[]string{"audit", "verify", "--data="}, 2, "name the data directory"},
		"a directory to be made":      {[]string{"subject", "--data", "/nowhere", "--user", "a"}, 1, "`clarity up --data /nowhere` makes one"},
		"an audit log that is not":    {[]string{"audit", "verify", "--data", "/nowhere"}, 1, "no data directory"},
		"dead letters of nothing":     {[]string{"dead", "--data", "/nowhere"}, 1, "no data directory"},
		"dead letters, in full":       {[]string{"dead", "list", "--data", t.TempDir()}, 1, "there is nothing of the queue at "},
		"a dead letter that is none":  {[]string{"dead", "--data", t.TempDir(), "replay", "7"}, 1, "there is nothing of the queue at "},
		"what a dead letter cannot":   {[]string{"dead", "--data", t.TempDir(), "read", "7"}, 2, "clarity dead drop"},
		"help for a command":          {[]string{"help", "up"}, 0, "--listen ADDRESS"},
		"help for what is none":       {[]string{"help", "dance"}, 2, `no command "dance"`},
		"a demo of no model":          {[]string{"demo", "--model", "nope.tar"}, 1, "clarity: model: there is no bundle at nope.tar: a model is none, preview or a bundle's file\n"},
		"a demo of a directory":       {[]string{"demo", "--model", "/"}, 1, "clarity: model: / is a directory, not a bundle's file\n"},
		"a demo elsewhere of nobody":  {[]string{"demo", "--server", "http://127.0.0.1:1"}, 2, "--server needs a token: --token or $CLARITY_TOKEN"},
		"a demo elsewhere, kept":      {[]string{"demo", "--server", "http://127.0.0.1:1", "--token", "t", "--keep"}, 2, "--keep is of a platform of the demo's own"},
		"a demo elsewhere of a model": {[]string{"demo", "--server", "http://127.0.0.1:1", "--token", "t", "--model", "none"}, 2, "--model is of a platform of the demo's own"},
		"a demo at no URL":            {[]string{"demo", "--server", "127.0.0.1:1", "--token", "t"}, 2, "--server is a URL such as"},
		"a demo of a plan":            {[]string{"demo", "--model", "traffic:file:x"}, 2, "demo takes one model, not a traffic plan"},
		"a token of no name":          {[]string{"token", "--data", t.TempDir(), "--user", "ä b"}, 2, `"ä b" cannot be a user's name`},
		"a pseudonym of no name":      {[]string{"subject", "--data", t.TempDir(), "--user", "ä b"}, 2, `"ä b" cannot be a user's name`},
		"upload as no name":           {[]string{"upload", "--server", "http://127.0.0.1:1", "--data", t.TempDir(), "--user", "ä b", "x"}, 2, `"ä b" cannot be a user's name`},
		"upload to no URL":            {[]string{"upload", "--server", "localhost:8080", "x"}, 2, "--server is a URL such as http://127.0.0.1:8080, not \"localhost:8080\""},
		"upload to no host":           {[]string{"upload", "--server", "http://", "x"}, 2, "--server is a URL"},
		"upload with less than none":  {[]string{"upload", "--patience", "-1s", "x"}, 2, "--patience is a duration such as 3s, not -1s"},
		"the version of what":         {[]string{"version", "x"}, 2, "clarity: version takes no argument, got \"x\"\n"},
		"the version, a flag":         {[]string{"--version", "x"}, 2, "clarity: version takes no argument, got \"x\"\n"},
		"the version":                 {[]string{"version"}, 0, "clarity "},
		"flags behind the argument":   {[]string{"analyze", "/nowhere/x.awd", "--json"}, 1, "no such file"},
		"an argument that is no flag": {[]string{"analyze", "--", "--json"}, 1, "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := clarity(t, tt.args...)
			text := stderr
			if tt.code == 0 {
				text = stdout
			}
			if code != tt.code || !strings.Contains(text, tt.want) {
				t.Errorf("exit %d, want %d with %q\nstdout: %s\nstderr: %s", code, tt.code, tt.want, stdout, stderr)
			}
		})
	}
}
