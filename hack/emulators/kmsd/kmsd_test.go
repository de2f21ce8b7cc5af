package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go-gcpkms/v2/integration/gcpkms"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/clarity-loop/clarity/services/keyring/kms/kmstest"
)

// The program serves until it is told to end, and the official client takes it for
// Cloud KMS.
func TestTheOfficialClient(t *testing.T) {
	reads, writes := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", writes) }()
	line := make([]byte, 64)
	n, err := reads.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(strings.TrimSpace(string(line[:n])), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	key, err := gcpkms.GetAEADWithContext(t.Context(), "gcp-kms://"+kmstest.Key, gcpkms.WithTransport(gcpkms.TransportGRPC), gcpkms.WithGoogleAPIClientOptions(option.WithGRPCConn(conn)))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := key.EncryptWithContext(t.Context(), []byte("key"), []byte("of anna"))
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := key.DecryptWithContext(t.Context(), sealed, []byte("of anna")); err != nil || !bytes.Equal(opened, []byte("key")) {
		t.Errorf("it opens as %q, %v", opened, err)
	}
	if _, err := key.DecryptWithContext(t.Context(), sealed, []byte("of ben")); err == nil {
		t.Error("it opens for another")
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}
