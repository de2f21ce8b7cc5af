// Command kmsd stands in for Cloud KMS on this machine: one symmetric key, over gRPC,
// that Google's clients take for theirs. It is the Cloud KMS of package kmstest, as a
// process that can be stopped and killed: versions, rotation, destruction, associated
// data and checksums both ways. Rights, quotas, schedules and latency are not there.
//
//	kmsd [--listen 127.0.0.1:0]
//
// The address it listens on is the first line it prints. Its key is in memory: what it
// wrapped nobody unwraps once it has ended.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/clarity-loop/clarity/services/keyring/kms/kmstest"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kmsd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, stdout io.Writer) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(stdout, l.Addr())
	server := kmstest.New().Serving()
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	return server.Serve(l)
}
