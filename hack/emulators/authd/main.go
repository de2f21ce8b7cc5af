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
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	project := flag.String("project", "demo-clarity", "the project whose people these are")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *project, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "authd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, project string, stdout io.Writer) error {
	s, err := newServer(project, time.Now)
	if err != nil {
		return err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(stdout, l.Addr())
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
