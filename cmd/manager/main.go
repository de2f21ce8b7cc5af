// Manager is the operator: it reconciles ModelVersions and AnalysisJobs. What it
// does stands in the file that --config names; `manager version` says what it is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
	"github.com/clarity-loop/clarity/cmd/internal/settings"
	"github.com/clarity-loop/clarity/controllers/operator"
)

// version is set by the linker; without it the build's own information serves.
var version string

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(30) // it holds much and makes little: memory is what its pod is measured by
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(buildinfo.ExitUsage)
	default:
		_, _ = fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}

// errUsage is a command line that cannot be read; what is wrong is printed already.
var errUsage = errors.New("usage")

// run runs the manager until ctx ends. The cluster is the one it runs in, or
// that of KUBECONFIG or --kubeconfig.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "/etc/clarity/manager.yaml", "the operator's configuration")
	tell := flags.Bool("version", false, "print what this program was built from, and end")
	check := flags.Bool("check", false, "read the configuration, tell every fault, and end")
	config.RegisterFlags(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	}
	rest := flags.Args()
	if !*tell && len(rest) > 0 && rest[0] == "version" {
		*tell, rest = true, rest[1:]
	}
	switch refused := buildinfo.Refuse(rest); {
	case *tell && refused != nil:
		_, _ = fmt.Fprintf(stderr, "manager: %v\n", refused)
		return errUsage
	case *tell:
		_, err := fmt.Fprintln(stdout, buildinfo.Of(version).Line("manager"))
		return err
	case len(rest) > 0:
		_, _ = fmt.Fprintf(stderr, "manager: there is no command %.40q; it has version\n", rest[0])
		return errUsage
	}
	configured, err := operator.Read(*file)
	if err != nil || *check {
		return err
	}
	log := configured.Logger(func(o *slog.HandlerOptions) slog.Handler { return settings.JSONLog(stderr, o.Level) })
	klog.SetSlogLogger(log)
	ctrl.SetLogger(klog.NewKlogr())
	server, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	mgr, err := operator.New(ctx, server, configured, operator.Options{Log: log, Version: buildinfo.Of(version).Version})
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}
