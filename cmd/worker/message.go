package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
)

// defaultMessagePath is where the kubelet reads a container's last words.
const defaultMessagePath = "/dev/termination-log"

// messageVariable is the environment's name of another place for them.
const messageVariable = "CLARITY_TERMINATION_LOG"

// maxSentence bounds the sentence of a message, so that the whole fits.
const maxSentence = 1024

// leave writes the message as one line of JSON: to standard output, and to the
// file that the kubelet reads, where there is one. CLARITY_TERMINATION_LOG names
// another file, which is made.
func (c *call) leave(message any) error {
	raw, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode the termination message: %w", err)
	}
	if len(raw) > termination.MaxMessage {
		return fmt.Errorf("a termination message of %d bytes, at most %d", len(raw), termination.MaxMessage)
	}
	if _, err := c.stdout.Write(append(raw, '\n')); err != nil {
		c.log.Warn("standard output is closed", "err", err)
	}
	path, mode := c.getenv(messageVariable), os.O_WRONLY|os.O_TRUNC|os.O_CREATE
	if path == "" {
		path, mode = defaultMessagePath, os.O_WRONLY|os.O_TRUNC
	}
	f, err := os.OpenFile(path, mode, 0o600)
	if errors.Is(err, fs.ErrNotExist) && path == defaultMessagePath {
		return nil // not in a pod
	}
	if err != nil && path != defaultMessagePath {
		return &exitError{code: worker.ExitConfiguration, err: fmt.Errorf("%s names no file that can be written: %w", messageVariable, err)}
	}
	if err != nil {
		return fmt.Errorf("leave the termination message: %w", err)
	}
	_, err = f.Write(raw)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("leave the termination message: %w", err)
	}
	return nil
}

// sentence is an error's text as it fits a message: one line without control
// characters, bounded.
func sentence(err error) string {
	s := strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= maxSentence {
		return s
	}
	s = s[:maxSentence]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
