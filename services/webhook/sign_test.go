package webhook

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/record/hook"
)

func decode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example that Standard Webhooks and its reference implementations publish.
func TestSignaturesAreThoseOfTheSpecification(t *testing.T) {
	s := hook.Secret{HMAC: decode(t, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Seed: decode(t, "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=")}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= " +
		"v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
	got := Signatures([]hook.Secret{s}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if text := SecretText(s); text != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Errorf("the secret is %q", text)
	}
	if text := PublicText(s); text != "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=" {
		t.Errorf("the key is %q", text)
	}
}
