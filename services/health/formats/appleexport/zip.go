package appleexport

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strings"

	"github.com/clarity-loop/clarity/services/health/formats/record"
)

// The bounds of an archive.
const (
	maxDirectory = 64 << 20 // bytes of the archive's list of files
	maxInflated  = 64 << 30 // bytes of export.xml
	maxRatio     = 200      // inflated to compressed, as for an upload
	ratioGrace   = 1 << 20  // bytes that may inflate at any ratio
)

// Zip reads the records of the export.xml within an export.zip, then skips
// each other file by name. The archive's export may have the localized name
// that Apple gives it; it is known by its root element.
func Zip(r io.ReaderAt, size int64, o record.Options) iter.Seq2[record.Record, error] {
	return func(yield func(record.Record, error) bool) {
		if err := readZip(r, size, o, yield); err != nil && !errors.Is(err, errStopped) {
			yield(record.Record{}, err)
		}
	}
}

func readZip(r io.ReaderAt, size int64, o record.Options, yield func(record.Record, error) bool) error {
	directory := &budget{ReaderAt: r, left: maxDirectory}
	archive, err := zip.NewReader(directory, size)
	if directory.left < 0 {
		return fmt.Errorf("open export.zip: its list of files is longer than %d bytes", maxDirectory)
	}
	if err != nil {
		return fmt.Errorf("open export.zip: %w", err)
	}
	directory.unbounded = true // from here on the files themselves are read, streaming
	export, err := findExport(archive)
	if err != nil {
		return err
	}
	body, err := export.Open()
	if err != nil {
		return fmt.Errorf("open %s in export.zip: %w", path.Base(export.Name), err)
	}
	defer body.Close()
	inflated := &inflation{r: body, compressed: int64(export.CompressedSize64)}
	if err := readXML(inflated, path.Base(export.Name), o, yield); err != nil {
		return err
	}
	for _, f := range archive.File {
		if f == export || strings.HasSuffix(f.Name, "/") {
			continue
		}
		if !yield(record.Skip(record.Place{Entry: shown(f.Name)}, record.CodeAttachment, attachment(f.Name)), nil) {
			return errStopped
		}
	}
	return nil
}

// findExport picks the file whose beginning names HealthData; a file called
// export.xml is looked at first.
func findExport(archive *zip.Reader) (*zip.File, error) {
	var candidates []*zip.File
	for _, f := range archive.File {
		if strings.HasPrefix(f.Name, "__MACOSX/") || strings.HasPrefix(path.Base(f.Name), "._") || !strings.HasSuffix(strings.ToLower(f.Name), ".xml") {
			continue
		}
		if strings.EqualFold(path.Base(f.Name), "export.xml") {
			candidates = append([]*zip.File{f}, candidates...)
		} else if len(candidates) < 16 {
			candidates = append(candidates, f)
		}
	}
	for _, f := range candidates {
		body, err := f.Open()
		if err != nil {
			continue
		}
		head := make([]byte, 16<<10)
		n, _ := io.ReadFull(body, head)
		_ = body.Close() // only looked at
		if bytes.Contains(head[:n], []byte("HealthData")) {
			return f, nil
		}
	}
	return nil, errors.New("read export.zip: no file in it is an Apple Health export")
}

func attachment(name string) string {
	switch {
	case strings.HasSuffix(name, ".gpx"):
		return "a workout's track; the workout itself is read"
	case strings.Contains(name, "electrocardiograms/"):
		return "an electrocardiogram's voltages"
	case strings.Contains(name, "clinical-records/"):
		return "a clinical document; its record is read"
	case strings.HasSuffix(name, "_cda.xml"):
		return "the same records as a clinical document"
	}
	return "a file that holds no records"
}

// shown is the last element of a name in the archive, made safe to print.
func shown(name string) string {
	base := path.Base(name)
	base = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, base)
	return base[:min(len(base), 120)]
}

// budget bounds what zip.NewReader reads, and so what it keeps.
type budget struct {
	io.ReaderAt
	left      int64
	unbounded bool
}

func (b *budget) ReadAt(p []byte, off int64) (int, error) {
	if !b.unbounded {
		if b.left -= int64(len(p)); b.left < 0 {
			return 0, errors.New("the list of files is too long")
		}
	}
	return b.ReaderAt.ReadAt(p, off)
}

// inflation bounds what inflates out of the archive.
type inflation struct {
	r                    io.Reader
	compressed, inflated int64
}

func (i *inflation) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.inflated += int64(n)
	if i.inflated > maxInflated || i.inflated > ratioGrace && i.inflated/maxRatio > i.compressed {
		return 0, fmt.Errorf("read export.zip: export.xml inflates more than %d-fold, which no export does", maxRatio)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("inflate export.xml: %w", err)
	}
	return n, err
}
