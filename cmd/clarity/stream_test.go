package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/internal/logtest"
)

var streamMB = flag.Int("stream.mb", 24, "size in MB of the export that TestUploadStreams uploads")

// TestUploadStreams uploads an export far larger than the memory it may take:
// the process that reads it stays under 100 MB however large the file is
// (-stream.mb=1024 shows it for a gigabyte).
func TestUploadStreams(t *testing.T) {
	file := filepath.Join(t.TempDir(), "export.xml")
	records := writeExport(t, file, *streamMB<<20)
	dir := t.TempDir()
	// The worker's part is not what is looked at here: messages may wait.
	startPlatform(t, dir, "--stages", "ingress", "--unlimited", "--log-level", "warn")
	began := time.Now()
	out := &logtest.Log{}
	cmd := exec.Command(binary(t), "upload", "--data", dir, file)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	rss := peakUntil(t, cmd.Process.Pid, ended, out)
	t.Logf("%d MB, %d records: %.1f s, %.0f MB at most", *streamMB, records, time.Since(began).Seconds(), rss)
	if rss >= 100 {
		t.Errorf("it took %.0f MB, want less than 100", rss)
	}
	if want := fmt.Sprintf("%s records read, %s accepted, 0 rejected", group(records+1), group(records)); !strings.Contains(out.String(), want) {
		t.Errorf("want %q in\n%s", want, out.String())
	}
}

// peakUntil is the most memory that the process had, by the kernel's own high
// water mark, read until it ended. (What wait4 tells is the parent's where the
// parent was larger.)
func peakUntil(t *testing.T, pid int, ended <-chan error, out *logtest.Log) float64 {
	t.Helper()
	peak := 0.0
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			return peak
		case <-time.After(10 * time.Millisecond):
		}
		if now, ok := memoryOf(pid, "VmHWM"); ok {
			peak = max(peak, now)
		}
	}
}

// writeExport makes an export of about size bytes and returns its records.
func writeExport(t *testing.T, path string, size int) int {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	put := func(format string, args ...any) int {
		n, err := fmt.Fprintf(w, format, args...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
	const layout = "2006-01-02 15:04:05 -0700"
	written := put("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<HealthData locale=\"en_DE\">\n <ExportDate value=\"2026-02-05 10:00:00 +0100\"/>\n")
	records := 0
	for ; written < size; records++ {
		when := at.Add(time.Duration(records) * 47 * time.Second)
		written += put(" <Record type=\"HKQuantityTypeIdentifierHeartRate\" sourceName=\"Someone’s Apple Watch\" sourceVersion=\"12.1\" device=\"&lt;&lt;HKDevice: 0x280&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch7,5, software:12.1&gt;\" unit=\"count/min\" creationDate=\"%s\" startDate=\"%s\" endDate=\"%s\" value=\"%d\"/>\n",
			when.Format(layout), when.Format(layout), when.Format(layout), 50+records%90)
	}
	put("</HealthData>\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return records
}
