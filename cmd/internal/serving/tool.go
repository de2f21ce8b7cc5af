package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/keyring"
)

// A Tool is what a binary does once, over what its configuration names, beside any number
// of processes that run.
type Tool struct {
	Words string // as they are said: "dead replay"
	Takes string // what stands behind them; "" is nothing
	Does  string // in a line
	Needs capability.Set
	// Run does it. Rotate does it to the keys, and stands in Run's place: nothing else is
	// given what can rotate them.
	Run    func(ctx context.Context, o platform.Opened, argument string, out io.Writer) error
	Rotate func(ctx context.Context, keys keyring.Rotator, out io.Writer) error
}

// line is how it is said.
func (t Tool) line() string { return strings.TrimSpace(t.Words + " " + t.Takes) }

// tools are all of the binary's.
func (b Binary) tools() []Tool {
	if !b.needs().Has(capability.Audit) {
		return b.Tools
	}
	verify := Tool{Words: "audit verify", Does: "Check the audit log, entry by entry", Needs: capability.Audit | b.needs()&capability.Keys, Run: verifyAudit}
	return append([]Tool{verify}, b.Tools...)
}

// tool is the one that the words name, with what it takes; nil where there are none.
func (b Binary) tool(words []string) (*Tool, string, error) {
	if len(words) == 0 {
		return nil, "", nil
	}
	var like []string
	for _, t := range b.tools() {
		own := strings.Fields(t.Words)
		if own[0] == words[0] {
			like = append(like, fmt.Sprintf("`%s %s`", b.Name, t.line()))
		}
		if len(words) < len(own) || !slices.Equal(own, words[:len(own)]) {
			continue
		}
		switch rest := words[len(own):]; {
		case t.Takes == "" && len(rest) == 0:
			return &t, "", nil
		case t.Takes != "" && len(rest) == 1:
			return &t, rest[0], nil
		}
	}
	if like != nil {
		return nil, "", &UsageError{"say " + strings.Join(like, ", or ")}
	}
	return nil, "", &UsageError{fmt.Sprintf("it takes no argument, got %.40q", words[0])}
}

// use opens what the tool needs, and has it done.
func (b Binary) use(ctx context.Context, s *said, stdout io.Writer) (err error) {
	var closers []io.Closer
	defer func() {
		for _, c := range slices.Backward(closers) {
			err = errors.Join(err, c.Close())
		}
	}()
	env := platform.Env{Now: time.Now, Log: s.log, Version: buildinfo.Of(b.Version).Line(b.Name),
		Closing: func(_ string, c io.Closer) { closers = append(closers, c) }}
	if s.tool.Rotate != nil {
		keys, err := b.Drivers.Rotator(ctx, s.config.Backends, env)
		if err != nil {
			return err
		}
		return s.tool.Rotate(ctx, keys, stdout)
	}
	o, err := b.Drivers.Open(ctx, s.config.Backends, s.tool.Needs, env)
	if err != nil {
		return err
	}
	return s.tool.Run(ctx, o, s.argument, stdout)
}

// verifyAudit reads the whole audit log, and says what is wrong with it. Others may write
// to it meanwhile.
func verifyAudit(ctx context.Context, o platform.Opened, _ string, stdout io.Writer) error {
	entries, err := o.Audit.Verify(ctx)
	var bad *audit.BadEntry
	if errors.As(err, &bad) {
		return fmt.Errorf("the audit log is not as it was written: %w", err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "ok: %d entries\n", entries)
	return err
}
