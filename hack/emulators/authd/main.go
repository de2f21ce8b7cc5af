// Command authd stands in for Firebase Authentication on this machine: the REST
// surface of Identity Toolkit and of the token service that the official clients
// speak, people and tenants in memory, and ID tokens as Firebase's are, which it signs
// by a key of its own and whose certificates it serves as Google does.
//
// A phone signs up, signs in by password, refreshes, looks at its own account and
// deletes it. A server looks people up, makes, disables, deletes them, gives them
// claims, and revokes what they signed in with. A token without a signature is never
// made nor taken.
//
// It knows nobody who administers: whoever reaches it may. Providers other than a
// password (and nobody's: anonymous sign-ins), mails, second factors, custom tokens, session cookies and
// quotas are not there, and are refused where they are asked for.
//
//	authd [--listen 127.0.0.1:0] [--project demo-clarity]
//
// The address it listens on is the first line it prints. It forgets all when it ends.
package main

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/clarity-loop/clarity/hack/emulators/standin"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	project := flag.String("project", "demo-clarity", "the project whose people these are")
	flag.Parse()
	standin.Main("authd", func(ctx context.Context, stdout io.Writer) error { return run(ctx, *listen, *project, stdout) })
}

func run(ctx context.Context, listen, project string, stdout io.Writer) error {
	s, err := newServer(project, time.Now)
	if err != nil {
		return err
	}
	return standin.Serve(ctx, listen, stdout, standin.HTTP(s))
}
