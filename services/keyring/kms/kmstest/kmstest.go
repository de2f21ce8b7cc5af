// Package kmstest is a Cloud KMS of one symmetric key, over gRPC, that Google's
// clients take for theirs: versions, rotation, destruction, associated data and
// checksums both ways. It has no rights, quotas or latency.
package kmstest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Key is the name of the key.
const Key = "projects/demo-clarity/locations/europe-west3/keyRings/clarity/cryptoKeys/kek"

// A Server is one KMS.
type Server struct {
	kmspb.UnimplementedKeyManagementServiceServer
	Address string // of one that was started

	mu       sync.Mutex
	versions []version // by number, the first being 1
	primary  int
	calls    map[string]int
	away     codes.Code
	flips    bool
}

type version struct {
	key   []byte
	state kmspb.CryptoKeyVersion_CryptoKeyVersionState
}

// New is one with a key of one version.
func New() *Server {
	s := &Server{calls: map[string]int{}}
	s.Rotate()
	return s
}

// Serving is a gRPC server of it, to be served and stopped.
func (s *Server) Serving() *grpc.Server {
	g := grpc.NewServer(grpc.UnaryInterceptor(s.count))
	kmspb.RegisterKeyManagementServiceServer(g, s)
	return g
}

// Start starts one that serves until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	s.Address = l.Addr().String()
	g := s.Serving()
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	return s
}

// count counts the call, and refuses it where the server is away.
func (s *Server) count(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	s.calls[path.Base(info.FullMethod)]++
	away := s.away
	s.mu.Unlock()
	if away != codes.OK {
		return nil, status.Error(away, "as the test says, for "+fmt.Sprint(req))
	}
	return handle(ctx, req)
}

// Away has every call be refused with the code; codes.OK ends it.
func (s *Server) Away(code codes.Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = code
}

// Flips has every answer have a bit that is not what it was.
func (s *Server) Flips(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flips = is
}

// Rotate makes a new version the primary one, as the key's own schedule does.
func (s *Server) Rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.primary = s.add()
}

func (s *Server) add() int {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s.versions = append(s.versions, version{key, kmspb.CryptoKeyVersion_ENABLED})
	return len(s.versions)
}

// Calls are how often each was called since this was asked.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = map[string]int{}
	return calls
}

