// Manager is the operator: it reconciles ModelVersions and AnalysisJobs. It
// takes one flag, --config; everything else stands in that file.
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

	"github.com/clarity-loop/clarity/controllers/operator"
)

// version is set when the program is built for a release.
var version = "dev"

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(30) // it holds much and makes little: memory is what its pod is measured by
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		_, _ = fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}

// errUsage is a command line that cannot be read; what is wrong is printed already.
var errUsage = errors.New("usage")

// run runs the manager until ctx ends. The cluster is the one it runs in, or
// that of KUBECONFIG or --kubeconfig.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "/etc/clarity/manager.yaml", "the operator's configuration")
	check := flags.Bool("check", false, "read the configuration, tell every fault, and end")
	config.RegisterFlags(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	}
	settings, err := operator.Read(*file)
	if err != nil || *check {
		return err
	}
	log := settings.Logger(func(o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(stderr, o) })
	klog.SetSlogLogger(log)
	ctrl.SetLogger(klog.NewKlogr())
	server, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	mgr, err := operator.New(ctx, server, settings, operator.Options{Log: log, Version: version})
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}
