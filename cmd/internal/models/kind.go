package models

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"
)

// What a file can be told to be by its first bytes.
const (
	kindTar         = "a tar file"
	kindHDF5        = "Keras HDF5"
	kindSafetensors = "safetensors"
)

// headSize is how much of a file says what it is: a tar's first header.
const headSize = 512

// headOf is the beginning of a plain file.
func headOf(path string) (head []byte, err error) {
	info, err := os.Stat(path) // before opening: a pipe would wait for its writer
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, syscall.EISDIR
	case !info.Mode().IsRegular():
		return nil, errors.New(path + " is not a plain file")
	}
	f, err := os.Open(path) //nolint:gosec // the file that the command line names
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, headSize))
}

// kindOf says what a file is that begins so; "" where nothing tells.
func kindOf(head []byte) string {
	begins := func(with string) bool { return bytes.HasPrefix(head, []byte(with)) }
	switch {
	case len(head) == 0:
		return "an empty file"
	case begins("\x89HDF\r\n\x1a\n"):
		return kindHDF5
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return kindTar
	case begins("PK\x03\x04"), begins("PK\x05\x06"):
		return "a zip file, as PyTorch and Keras 3 (.keras) write"
	case begins("\x1f\x8b"):
		return "gzipped"
	case begins("\x80\x02"), begins("\x80\x03"), begins("\x80\x04"), begins("\x80\x05"):
		return "a Python pickle"
	case begins("\x93NUMPY"):
		return "a NumPy array"
	case begins("GGUF"):
		return "GGUF"
	case len(head) > 8 && string(head[4:8]) == "TFL3":
		return "TensorFlow Lite"
	case isSafetensors(head):
		return kindSafetensors
	case isONNX(head):
		return "an ONNX model"
	}
	return ""
}

// isSafetensors says whether a file may be one: the length of a header of JSON,
// and its beginning.
func isSafetensors(head []byte) bool {
	const most = 100 << 20
	return len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= most
}

// isONNX says whether a file may be one: a protocol buffer whose first field is
// the version of the format, a small number, and whose next is one of the few
// that may follow.
func isONNX(head []byte) bool {
	const irVersion, producerName, opsetImport, graph = 0x08, 0x12, 0x42, 0x3a
	return len(head) > 2 && head[0] == irVersion && head[1] < 64 && bytes.IndexByte([]byte{producerName, opsetImport, graph}, head[2]) >= 0
}
