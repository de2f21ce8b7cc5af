package file

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/clarity-loop/clarity/internal/durable"
)

// origin names the log in its checkpoints.
const origin = "clarity-audit"

type keys struct {
	MAC      []byte `json:"mac"`
	Signer   string `json:"signer"`
	Verifier string `json:"verifier"`
}

// openKeys reads the log's keys, making them at first.
func openKeys(dir string) (k keys, signer note.Signer, err error) {
	k, err = readKeys(dir)
	if errors.Is(err, fs.ErrNotExist) {
		k, err = makeKeys(dir)
	}
	if err != nil {
		return k, nil, err
	}
	signer, err = k.signer()
	return k, signer, err
}

func (k keys) signer() (note.Signer, error) {
	signer, err := note.NewSigner(k.Signer)
	if err != nil {
		return nil, errors.New("read keys.json: not a signing key")
	}
	return signer, nil
}

// Identity is the name by which checkpoints of the log in dir are signed, another of
// every log; "" where there is none.
func Identity(dir string) (string, error) {
	k, err := readKeys(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at the audit log: %w", err)
	}
	return k.Verifier, nil
}

func readKeys(dir string) (k keys, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "keys.json")) //nolint:gosec // a file of the log's directory
	if err != nil {
		return k, fmt.Errorf("read keys.json: %w", err)
	}
	if err := json.Unmarshal(data, &k); err != nil || len(k.MAC) < 16 {
		return k, errors.New("read keys.json: not the log's keys")
	}
	return k, nil
}

func makeKeys(dir string) (k keys, err error) {
	if info, err := os.Stat(filepath.Join(dir, "log.jsonl")); err == nil && info.Size() > 0 {
		return k, errors.New("keys.json is missing beside a log: restore it from where the log came from")
	}
	k.MAC = make([]byte, 32)
	if _, err := rand.Read(k.MAC); err != nil {
		return k, fmt.Errorf("make keys: %w", err)
	}
	if k.Signer, k.Verifier, err = note.GenerateKey(rand.Reader, origin); err != nil {
		return k, fmt.Errorf("make keys: %w", err)
	}
	data, err := json.Marshal(k)
	if err != nil {
		return k, fmt.Errorf("make keys: %w", err)
	}
	if err := durable.Replace(filepath.Join(dir, "verifier"), []byte(k.Verifier+"\n"), 0o644); err != nil {
		return k, err
	}
	return k, durable.Create(filepath.Join(dir, "keys.json"), data, 0o600)
}
