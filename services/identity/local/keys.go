package local

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/clarity-loop/clarity/internal/durable"
)

const keyBits = 2048

// state is the file issuer.json: the signing keys, newest first, and who is revoked.
type state struct {
	Keys []storedKey `json:"keys"`
	// Ended holds, by the HMAC of a uid under Names, the moment before which no
	// authentication counts: nobody is named in a file that backups hold.
	Ended map[string]time.Time `json:"ended,omitempty"`
	Names []byte               `json:"names,omitempty"`
	// Revoked is Ended as the releases before wrote it: by uid.
	Revoked map[string]time.Time `json:"revoked,omitempty"`
}

func (s *state) name(uid string) string {
	mac := hmac.New(sha256.New, s.Names)
	_, _ = mac.Write([]byte(uid)) // never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ended is the moment before which no authentication of the person counts.
func (s *state) ended(uid string) (at time.Time, is bool) {
	at, is = s.Ended[s.name(uid)]
	if former, was := s.Revoked[uid]; was && former.After(at) {
		return former, true
	}
	return at, is
}

// end has no authentication of the people count that is not after their moment.
func (s *state) end(people map[string]time.Time) {
	ended := maps.Clone(s.Ended)
	if ended == nil {
		ended = map[string]time.Time{}
	}
	if s.Names == nil {
		s.Names = make([]byte, 32)
		_, _ = rand.Read(s.Names) // never fails
	}
	for uid, until := range people {
		ended[s.name(uid)] = until
	}
	s.Ended = ended
}

type storedKey struct {
	PEM     string `json:"pem"` // PKCS #8
	Retired bool   `json:"retired,omitempty"`
}

// signer is a key in use.
type signer struct {
	kid     string
	private *rsa.PrivateKey
}

func (i *Issuer) path() string { return filepath.Join(i.dir, "issuer.json") }

// load reads the file. One that is missing is made by who opens the issuer alone:
// later another key would believe nobody whom the one before does.
func (i *Issuer) load() error {
	data, err := os.ReadFile(i.path())
	if errors.Is(err, fs.ErrNotExist) && i.current == nil {
		data, err = i.create()
	}
	if err != nil {
		return err
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil || len(s.Keys) == 0 {
		return fmt.Errorf("read issuer.json: no signing keys in it")
	}
	keys := make(map[string]*rsa.PublicKey)
	var current *signer
	for _, stored := range s.Keys {
		private, err := parsePEM(stored.PEM)
		if err != nil {
			return fmt.Errorf("read issuer.json: %w", err)
		}
		if stored.Retired {
			continue
		}
		kid := thumbprint(&private.PublicKey)
		keys[kid] = &private.PublicKey
		if current == nil {
			current = &signer{kid, private}
		}
	}
	if current == nil {
		return fmt.Errorf("read issuer.json: every key is retired")
	}
	i.state, i.keys, i.current = s, keys, current
	return nil
}

func (i *Issuer) create() ([]byte, error) {
	fresh, err := newKey()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(state{Keys: []storedKey{fresh}})
	if err != nil {
		return nil, err
	}
	err = durable.Create(i.path(), data, 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was first
		return os.ReadFile(i.path())
	}
	return data, err
}

// save replaces the file and takes over what is in it.
func (i *Issuer) save(s state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := durable.Replace(i.path(), data, 0o600); err != nil {
		return err
	}
	return i.load()
}

func newKey() (storedKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return storedKey{}, fmt.Errorf("make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return storedKey{}, fmt.Errorf("make signing key: %w", err)
	}
	return storedKey{PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}, nil
}

func parsePEM(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("a key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("a key is not PKCS #8")
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("a key is not RSA")
	}
	return private, nil
}

// thumbprint is the key id: the RFC 7638 thumbprint of the public key.
func thumbprint(k *rsa.PublicKey) string {
	encode := base64.RawURLEncoding.EncodeToString
	jwk := fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, encode(big.NewInt(int64(k.E)).Bytes()), encode(k.N.Bytes()))
	sum := sha256.Sum256([]byte(jwk))
	return encode(sum[:])
}
