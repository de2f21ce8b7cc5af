// Package identitytest is the suite every identity.Verifier passes: what no
// verifier may ever accept.
package identitytest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/identity"
)

// An Issuer is what the suite needs to forge with: a good token's parts and
// the key that signs them.
type Issuer struct {
	Verifier identity.Verifier
	Key      *rsa.PrivateKey
	// Header and Claims make a good token for uid "anna" when signed with Key.
	Header, Claims map[string]any
	Now            time.Time
	// Revoke ends every token of the uid so far, in another process.
	Revoke func(uid string) error
}

// Run holds a verifier against everything it must refuse, and one token it
// must accept.
func Run(t *testing.T, i Issuer) {
	ctx := context.Background()
	verifies := map[string]func(context.Context, string) (identity.Subject, error){"": i.Verifier.Verify, "fresh: ": i.Verifier.Fresh}
	for how, verify := range verifies {
		t.Run(how+"the good token is accepted", func(t *testing.T) {
			s, err := verify(ctx, i.good())
			if err != nil || s.UID != "anna" || !s.Expires.After(i.Now) || s.AuthTime.IsZero() {
				t.Fatalf("%+v, %v", s, err)
			}
		})
		for name, token := range i.Forgeries(t) {
			t.Run(how+name, func(t *testing.T) {
				s, err := verify(ctx, token)
				if !errors.Is(err, identity.ErrInvalid) || s.UID != "" {
					t.Fatalf("%+v, %v; want ErrInvalid", s, err)
				}
				if len(token) > 20 && strings.Contains(err.Error(), token[:20]) {
					t.Errorf("the error quotes the token")
				}
			})
		}
	}
	t.Run("a revoked token is not fresh from that moment on, however often it was verified", func(t *testing.T) {
		if _, err := i.Verifier.Verify(ctx, i.good()); err != nil {
			t.Fatal(err)
		}
		if err := i.Revoke("anna"); err != nil {
			t.Fatal(err)
		}
		if s, err := i.Verifier.Fresh(ctx, i.good()); !errors.Is(err, identity.ErrInvalid) || s.UID != "" {
			t.Errorf("Fresh = %+v, %v; want ErrInvalid", s, err)
		}
		if _, err := i.Verifier.Verify(ctx, i.good()); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("Verify behind it: %v; want ErrInvalid", err)
		}
	})
}

// Forgeries are the tokens that nobody may accept, by what is wrong with each.
func (i Issuer) Forgeries(t *testing.T) map[string]string {
	tokens := make(map[string]string)
	for _, forgeries := range []map[string]func() string{i.segments(), i.signatures(t), i.headers(), i.claims()} {
		for sentence, forge := range forgeries {
			tokens[sentence] = forge()
		}
	}
	return tokens
}

// Token is the good one with other members in its header and its claims, signed.
func (i Issuer) Token(header, claims map[string]any) string { return i.with(header, claims) }

// Unsigned is the good one under another header, with nothing for a signature.
func (i Issuer) Unsigned(header map[string]any) string { return unsigned(header, i.Claims) + "." }

// Raw is a token of these two texts, signed.
func (i Issuer) Raw(header, claims string) string { return signRaw(i.Key, header, claims) }

func (i Issuer) segments() map[string]func() string {
	good := i.good()
	parts := strings.Split(good, ".")
	return map[string]func() string{
		"empty":                          func() string { return "" },
		"two segments":                   func() string { return parts[0] + "." + parts[1] },
		"four segments":                  func() string { return good + ".x" },
		"five segments (encrypted form)": func() string { return good + ".x.y" },
		"an empty segment":               func() string { return parts[0] + ".." + parts[2] },
		"bad base64 in the header":       func() string { return "!" + good },
		"bad base64 in the claims":       func() string { return parts[0] + ".%%%." + parts[2] },
		"padding":                        func() string { return parts[0] + "=." + parts[1] + "." + parts[2] },
		"a line break in it":             func() string { return parts[0][:9] + "\n" + parts[0][9:] + "." + parts[1] + "." + parts[2] },
		"one mebibyte":                   func() string { return i.with(nil, map[string]any{"pad": strings.Repeat("a", 1<<20)}) },
		"blanks around it":               func() string { return " " + good + " " },
	}
}

