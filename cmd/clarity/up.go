package main

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
)

const upHelp = `Runs the platform in one process, its data in one directory, until SIGINT or
SIGTERM. The first line on standard output is "ready http://127.0.0.1:PORT";
the log goes to standard error. Nothing listens wider than this machine.`

func up(ctx context.Context, c *call) error {
	fs := c.flags(upHelp)
	dir := c.dataFlag(fs)
	listen := fs.String("listen", "127.0.0.1:8080", "loopback `ADDRESS` to answer on; port 0 takes a free one")
	active := fs.String("model", "none", "`MODEL` that the worker runs on each week: none, preview (trained on simulated data), a bundle's file, or traffic:file:DIR")
	stages := fs.String("stages", strings.Join(platform.Stages(), ","), "the `STAGES` to run; messages for the others wait")
	logs := logFlags(fs)
	profile := fs.String("pprof", "", "loopback `ADDRESS` for /debug/pprof; off if empty")
	unlimited := fs.Bool("unlimited", false, "no rate limits, for measurements")
	if err := c.parseNone(fs); err != nil {
		return err
	}
	log, err := logs.logger(c.stderr)
	if err != nil {
		return err
	}
	p, err := platform.Open(ctx, platform.Config{Dir: *dir, Listen: *listen, Model: *active, Stages: splitList(*stages), Profile: *profile,
		Unlimited: *unlimited, Log: log, Now: time.Now, Version: describeBuild(), SoftMemoryLimit: c.getenv("GOMEMLIMIT") == ""})
	if err != nil {
		return asUsage(err)
	}
	if _, err := io.WriteString(c.stdout, "ready "+p.URL()+"\n"); err != nil {
		log.Warn("standard output is closed", "err", err)
	}
	return p.Run(ctx)
}

// logging is the flags that every command with a platform inside shares.
type logging struct{ format, level *string }

func logFlags(fs *flag.FlagSet) logging {
	return logging{
		fs.String("log", "text", "`FORMAT` of the log: text or json"),
		fs.String("log-level", "info", "least `LEVEL` that is logged: debug, info, warn or error"),
	}
}

func (l logging) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(*l.level)); err != nil {
		return nil, usagef("--log-level is debug, info, warn or error, not %q", *l.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch *l.format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, usagef("--log is text or json, not %q", *l.format)
}

func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// isTerminal says whether w is a terminal a person looks at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
