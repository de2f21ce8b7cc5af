package tink_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/clarity-loop/clarity/services/internal/crashtest"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
)

// asBefore makes a keyring of the releases before of one that has rotated nothing: the
// KEK wraps people's keys, and there are no shards.
func asBefore(t *testing.T, dir string, uids ...string) {
	t.Helper()
	clear, err := os.ReadFile(filepath.Join(dir, "kek.json"))
	if err != nil {
		t.Fatal(err)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(clear)))
	if err != nil {
		t.Fatal(err)
	}
	kek, err := aead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range uids {
		path := keyOf(t, dir, uid)
		data, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(data, []byte("CLK2\x00")) {
			t.Fatalf("%.8q, %v", data, err)
		}
		shardPath := filepath.Join(dir, "shards", filepath.Base(filepath.Dir(path))+".key")
		shardData, err := os.ReadFile(shardPath)
		if err != nil {
			t.Fatal(err)
		}
		use := "clarity.shard/" + filepath.Base(filepath.Dir(path))
		shard, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(shardData)), kek, []byte(use))
		if err != nil {
			t.Fatal(err)
		}
		by, err := aead.New(shard)
		if err != nil {
			t.Fatal(err)
		}
		person, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(data[5:])), by, []byte(uid))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := person.WriteWithAssociatedData(keyset.NewBinaryWriter(&b), kek, []byte(uid)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "shards")); err != nil {
		t.Fatal(err)
	}
}

func keyOf(t *testing.T, dir, uid string) string {
	t.Helper()
	name := hex.EncodeToString(hashOf(uid))
	return filepath.Join(dir, "people", name[:2], name+".key")
}

