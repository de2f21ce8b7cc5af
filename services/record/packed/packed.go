// Package packed is text that is compressed where it is kept.
package packed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

const (
	packedFrom = 4 << 10 // less is kept as it is
	// mostUnpacked is more than the largest receipt: ten thousand rejections are
	// two megabytes.
	mostUnpacked = 16 << 20
)

// Text may be long and say the same over and over. In a document it is
// compressed; text of a few kilobytes, and of the releases before, is not.
type Text []byte

// MarshalJSON is the text, compressed where it is long, as a string of base64.
func (p Text) MarshalJSON() ([]byte, error) {
	if len(p) < packedFrom {
		return json.Marshal([]byte(p))
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(p); err != nil {
		return nil, fmt.Errorf("pack text: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack text: %w", err)
	}
	return json.Marshal(b.Bytes())
}

// UnmarshalJSON is the text again, however it was kept.
func (p *Text) UnmarshalJSON(data []byte) error {
	var kept []byte
	if err := json.Unmarshal(data, &kept); err != nil {
		return err
	}
	*p = kept
	if !bytes.HasPrefix(kept, []byte{0x1f, 0x8b}) { // gzip's mark, which no JSON begins with
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(kept))
	if err != nil {
		return fmt.Errorf("unpack text: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, mostUnpacked+1))
	if err != nil {
		return fmt.Errorf("unpack text: %w", err)
	}
	if len(text) > mostUnpacked {
		return errors.New("unpack text: it is longer than any that was packed")
	}
	*p = text
	return nil
}