// Enabled are the numbers of the versions that are.
func (s *Server) Enabled() (numbers []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := range s.versions {
		if v.state == kmspb.CryptoKeyVersion_ENABLED {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// Encrypt encrypts by the version that is named, or the primary one.
func (s *Server) Encrypt(_ context.Context, r *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.primary
	if rest := strings.TrimPrefix(r.GetName(), Key); rest != "" {
		var err error
		if n, err = number(r.GetName()); err != nil {
			return nil, err
		}
	}
	aead, err := s.aead(n)
	if err != nil {
		return nil, err
	}
	if !sums(r.GetPlaintext(), r.GetPlaintextCrc32C()) || !sums(r.GetAdditionalAuthenticatedData(), r.GetAdditionalAuthenticatedDataCrc32C()) {
		return nil, status.Error(codes.InvalidArgument, "The checksum does not match.")
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(n)) //nolint:gosec // it counts
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	out = aead.Seal(append(out, nonce...), nonce, r.GetPlaintext(), r.GetAdditionalAuthenticatedData())
	answer := &kmspb.EncryptResponse{
		Name: nameOf(n), Ciphertext: out, CiphertextCrc32C: sum(out),
		VerifiedPlaintextCrc32C: r.GetPlaintextCrc32C() != nil, VerifiedAdditionalAuthenticatedDataCrc32C: r.GetAdditionalAuthenticatedDataCrc32C() != nil,
	}
	if s.flips {
		answer.Ciphertext[len(out)/2] ^= 1
	}
	return answer, nil
}

// Decrypt decrypts by the version that encrypted.
func (s *Server) Decrypt(_ context.Context, r *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	invalid := status.Error(codes.InvalidArgument, "Decryption failed: the ciphertext is invalid.")
	c := r.GetCiphertext()
	if r.GetName() != Key || len(c) < 4+12+16 {
		return nil, invalid
	}
	n := int(binary.BigEndian.Uint32(c))
	if n < 1 || n > len(s.versions) {
		return nil, invalid
	}
	aead, err := s.aead(n)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, c[4:16], c[16:], r.GetAdditionalAuthenticatedData())
	if err != nil {
		return nil, invalid
	}
	answer := &kmspb.DecryptResponse{Plaintext: plain, PlaintextCrc32C: sum(plain), UsedPrimary: n == s.primary}
	if s.flips {
		answer.Plaintext[len(plain)/2] ^= 1
	}
	return answer, nil
}

func (s *Server) aead(n int) (cipher.AEAD, error) {
	if n < 1 || n > len(s.versions) {
		return nil, status.Error(codes.NotFound, nameOf(n)+" not found.")
	}
	v := s.versions[n-1]
	if v.state != kmspb.CryptoKeyVersion_ENABLED {
		return nil, status.Errorf(codes.FailedPrecondition, "%s is not enabled, current state is: %s.", nameOf(n), v.state)
	}
	block, err := aes.NewCipher(v.key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// ListCryptoKeyVersions lists all, two a page.
func (s *Server) ListCryptoKeyVersions(_ context.Context, r *kmspb.ListCryptoKeyVersionsRequest) (*kmspb.ListCryptoKeyVersionsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.GetParent() != Key {
		return nil, status.Error(codes.NotFound, "no such key")
	}
	from, _ := strconv.Atoi(r.GetPageToken())
	answer := &kmspb.ListCryptoKeyVersionsResponse{TotalSize: int32(len(s.versions))} //nolint:gosec // it counts
	for n := from + 1; n <= len(s.versions); n++ {
		if len(answer.CryptoKeyVersions) == 2 {
			answer.NextPageToken = strconv.Itoa(n - 1)
			break
		}
		answer.CryptoKeyVersions = append(answer.CryptoKeyVersions, s.told(n))
	}
	return answer, nil
}

// CreateCryptoKeyVersion makes one.
func (s *Server) CreateCryptoKeyVersion(_ context.Context, r *kmspb.CreateCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.GetParent() != Key {
		return nil, status.Error(codes.NotFound, "no such key")
	}
	return s.told(s.add()), nil
}

// UpdateCryptoKeyPrimaryVersion has the key encrypt by the version.
func (s *Server) UpdateCryptoKeyPrimaryVersion(_ context.Context, r *kmspb.UpdateCryptoKeyPrimaryVersionRequest) (*kmspb.CryptoKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(r.GetCryptoKeyVersionId())
	if err == nil {
		_, err = s.aead(n)
	}
	if err != nil || r.GetName() != Key {
		return nil, status.Error(codes.InvalidArgument, "no such version")
	}
	s.primary = n
	return &kmspb.CryptoKey{Name: Key, Purpose: kmspb.CryptoKey_ENCRYPT_DECRYPT, Primary: s.told(n)}, nil
}

// DestroyCryptoKeyVersion has the version be of no use from now on.
func (s *Server) DestroyCryptoKeyVersion(_ context.Context, r *kmspb.DestroyCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := number(r.GetName())
	if err == nil {
		_, err = s.aead(n)
	}
	if err != nil {
		return nil, err
	}
	s.versions[n-1].state = kmspb.CryptoKeyVersion_DESTROY_SCHEDULED
	return s.told(n), nil
}

func (s *Server) told(n int) *kmspb.CryptoKeyVersion {
	return &kmspb.CryptoKeyVersion{Name: nameOf(n), State: s.versions[n-1].state, Algorithm: kmspb.CryptoKeyVersion_GOOGLE_SYMMETRIC_ENCRYPTION}
}

func nameOf(n int) string { return fmt.Sprintf("%s/cryptoKeyVersions/%d", Key, n) }

func number(name string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(name, Key+"/cryptoKeyVersions/"))
	if err != nil {
		return 0, status.Error(codes.InvalidArgument, "no name of a version")
	}
	return n, nil
}

func sum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}

func sums(b []byte, want *wrapperspb.Int64Value) bool {
	return want == nil || want.GetValue() == sum(b).GetValue()
}
