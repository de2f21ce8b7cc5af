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
	"io"

	"github.com/clarity-loop/clarity/hack/emulators/standin"
	"github.com/clarity-loop/clarity/services/keyring/kms/kmstest"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	flag.Parse()
	standin.Main("kmsd", func(ctx context.Context, stdout io.Writer) error { return run(ctx, *listen, stdout) })
}

func run(ctx context.Context, listen string, stdout io.Writer) error {
	return standin.Serve(ctx, listen, stdout, kmstest.New().Serving())
}
