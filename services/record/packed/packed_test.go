package packed_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/record/packed"
)

func TestPackedTextComesBack(t *testing.T) {
	for name, text := range map[string]string{
		"none":              "",
		"a short receipt":   `{"accepted":500}`,
		"just short":        strings.Repeat("x", 4<<10-1),
		"just long":         strings.Repeat("x", 4<<10),
		"as long as may be": strings.Repeat("clarity ", 2<<20),
	} {
		kept, err := json.Marshal(packed.Text(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(kept) > 40_000 {
			t.Errorf("%s: %d bytes are kept of %d", name, len(kept), len(text))
		}
		var back packed.Text
		if err := json.Unmarshal(kept, &back); err != nil || string(back) != text {
			t.Errorf("%s: %d bytes came back of %d, %v", name, len(back), len(text), err)
		}
	}
}

// The releases before kept every receipt as it was.
func TestPackedTextOfTheReleasesBefore(t *testing.T) {
	text := []byte(strings.Repeat(`{"accepted":500} `, 1000))
	var back packed.Text
	if err := json.Unmarshal(fmt.Appendf(nil, "%q", base64.StdEncoding.EncodeToString(text)), &back); err != nil || !bytes.Equal(back, text) {
		t.Errorf("%d bytes came back of %d, %v", len(back), len(text), err)
	}
}

func TestPackedTextThatIsDamaged(t *testing.T) {
	whole, err := json.Marshal(packed.Text(strings.Repeat("x", 10_000)))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := base64.StdEncoding.DecodeString(strings.Trim(string(whole), `"`))
	if err != nil {
		t.Fatal(err)
	}
	tooLong, err := json.Marshal(packed.Text(strings.Repeat("x", 16<<20+1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cut":              fmt.Sprintf("%q", base64.StdEncoding.EncodeToString(kept[:len(kept)-9])),
		"the mark alone":   fmt.Sprintf("%q", base64.StdEncoding.EncodeToString(kept[:2])),
		"no text":          "7",
		"longer than ours": string(tooLong),
	} {
		var back packed.Text
		if err := json.Unmarshal([]byte(text), &back); err == nil {
			t.Errorf("%s: %d bytes came back", name, len(back))
		}
	}
}
