package local

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/clarity-loop/clarity/services/identity"
)

// maxToken bounds a token's bytes.
const maxToken = 8 << 10

type claims struct{ subject identity.Subject }

// check reads a token strictly. Its errors name the rule, never the token.
func (i *Issuer) check(token string) (claims, error) {
	header, payload, err := split(token)
	if err != nil {
		return claims{}, err
	}
	key, err := i.checkHeader(header)
	if err != nil {
		return claims{}, err
	}
	_, err = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}),
		jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation(),
	).Parse(token, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil {
		return claims{}, errors.New("signature does not verify")
	}
	return checkClaims(payload, i.now())
}

// split takes the three segments apart and decodes the first two.
func split(token string) (header, payload []byte, err error) {
	if len(token) > maxToken {
		return nil, nil, fmt.Errorf("longer than %d bytes", maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return nil, nil, errors.New("not three segments")
	}
	strict := base64.RawURLEncoding.Strict()
	for _, part := range parts {
		if strings.ContainsAny(part, "\r\n") { // which the decoder would skip
			return nil, nil, errors.New("not base64url")
		}
	}
	if header, err = strict.DecodeString(parts[0]); err != nil {
		return nil, nil, errors.New("header is not base64url")
	}
	if payload, err = strict.DecodeString(parts[1]); err != nil {
		return nil, nil, errors.New("claims are not base64url")
	}
	if _, err = strict.DecodeString(parts[2]); err != nil {
		return nil, nil, errors.New("signature is not base64url")
	}
	return header, payload, nil
}

var errUnknownKey = errors.New("kid is not a key in use")

// checkHeader returns the key that the header names. A header that brings its
// own key, or asks for an extension, is refused whatever else it says.
func (i *Issuer) checkHeader(raw []byte) (*rsa.PublicKey, error) {
	header, err := members(raw)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for name := range header {
		if name != "alg" && name != "kid" && name != "typ" {
			return nil, errors.New("header has a member that is not alg, kid or typ")
		}
	}
	if alg, err := text(header, "alg"); err != nil || alg != "RS256" {
		return nil, errors.New("alg is not RS256")
	}
	if _, there := header["typ"]; there {
		if typ, err := text(header, "typ"); err != nil || typ != "JWT" {
			return nil, errors.New("typ is not JWT")
		}
	}
	kid, err := text(header, "kid")
	if err != nil {
		return nil, err
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	key, known := i.keys[kid]
	if !known {
		return nil, errUnknownKey
	}
	return key, nil
}

func checkClaims(raw []byte, now time.Time) (claims, error) {
	c, err := members(raw)
	if err != nil {
		return claims{}, fmt.Errorf("claims: %w", err)
	}
	if iss, err := text(c, "iss"); err != nil || iss != IssuerName {
		return claims{}, errors.New("iss is another issuer")
	}
	if aud, err := text(c, "aud"); err != nil || aud != Audience {
		return claims{}, errors.New("aud is not this platform alone")
	}
	uid, err := text(c, "sub")
	if err != nil || !identity.ValidUID(uid) {
		return claims{}, errors.New("sub is not a user")
	}
	s := identity.Subject{UID: uid}
	if s.Expires, s.AuthTime, err = checkTimes(c, now); err != nil {
		return claims{}, err
	}
	if _, there := c["tenant"]; there {
		if s.Tenant, err = text(c, "tenant"); err != nil {
			return claims{}, err
		}
	}
	if roles, there := c["roles"]; there {
		if err := json.Unmarshal(roles, &s.Roles); err != nil {
			return claims{}, errors.New("roles is not a list of strings")
		}
		for _, r := range s.Roles {
			if r != identity.Service && r != identity.Admin {
				return claims{}, errors.New("roles has an unknown role")
			}
		}
	}
	return claims{s}, nil
}

func checkTimes(c map[string]json.RawMessage, now time.Time) (expires, authenticated time.Time, err error) {
	exp, err := moment(c, "exp")
	if err != nil {
		return expires, authenticated, err
	}
	iat, err := moment(c, "iat")
	if err != nil {
		return expires, authenticated, err
	}
	auth, err := moment(c, "auth_time")
	if err != nil {
		return expires, authenticated, err
	}
	nbf := iat
	if _, there := c["nbf"]; there {
		if nbf, err = moment(c, "nbf"); err != nil {
			return expires, authenticated, err
		}
	}
	latest := now.Add(leeway)
	switch {
	case !now.Before(exp.Add(leeway)):
		err = errors.New("expired")
	case iat.After(latest):
		err = errors.New("iat is in the future")
	case auth.After(latest):
		err = errors.New("auth_time is in the future")
	case nbf.After(latest):
		err = errors.New("nbf is in the future")
	case exp.Sub(iat) > MaxTTL:
		err = errors.New("lives too long")
	}
	return exp, auth, err
}

// members reads one JSON object of at most eight levels, refusing names twice.
func members(raw []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	if deepest(raw) > 8 {
		return nil, errors.New("nested too deep")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	m := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		name, isText := t.(string)
		if err != nil || !isText {
			return nil, errors.New("not a JSON object")
		}
		if _, twice := m[name]; twice {
			return nil, errors.New("a member is there twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("not a JSON object")
		}
		m[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("not a JSON object")
	}
	if d.More() {
		return nil, errors.New("bytes behind the JSON object")
	}
	return m, nil
}

// deepest counts brackets, those in strings too: an upper bound of the nesting.
func deepest(raw []byte) (most int) {
	depth := 0
	for _, c := range raw {
		switch c {
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		}
	}
	return most
}

func text(m map[string]json.RawMessage, name string) (string, error) {
	var s string
	raw := m[name]
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || s == "" {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// moment reads a whole number of seconds between 2000 and 2200.
func moment(m map[string]json.RawMessage, name string) (time.Time, error) {
	var seconds float64
	raw := m[name]
	if len(raw) == 0 || raw[0] == '"' || json.Unmarshal(raw, &seconds) != nil ||
		seconds != math.Trunc(seconds) || seconds < 946_684_800 || seconds > 7_258_118_400 {
		return time.Time{}, fmt.Errorf("%s is not a time in seconds", name)
	}
	return time.Unix(int64(seconds), 0), nil
}
