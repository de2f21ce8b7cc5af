package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/record/hook"
)

// How secrets and keys are shown, as Standard Webhooks writes them.
const (
	secretPrefix = "whsec_"
	publicPrefix = "whpk_"
)

// SecretText is the secret as a server takes it that checks v1.
func SecretText(s hook.Secret) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(s.HMAC)
}

// PublicText is the public key as a server takes it that checks v1a.
func PublicText(s hook.Secret) string {
	public, _ := ed25519.NewKeyFromSeed(s.Seed).Public().(ed25519.PublicKey)
	return publicPrefix + base64.StdEncoding.EncodeToString(public)
}

// Signatures are the request's webhook-signature: by every secret, v1 and then v1a, the newest first.
func Signatures(secrets []hook.Secret, id string, at time.Time, body []byte) string {
	signed := append([]byte(id+"."+strconv.FormatInt(at.Unix(), 10)+"."), body...)
	var all []string
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s.HMAC)
		mac.Write(signed)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	for _, s := range secrets {
		all = append(all, "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(s.Seed), signed)))
	}
	return strings.Join(all, " ")
}
