package kms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cloudkms "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/tink-crypto/tink-go-gcpkms/v2/integration/gcpkms"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/internal/peer"
	"github.com/clarity-loop/clarity/services/internal/redial"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
)

const (
	within = 2 * time.Second // a call of the KMS ends
	pause  = time.Second     // behind one that failed there is none
	heard  = time.Minute     // an answer tells that it is there: each that is asked for is billed
	scheme = "gcp-kms://"
)

// errMissing says that a key is not there, or none that can be unwrapped.
var errMissing = keyring.ErrNoKey

// kek is the key of Cloud KMS.
type kek struct {
	name   string
	now    func() time.Time
	client *gcpkms.Client // encrypts and decrypts
	admin  *cloudkms.KeyManagementClient
	there  *peer.Peer // to wrap and to unwrap

	mu     sync.Mutex
	failed time.Time
	last   error
}

func openKEK(ctx context.Context, c Config, now func() time.Time, options []option.ClientOption) (*kek, error) {
	if c.Endpoint != "" {
		options = append([]option.ClientOption{option.WithEndpoint(c.Endpoint), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))}, options...)
	}
	options = append([]option.ClientOption{option.WithGRPCDialOption(redial.Soon())}, options...)
	client, err := gcpkms.NewClient(ctx, scheme+c.Key, gcpkms.WithGoogleAPIClientOptions(slices.Clone(options)...))
	if err != nil {
		return nil, told(err)
	}
	admin, err := cloudkms.NewKeyManagementClient(ctx, options...)
	if err != nil {
		return nil, errors.Join(told(err), client.Close())
	}
	return &kek{name: c.Key, now: now, client: client, admin: admin, there: peer.New(now, heard)}, nil
}

// Close ends the clients.
func (k *kek) Close() error { return errors.Join(k.client.Close(), k.admin.Close()) }

// by is the key, to decrypt with, or one of its versions to encrypt with.
func (k *kek) by(version int) (tink.AEADWithContext, error) {
	name := k.name
	if version > 0 {
		name = k.versionName(version)
	}
	a, err := k.client.GetAEAD(scheme + name)
	if err != nil {
		return nil, err
	}
	afar, is := a.(tink.AEADWithContext)
	if !is {
		return nil, errors.New("the KMS's client does not know contexts")
	}
	return afar, nil
}

func (k *kek) versionName(version int) string {
	return k.name + "/cryptoKeyVersions/" + strconv.Itoa(version)
}

// A witness knows why the KMS did not: Tink drops the cause.
type witness struct {
	tink.AEADWithContext
	err error
}

// EncryptWithContext encrypts.
func (w *witness) EncryptWithContext(ctx context.Context, plaintext, associated []byte) (c []byte, err error) {
	c, err = w.AEADWithContext.EncryptWithContext(ctx, plaintext, associated)
	w.err = err
	return c, err
}

// DecryptWithContext decrypts.
func (w *witness) DecryptWithContext(ctx context.Context, ciphertext, associated []byte) (p []byte, err error) {
	p, err = w.AEADWithContext.DecryptWithContext(ctx, ciphertext, associated)
	w.err = err
	return p, err
}

// wrap encrypts the keyset for a use by the version.
func (k *kek) wrap(ctx context.Context, h *keyset.Handle, version int, use string) (wrapped []byte, err error) {
	err = k.call(ctx, version, func(ctx context.Context, by tink.AEADWithContext) (err error) {
		wrapped, err = keysets.WrapAfar(ctx, h, by, use)
		return err
	})
	return wrapped, err
}

// unwrap is the keyset that was wrapped for the use.
func (k *kek) unwrap(ctx context.Context, wrapped []byte, use string) (h *keyset.Handle, err error) {
	err = k.call(ctx, 0, func(ctx context.Context, by tink.AEADWithContext) (err error) {
		h, err = keysets.UnwrapAfar(ctx, wrapped, by, use)
		return err
	})
	return h, err
}

