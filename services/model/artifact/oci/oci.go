// Package oci opens artifacts of an OCI registry: oci://host/repository:tag or
// oci://host/repository@sha256:….
//
// A bundle is pushed as it is, an artifact whose manifest has the bundle's
// digest; the tag, or the digest in the URI, must lead to that manifest. Any
// other file is a blob of the repository, named by its own digest: the golden
// vectors of a bundle are one, and so may be fetched from where the bundle is.
package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/google"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// How long a registry may take to answer; the transfer itself is the caller's to bound.
const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 30 * time.Second
)

// A Source opens oci:// URIs with the credentials of a Docker configuration, or
// of where it runs for Google's registries.
type Source struct {
	development bool
	transport   http.RoundTripper
	keys        authn.Keychain
}

// New is a Source. In development it may use plain HTTP and this machine;
// otherwise a registry has TLS and a public or private address, never one of
// this machine or of its link: the metadata service hands out credentials there.
func New(development bool) *Source {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !development {
		dialer.Control = refuseLocal
	}
	return &Source{
		development: development,
		transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: headerTimeout, IdleConnTimeout: time.Second, MaxIdleConnsPerHost: 1,
		},
		keys: authn.NewMultiKeychain(authn.DefaultKeychain, google.Keychain),
	}
}

var errLocal = errors.New("an address of this machine or of its link is no registry's")

// refuseLocal looks at the address that is dialled, behind every name and redirect.
func refuseLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr().Unmap(); ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
		return errLocal
	}
	return nil
}

func (s *Source) parse(uri string) (name.Reference, error) {
	scheme, rest, err := artifact.Scheme(uri)
	if err != nil {
		return nil, err
	}
	host, repository, _ := strings.Cut(rest, "/")
	if scheme != "oci" || repository == "" || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return nil, fmt.Errorf("%w: want oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…", artifact.ErrURI)
	}
	// What stands before a tag's digest is for people; the digest alone counts.
	ref, err := name.ParseReference(rest, name.WithDefaultTag("latest"))
	if err != nil {
		return nil, fmt.Errorf("%w: not a reference of a registry", artifact.ErrURI)
	}
	if ref.Context().Scheme() != "https" && !s.development {
		return nil, fmt.Errorf("%w: plain HTTP to this machine or a private address needs development mode", artifact.ErrURI)
	}
	return ref, nil
}

// Open opens a bundle or a blob.
func (s *Source) Open(ctx context.Context, r artifact.Ref) (io.ReadCloser, error) {
	ref, err := s.parse(r.URI)
	if err != nil {
		return nil, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(s.transport), remote.WithAuthFromKeychain(s.keys)}
	if r.Kind == artifact.File {
		return blob(ref.Context(), r.Digest, options)
	}
	there, err := remote.Get(ref, options...)
	if err != nil {
		return nil, fault(err)
	}
	if got := there.Digest.String(); got != r.Digest {
		return nil, fmt.Errorf("%w: it is %.80s, not %s", artifact.ErrDigest, got, r.Digest)
	}
	out, in := io.Pipe()
	go func() {
		err := bundle.Pack(in, there.Manifest, func(digest string) (io.ReadCloser, error) {
			return blob(ref.Context(), digest, options)
		})
		_ = in.CloseWithError(err) // never fails
	}()
	return out, nil
}

// blob opens one blob of the repository; the client holds it to its digest.
func blob(repository name.Repository, digest string, options []remote.Option) (io.ReadCloser, error) {
	layer, err := remote.Layer(repository.Digest(digest), options...)
	if err != nil {
		return nil, fault(err)
	}
	content, err := layer.Compressed() // the bytes as they are
	if err != nil {
		return nil, fault(err)
	}
	return content, nil
}

// fault is the registry's answer in this room's words.
func fault(err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return artifact.ErrNotFound
	}
	return err
}
