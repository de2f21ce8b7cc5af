package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats"
	"github.com/clarity-loop/clarity/services/health/formats/clarityexport"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// A source is an opened file, gunzipped if it was gzipped.
type source struct {
	file *os.File
	name string
	size int64
	temp bool // the file is a gunzipped copy of ours
}

func openSource(name string) (*source, error) {
	f, err := os.Open(name) //nolint:gosec // the file the command line names
	if err != nil {
		return nil, plainPathError(err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory, not a file")
	}
	if err != nil {
		return nil, errors.Join(plainPathError(err), f.Close())
	}
	s := &source{file: f, name: name, size: info.Size()}
	if !bytes.HasPrefix(s.head(2), []byte{0x1f, 0x8b}) {
		return s, nil
	}
	unpacked, err := gunzip(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gunzip it: %w", err), f.Close())
	}
	return unpacked, f.Close()
}

// gunzip copies to a file beside the temporary ones: formats are read from
// anywhere in a file, which a stream does not allow.
func gunzip(f *os.File) (*source, error) {
	zr, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	out, err := os.CreateTemp("", "clarity-gunzip-")
	if err != nil {
		return nil, err
	}
	s := &source{file: out, name: f.Name(), temp: true}
	if s.size, err = io.Copy(out, zr); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close lets go of the file.
func (s *source) Close() error {
	err := s.file.Close()
	if s.temp {
		err = errors.Join(err, os.Remove(s.file.Name()))
	}
	return err
}

// head is at most the first n bytes.
func (s *source) head(n int) []byte {
	b := make([]byte, n)
	n, err := s.file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return b[:n]
}

// isExport tells XML, JSON and zip from a device's text file.
func (s *source) isExport() bool {
	head := bytes.TrimPrefix(s.head(512), []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(head, []byte("PK")) {
		return true
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) > 0 && (head[0] == '<' || head[0] == '{' || head[0] == '[')
}

// isOwnExport says whether the platform wrote it.
func (s *source) isOwnExport() bool { return clarityexport.Is(s.head(512)) }

// isEnvelope says whether it is an upload as a phone makes it.
func (s *source) isEnvelope() bool {
	head := s.head(64 << 10)
	if !bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) {
		return false
	}
	return bytes.Contains(head, []byte(`"`+upload.Schema+`"`)) || bytes.Contains(head, []byte(`"`+series.Schema+`"`))
}

// envelope is the whole body of an upload.
func (s *source) envelope() ([]byte, error) {
	if s.size > upload.MaxBodyBytes {
		return nil, fmt.Errorf("an upload has at most %d MiB", upload.MaxBodyBytes>>20)
	}
	return io.ReadAll(io.NewSectionReader(s.file, 0, s.size))
}

// records calls visit with the verdict on each record. read is told of the
// bytes read, and may be nil.
func (s *source) records(zone string, read func(n int), visit func(formats.Record) error) error {
	var file io.ReaderAt = s.file
	if read != nil {
		file = countingFile{s.file, read}
	}
	reader, err := formats.Open(file, s.size, s.name, formats.Options{DefaultZone: zone})
	if err != nil {
		return err
	}
	for r, err := range reader.Records() {
		if err != nil {
			return err
		}
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

// samples calls visit with each accepted sample, and returns what an envelope
// deletes.
func (s *source) samples(zone string, now health.Instant, visit func(*health.Sample) error) ([]upload.Deletion, error) {
	if !s.isEnvelope() {
		var deleted []upload.Deletion
		err := s.records(zone, nil, func(r formats.Record) error {
			switch r.Verdict {
			case formats.Accepted:
				return visit(&r.Sample)
			case formats.Deleted:
				deleted = append(deleted, upload.Deletion{UUID: r.Sample.UUID, Type: r.Sample.Type})
			}
			return nil
		})
		return deleted, err
	}
	body, err := s.envelope()
	if err != nil {
		return nil, err
	}
	var failed error
	env, err := upload.Decode(body, now, func(sample *health.Sample) {
		if failed == nil {
			failed = visit(sample)
		}
	})
	if err != nil {
		return nil, err
	}
	return env.Deleted, failed
}

// countingFile tells how much is read.
type countingFile struct {
	file io.ReaderAt
	add  func(n int)
}

func (c countingFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.file.ReadAt(b, off)
	c.add(n)
	return n, err
}