// call asks the KMS, unless it failed a moment ago.
func (k *kek) call(ctx context.Context, version int, do func(context.Context, tink.AEADWithContext) error) error {
	k.mu.Lock()
	down, last := k.last != nil && k.now().Sub(k.failed) < pause, k.last
	k.mu.Unlock()
	if down {
		return last
	}
	key, err := k.by(version)
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	w := &witness{AEADWithContext: key}
	if err = do(short, w); err != nil {
		err = missing(w.err)
	}
	if ctx.Err() != nil && err != nil {
		return ctx.Err() // of who asks, and no word on the KMS
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last = nil; err != nil && !errors.Is(err, errMissing) {
		k.last, k.failed = err, k.now()
	}
	k.there.Saw(k.last)
	return err
}

// versions are the numbers of those that are enabled, by rising number.
func (k *kek) versions(ctx context.Context) (numbers []int, err error) {
	err = k.administer(ctx, func(ctx context.Context) error {
		numbers = nil
		it := k.admin.ListCryptoKeyVersions(ctx, &kmspb.ListCryptoKeyVersionsRequest{Parent: k.name})
		for {
			v, err := it.Next()
			if errors.Is(err, iterator.Done) {
				return nil
			}
			if err != nil {
				return err
			}
			if v.GetState() == kmspb.CryptoKeyVersion_ENABLED {
				n, err := k.number(v)
				if err != nil {
					return err
				}
				numbers = append(numbers, n)
			}
		}
	})
	slices.Sort(numbers)
	return numbers, err
}

func (k *kek) number(v *kmspb.CryptoKeyVersion) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(v.GetName(), k.name+"/cryptoKeyVersions/"))
	if err != nil || n < 1 {
		return 0, errors.New("a version has no number")
	}
	return n, nil
}

// create makes a version and has the KMS encrypt by it, where nobody says by which.
func (k *kek) create(ctx context.Context) (number int, err error) {
	err = k.administer(ctx, func(ctx context.Context) error {
		v, err := k.admin.CreateCryptoKeyVersion(ctx, &kmspb.CreateCryptoKeyVersionRequest{Parent: k.name, CryptoKeyVersion: &kmspb.CryptoKeyVersion{}})
		if err != nil {
			return err
		}
		if number, err = k.number(v); err != nil {
			return err
		}
		if v.GetState() != kmspb.CryptoKeyVersion_ENABLED {
			return errors.New("the new version is of no use yet")
		}
		_, err = k.admin.UpdateCryptoKeyPrimaryVersion(ctx, &kmspb.UpdateCryptoKeyPrimaryVersionRequest{Name: k.name, CryptoKeyVersionId: strconv.Itoa(number)})
		return err
	})
	return number, err
}

// destroy has the version be of no use from now on.
func (k *kek) destroy(ctx context.Context, version int) error {
	return k.administer(ctx, func(ctx context.Context) error {
		_, err := k.admin.DestroyCryptoKeyVersion(ctx, &kmspb.DestroyCryptoKeyVersionRequest{Name: k.versionName(version)})
		return err
	})
}

// administer is for who rotates: it takes its time.
func (k *kek) administer(ctx context.Context, do func(context.Context) error) error {
	long, cancel := context.WithTimeout(ctx, 10*within)
	defer cancel()
	err := told(do(long))
	if ctx.Err() != nil && err != nil {
		return ctx.Err()
	}
	return err
}

// A refusal is what the KMS answered, without its text, which names the key.
type refusal struct {
	class fault.Class
	code  string
}

// Error says the code.
func (r *refusal) Error() string { return fmt.Sprintf("KMS: %s", r.code) }

// FaultClass is for package fault.
func (r *refusal) FaultClass() (fault.Class, string) { return r.class, "KMS " + r.code }

// missing is told, where a key was to be wrapped or unwrapped: that the KMS refuses to
// do so, or that nothing comes of it, is that the key is not to be had.
func missing(err error) error {
	switch status.Code(err) {
	case codes.OK, codes.InvalidArgument, codes.FailedPrecondition: // another key's, or of a version that is gone
		return fmt.Errorf("unwrap key: %w", errMissing)
	}
	return told(err)
}

// told is what may be told of an error of KMS's clients.
func told(err error) error {
	if err == nil {
		return nil
	}
	for _, ours := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ours) {
			return &refusal{fault.Unavailable, ours.Error()}
		}
	}
	is, answered := status.FromError(err)
	switch code := is.Code(); {
	case !answered:
		return &refusal{fault.Unavailable, "an answer that is damaged"}
	case code == codes.ResourceExhausted:
		return &refusal{fault.Limit, code.String()}
	default:
		return &refusal{fault.Unavailable, code.String()}
	}
}