func (i Issuer) signatures(t *testing.T) map[string]func() string {
	parts := strings.Split(i.good(), ".")
	body := parts[0] + "." + parts[1]
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), sig...)
	flipped[7] ^= 1
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&i.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string]func() string{
		"the signature is empty":                    func() string { return body + "." },
		"the signature is cut":                      func() string { return body + "." + encode(sig[:100]) },
		"the signature has one bit off":             func() string { return body + "." + encode(flipped) },
		"the signature is zeros":                    func() string { return body + "." + encode(make([]byte, len(sig))) },
		"the signature is another token's":          func() string { return body + "." + strings.Split(i.with(nil, map[string]any{"sub": "bert"}), ".")[2] },
		"signed with another key":                   func() string { return signRS(other, i.Header, i.Claims) },
		"alg none, no signature":                    func() string { return unsigned(i.header("none"), i.Claims) + "." },
		"alg None with a signature":                 func() string { return unsigned(i.header("None"), i.Claims) + "." + encode(sig) },
		"alg nOnE with a signature":                 func() string { return unsigned(i.header("nOnE"), i.Claims) + "." + encode(sig) },
		"HS256 with the public key as the secret":   func() string { return signHS(public, i.header("HS256"), i.Claims) },
		"HS256 with the public key's DER as secret": func() string { return signHS(der, i.header("HS256"), i.Claims) },
		"PS256 with the right key":                  func() string { return signPS(i.Key, i.header("PS256"), i.Claims) },
		"ES256 with some key":                       func() string { return signES(i.header("ES256"), i.Claims) },
		"RS512 in the header, RS256 in fact":        func() string { return signRS(i.Key, i.header("RS512"), i.Claims) },
	}
}

func (i Issuer) headers() map[string]func() string {
	set := func(name string, value any) func() string {
		return func() string { return i.with(map[string]any{name: value}, nil) }
	}
	without := func(name string) func() string {
		return func() string { return signRS(i.Key, drop(i.Header, name), i.Claims) }
	}
	return map[string]func() string{
		"no alg":                   without("alg"),
		"alg is a list":            set("alg", []string{"RS256"}),
		"kid missing":              without("kid"),
		"kid unknown":              set("kid", "nobody"),
		"kid empty":                set("kid", ""),
		"kid a path":               set("kid", "../../etc/passwd"),
		"kid very long":            set("kid", strings.Repeat("k", 4000)),
		"kid a number":             set("kid", 1),
		"jku":                      set("jku", "https://evil.example/keys"),
		"jwk":                      set("jwk", map[string]any{"kty": "RSA"}),
		"x5u":                      set("x5u", "https://evil.example/cert"),
		"x5c":                      set("x5c", []string{"MII"}),
		"crit":                     set("crit", []string{"exp"}),
		"an unknown header member": set("zip", "DEF"),
		"typ of another kind":      set("typ", "JOSE"),
		"the header is a list":     func() string { return signRaw(i.Key, `[]`, marshal(i.Claims)) },
		"the header is not JSON":   func() string { return signRaw(i.Key, `{"alg"`, marshal(i.Claims)) },
		"bytes behind the header":  func() string { return signRaw(i.Key, marshal(i.Header)+"{}", marshal(i.Claims)) },
		"alg twice in the header":  func() string { return signRaw(i.Key, twice(i.Header, "alg", `"RS256"`), marshal(i.Claims)) },
		"the header is not UTF-8": func() string {
			return signRaw(i.Key, strings.Replace(marshal(i.Header), "JWT", "JW\xff", 1), marshal(i.Claims))
		},
		"a duplicate kid, the last known": func() string { return signRaw(i.Key, twice(i.Header, "kid", `"nobody"`), marshal(i.Claims)) },
	}
}