func rotate(t *testing.T, k *tink.Keyring) {
	t.Helper()
	if err := k.RotateKEK(t.Context()); err != nil {
		t.Fatal(err)
	}
	for cursor := ""; ; {
		p, err := k.Rewrap(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		if cursor = p.Cursor; cursor == "" {
			return
		}
	}
}

func counted(t *testing.T, k *tink.Keyring) keyring.Census {
	t.Helper()
	c, err := k.Census(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Keys of the releases before open, rotate, and are erased as all others.
func TestKeysOfTheReleasesBeforeRotate(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	k := open(t, dir)
	uids := []string{"anna", "bert", "cleo"}
	sealed := map[string][]byte{}
	for _, uid := range uids {
		c, err := k.Seal(ctx, uid, "n", []byte(uid))
		if err != nil {
			t.Fatal(err)
		}
		sealed[uid] = c
	}
	asBefore(t, dir, uids...)
	before := open(t, dir)
	opens := func(k *tink.Keyring, uids ...string) {
		t.Helper()
		for _, uid := range uids {
			if got, err := k.Open(ctx, uid, "n", sealed[uid]); err != nil || string(got) != uid {
				t.Errorf("%q, %v", got, err)
			}
		}
	}
	opens(before, "anna")
	rotate(t, open(t, dir))
	opens(before, uids...)
	opens(open(t, dir), uids...)
	if c := counted(t, before); c.KEKs != 1 || c.People != 3 {
		t.Errorf("%+v", c)
	}
	former := filepath.Join(dir, "shards", "before.key")
	if _, err := os.Stat(former); err != nil {
		t.Errorf("the key of before: %v", err)
	}
	if err := errors.Join(before.RotateData(ctx), before.Destroy(ctx, "cleo")); err != nil {
		t.Fatal(err)
	}
	for _, uid := range uids[:2] {
		if _, err := before.Seal(ctx, uid, "m", nil); err != nil {
			t.Fatal(err)
		}
	}
	opens(open(t, dir), uids[:2]...)
	if _, err := open(t, dir).Open(ctx, "cleo", "n", sealed["cleo"]); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("%v", err)
	}
	rotate(t, open(t, dir))
	if _, err := os.Stat(former); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key of before wraps nothing any more: %v", err)
	}
	opens(open(t, dir), uids[:2]...)
}

// An older KEK, from a copy, opens nothing that was wrapped since.
func TestAnOlderKEKIsOfNoUse(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	k := open(t, dir)
	if _, err := k.Seal(ctx, "anna", "n", nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kek.json")
	former, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rotate(t, k)
	if err := os.WriteFile(path, former, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).Seal(ctx, "anna", "n", nil); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("%v", err)
	}
}

// What a process that died has left of a key that it was replacing does not outlive
// the person.
func TestAKeyThatWasNeverPutInItsPlaceIsRemoved(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(t, dir).Seal(t.Context(), "anna", "n", nil); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(filepath.Dir(keyOf(t, dir, "anna")), ".new-123")
	if err := os.WriteFile(left, []byte("a wrapped key"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A process may die when the key that it made has its name, and still the other that
// it was written under: what it sealed opens, and what is destroyed is under both.
func TestAKeyThatWasJustPutInItsPlaceStays(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	k := open(t, dir)
	for _, uid := range []string{"anna", "bert"} {
		sealed, err := k.Seal(ctx, uid, "n", []byte(uid))
		if err != nil {
			t.Fatal(err)
		}
		path := keyOf(t, dir, uid)
		left := filepath.Join(filepath.Dir(path), ".new-123")
		if err := os.Link(path, left); err != nil {
			t.Fatal(err)
		}
		if uid == "bert" {
			if err := k.Destroy(ctx, uid); err != nil {
				t.Fatal(err)
			}
			if data, err := os.ReadFile(left); err != nil || len(bytes.Trim(data, "\x00")) > 0 {
				t.Errorf("a destroyed key is left under its other name: %d bytes, %v", len(data), err)
			}
			continue
		}
		if got, err := open(t, dir).Open(ctx, uid, "n", sealed); err != nil || string(got) != uid {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	}
}

// TestRotationChild rotates and seals until it is killed.
func TestRotationChild(t *testing.T) {
	dir, tell := crashtest.Child(t)
	ctx := context.Background()
	for i := range 3 {
		k := open(t, dir)
		go func() {
			for n := 0; ; n++ {
				uid := fmt.Sprint("person-", n%20)
				c, err := k.Seal(ctx, uid, "n", []byte(uid))
				if err != nil {
					tell("failed " + err.Error())
					return
				}
				tell(fmt.Sprintf("%s %x .", uid, c))
				time.Sleep(time.Millisecond)
			}
		}()
		go func() {
			if i > 0 {
				return
			}
			for k := open(t, dir); ; {
				if err := errors.Join(k.RotateData(ctx), k.RotateKEK(ctx)); err != nil {
					tell("failed " + err.Error())
					return
				}
				for cursor := ""; ; {
					p, err := k.Rewrap(ctx, cursor)
					if err != nil {
						tell("failed " + err.Error())
						return
					}
					if cursor = p.Cursor; cursor == "" {
						break
					}
				}
			}
		}()
	}
	time.Sleep(time.Minute)
}

// Whenever a process dies in a rotation, everything that was sealed opens, and the
// next goes on with it.
func TestNoKillInARotationLosesAKey(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	dir := t.TempDir()
	sealed := map[string][]string{}
	for round := range 8 {
		for _, line := range crashtest.Kill(t, "TestRotationChild", dir, 500*time.Millisecond) {
			fields := strings.Fields(line)
			if len(fields) > 0 && fields[0] == "failed" {
				t.Fatal(line)
			}
			if len(fields) == 3 && fields[2] == "." {
				sealed[fields[0]] = append(sealed[fields[0]], fields[1])
			}
		}
		k := open(t, dir)
		if c := counted(t, k); c.KEKs > 2 {
			t.Errorf("round %d: %+v", round, c)
		}
		if round%2 == 1 {
			rotate(t, k)
			if c := counted(t, k); c.KEKs != 1 || c.Older != 0 {
				t.Errorf("round %d: %+v", round, c)
			}
		}
		for uid, all := range sealed {
			for _, text := range all {
				c, err := hex.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := k.Open(t.Context(), uid, "n", c); err != nil || string(got) != uid {
					t.Fatalf("round %d: %q, %v", round, got, err)
				}
			}
		}
	}
}
