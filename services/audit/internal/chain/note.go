package chain

import (
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// Sign is a note of the text, signed.
func Sign(text string, signer note.Signer) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return signed, nil
}

// OpenNote is the text of a note that has one signature, the verifier's, in its one form.
func OpenNote(signed []byte, verifier note.Verifier) (text string, err error) {
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return "", errors.New("not one signature")
	}
	// Base64 has bits to spare; note does not mind what they are.
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return "", errors.New("signature is not in its one form")
	}
	return n.Text, nil
}