func (i Issuer) claims() map[string]func() string {
	set := func(name string, value any) func() string {
		return func() string { return i.with(nil, map[string]any{name: value}) }
	}
	without := func(name string) func() string {
		return func() string { return signRS(i.Key, i.Header, drop(i.Claims, name)) }
	}
	raw := func(claims string) func() string {
		return func() string { return signRaw(i.Key, marshal(i.Header), claims) }
	}
	at := func(d time.Duration) int64 { return i.Now.Add(d).Unix() }
	iss, _ := i.Claims["iss"].(string)
	aud, _ := i.Claims["aud"].(string)
	return map[string]func() string{
		"iss missing":                      without("iss"),
		"iss other":                        set("iss", "https://evil.example"),
		"iss over http":                    set("iss", strings.Replace(iss, "https", "http", 1)),
		"iss with a slash behind":          set("iss", iss+"/"),
		"iss in another case":              set("iss", strings.ToUpper(iss)),
		"aud missing":                      without("aud"),
		"aud other":                        set("aud", "another-project"),
		"aud a list with the right one":    set("aud", []string{aud, "another-project"}),
		"aud a list of the right one":      set("aud", []string{aud}),
		"sub missing":                      without("sub"),
		"sub empty":                        set("sub", ""),
		"sub of 129 bytes":                 set("sub", strings.Repeat("a", 129)),
		"sub a number":                     set("sub", 7),
		"sub a list":                       set("sub", []string{"anna"}),
		"sub with a look-alike letter":     set("sub", "аnna"), // the first letter is Cyrillic
		"sub with a NUL":                   set("sub", "anna\x00"),
		"sub with a slash":                 set("sub", "../anna"),
		"exp past":                         set("exp", at(-2*time.Hour)),
		"exp missing":                      without("exp"),
		"exp a string":                     set("exp", "9999999999"),
		"exp not a number":                 raw(strings.Replace(marshal(i.Claims), `"exp":`, `"exp":NaN,"x":`, 1)),
		"exp huge":                         set("exp", 1e300),
		"exp with a fraction":              set("exp", float64(at(time.Hour))+0.5),
		"exp negative":                     set("exp", -1),
		"exp null":                         set("exp", nil),
		"iat in the future":                set("iat", at(time.Hour)),
		"iat missing":                      without("iat"),
		"auth_time in the future":          set("auth_time", at(time.Hour)),
		"auth_time missing":                without("auth_time"),
		"auth_time a string":               set("auth_time", "now"),
		"nbf in the future":                set("nbf", at(time.Hour)),
		"sub twice":                        raw(twice(i.Claims, "sub", `"bert"`)),
		"exp twice":                        raw(twice(i.Claims, "exp", "9999999999")),
		"claims 10,000 deep":               raw(strings.Repeat("[", 3000) + strings.Repeat("]", 3000)),
		"a claim nested too deep":          raw(strings.Replace(marshal(i.Claims), "{", `{"deep":`+strings.Repeat("[", 1500)+strings.Repeat("]", 1500)+",", 1)),
		"claims are a string":              raw(`"anna"`),
		"claims are null":                  raw(`null`),
		"claims end early":                 raw(strings.TrimSuffix(marshal(i.Claims), "}")),
		"bytes behind the claims":          raw(marshal(i.Claims) + "{}"),
		"claims are not UTF-8":             raw(strings.Replace(marshal(i.Claims), "anna", "ann\xff", 1)),
		"a life longer than tokens have":   set("exp", at(400*24*time.Hour)),
		"empty claims":                     raw(`{}`),
		"unsigned token of an emulator":    func() string { return unsigned(map[string]any{"alg": "none", "typ": "JWT"}, i.Claims) + "." },
		"claims of a refresh token's kind": raw(`{"grant_type":"refresh_token"}`),
	}
}

func (i Issuer) good() string { return signRS(i.Key, i.Header, i.Claims) }

func (i Issuer) header(alg string) map[string]any { return merge(i.Header, map[string]any{"alg": alg}) }

func (i Issuer) with(header, claims map[string]any) string {
	return signRS(i.Key, merge(i.Header, header), merge(i.Claims, claims))
}

func merge(base, over map[string]any) map[string]any {
	m := make(map[string]any, len(base)+len(over))
	for k, v := range base {
		m[k] = v
	}
	for k, v := range over {
		m[k] = v
	}
	return m
}

func drop(base map[string]any, name string) map[string]any {
	m := merge(base, nil)
	delete(m, name)
	return m
}

// twice is the object with a second member of the name in front.
func twice(m map[string]any, name, value string) string {
	return strings.Replace(marshal(m), "{", `{"`+name+`":`+value+",", 1)
}

func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // the suite's own values
	}
	return string(data)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unsigned(header, claims map[string]any) string {
	return encode([]byte(marshal(header))) + "." + encode([]byte(marshal(claims)))
}

func signRS(key *rsa.PrivateKey, header, claims map[string]any) string {
	return signRaw(key, marshal(header), marshal(claims))
}

func signRaw(key *rsa.PrivateKey, header, claims string) string {
	body := encode([]byte(header)) + "." + encode([]byte(claims))
	sum := sha256.Sum256([]byte(body))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return body + "." + encode(sig)
}

func signPS(key *rsa.PrivateKey, header, claims map[string]any) string {
	body := unsigned(header, claims)
	sum := sha256.Sum256([]byte(body))
	sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
	if err != nil {
		panic(err)
	}
	return body + "." + encode(sig)
}

func signHS(secret []byte, header, claims map[string]any) string {
	body := unsigned(header, claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(body))
	return body + "." + encode(mac.Sum(nil))
}

func signES(header, claims map[string]any) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	body := unsigned(header, claims)
	sum := sha256.Sum256([]byte(body))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return body + "." + encode(sig)
}
