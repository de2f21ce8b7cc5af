// Command mutate changes a room's code in small ways, one at a time, and runs
// the room's tests on each change: a change that no test notices is a place
// that no test looks at. It prints those, and the share that was noticed.
//
// All mutants are compiled at once: the rewritten source (an overlay; nothing in
// the tree is touched) asks at each place whether it is the one that is active,
// and the environment of a test process says which is. So a mutant costs the
// run of the tests that reach it, the quickest first, and no compilation.
//
//	mutate [-files REGEXP] [-skip REGEXP] [-least PERCENT] [-patience DURATION] PACKAGES...
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	files := flags.String("files", "", "mutate files whose name matches this regular expression alone")
	skip := flags.String("skip", "^$", "leave out tests whose name matches this regular expression: slow ones, which can only raise a score")
	least := flags.Float64("least", 0, "fail where a package's score, in percent, is lower")
	patience := flags.Duration("patience", 5*time.Second, "what a test gets beyond five times what it takes without a mutant; then it counts as noticed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	only, err := regexp.Compile(*files)
	if err != nil {
		return fmt.Errorf("read -files: %w", err)
	}
	left, err := regexp.Compile(*skip)
	if err != nil {
		return fmt.Errorf("read -skip: %w", err)
	}
	if flags.NArg() == 0 {
		return errors.New("name the packages, such as ./services/timeline")
	}
	packages, err := load(ctx, flags.Args())
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return fmt.Errorf("make a folder for the mutants: %w", err)
	}
	defer os.RemoveAll(work)
	built, err := build(ctx, work, packages, only)
	if err != nil {
		return err
	}
	built.patience, built.skip = *patience, left
	if err := built.try(ctx, out); err != nil {
		return err
	}
	return report(out, built, *least)
}
