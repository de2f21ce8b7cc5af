package record_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/record"
)

func TestPackedTextComesBack(t *testing.T) {
	for name, text := range map[string]string{
		"none":              "",
		"a short receipt":   `{"accepted":500}`,
		"just short":        strings.Repeat("x", 4<<10-1),
		"just long":         strings.Repeat("x", 4<<10),
		"as long as may be": strings.Repeat("clarity ", 2<<20),
	} {
		kept, err := json.Marshal(record.Upload{Receipt: record.Packed(text)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(kept) > 40_000 {
			t.Errorf("%s: %d bytes are kept of %d", name, len(kept), len(text))
		}
		var back record.Upload
		if err := json.Unmarshal(kept, &back); err != nil || string(back.Receipt) != text {
			t.Errorf("%s: %d bytes came back of %d, %v", name, len(back.Receipt), len(text), err)
		}
	}
}

// The releases before kept every receipt as it was.
func TestPackedTextOfTheReleasesBefore(t *testing.T) {
	text := []byte(strings.Repeat(`{"accepted":500} `, 1000))
	var back record.Packed
	if err := json.Unmarshal(fmt.Appendf(nil, "%q", base64.StdEncoding.EncodeToString(text)), &back); err != nil || !bytes.Equal(back, text) {
		t.Errorf("%d bytes came back of %d, %v", len(back), len(text), err)
	}
}

func TestPackedTextThatIsDamaged(t *testing.T) {
	whole, err := json.Marshal(record.Packed(strings.Repeat("x", 10_000)))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := base64.StdEncoding.DecodeString(strings.Trim(string(whole), `"`))
	if err != nil {
		t.Fatal(err)
	}
	tooLong, err := json.Marshal(record.Packed(strings.Repeat("x", 16<<20+1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, kept := range map[string]string{
		"cut":              fmt.Sprintf("%q", base64.StdEncoding.EncodeToString(packed[:len(packed)-9])),
		"the mark alone":   fmt.Sprintf("%q", base64.StdEncoding.EncodeToString(packed[:2])),
		"no text":          "7",
		"longer than ours": string(tooLong),
	} {
		var back record.Packed
		if err := json.Unmarshal([]byte(kept), &back); err == nil {
			t.Errorf("%s: %d bytes came back", name, len(back))
		}
	}
}
