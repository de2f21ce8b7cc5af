package appleexport

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/health/formats/record"
)

// A generated is an export of a given size that is made while it is read.
type generated struct {
	size, sent int64
	rest       []byte
	n          int
}

func newGenerated(size int64) *generated {
	return &generated{size: size, rest: []byte(dtd + `<HealthData locale="en_DE">` + "\n")}
}

func (g *generated) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		switch {
		case g.sent >= g.size && g.n >= 0:
			g.rest, g.n = []byte("</HealthData>\n"), -1
		case g.n < 0:
			return 0, io.EOF
		default:
			for len(g.rest) < 32<<10 {
				g.rest = g.record(g.rest)
			}
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	g.sent += int64(n)
	return n, nil
}

// record adds what a watch writes: heart rates mostly, sleep and workouts.
func (g *generated) record(b []byte) []byte {
	g.n++
	at := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(g.n) * 90 * time.Second)
	start, end := at.Format("2006-01-02 15:04:05 -0700"), at.Add(time.Minute).Format("2006-01-02 15:04:05 -0700")
	switch {
	case g.n%2000 == 0:
		b = fmt.Appendf(b, ` <Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="%d" durationUnit="min" %s creationDate="%s" startDate="%s" endDate="%s">
  <MetadataEntry key="HKIndoorWorkout" value="0"/>
  <WorkoutStatistics type="HKQuantityTypeIdentifierDistanceWalkingRunning" sum="5.1" unit="km"/>
  <WorkoutRoute %s creationDate="%s" startDate="%s" endDate="%s"><FileReference path="/workout-routes/route_%d.gpx"/></WorkoutRoute>
 </Workout>
`, g.n%60, watch, end, start, end, watch, end, start, end, g.n)
	case g.n%50 == 0:
		b = fmt.Appendf(b, ` <Record type="HKCategoryTypeIdentifierSleepAnalysis" %s creationDate="%s" startDate="%s" endDate="%s" value="HKCategoryValueSleepAnalysisAsleepCore">
  <MetadataEntry key="HKTimeZone" value="Europe/Berlin"/>
 </Record>
`, watch, end, start, end)
	case g.n%3 == 0:
		b = fmt.Appendf(b, ` <Record type="HKQuantityTypeIdentifierStepCount" %s unit="count" creationDate="%s" startDate="%s" endDate="%s" value="%d"/>`+"\n", watch, end, start, end, g.n%200)
	default:
		b = fmt.Appendf(b, ` <Record type="HKQuantityTypeIdentifierHeartRate" %s unit="count/min" creationDate="%s" startDate="%s" endDate="%s" value="%d">
  <MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="%d"/>
 </Record>
`, watch, end, start, start, 50+g.n%90, g.n%3)
	}
	return b
}

// heapPeak is the largest heap in use while work runs, above what was in use
// before.
func heapPeak(t *testing.T, work func(sample func())) uint64 {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, peak := m.HeapInuse, uint64(0)
	work(func() {
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
	})
	if peak < before {
		return 0
	}
	return peak - before
}

// An export of any size takes a few megabytes: CLARITY_EXPORT_MIB=1024 makes
// it a gigabyte.
func TestMemoryDoesNotGrowWithTheExport(t *testing.T) {
	mib := int64(24)
	if s := os.Getenv("CLARITY_EXPORT_MIB"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		mib = n
	}
	file := newGenerated(mib << 20)
	accepted, other := 0, 0
	began := time.Now()
	peak := heapPeak(t, func(sample func()) {
		for r, err := range XML(file, record.Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict == record.Accepted {
				accepted++
			} else {
				other++
			}
			if accepted%20_000 == 0 {
				sample()
			}
		}
	})
	seconds := time.Since(began).Seconds()
	t.Logf("%d MiB, %d samples in %.1f s with the making of it (%.0f MiB/s); the heap grew by %.1f MiB at most",
		mib, accepted, seconds, float64(mib)/seconds, float64(peak)/(1<<20))
	if other > 0 || accepted < int(mib)*2000 {
		t.Errorf("%d accepted, %d not", accepted, other)
	}
	if peak > 32<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
}

// A zip streams too: through a pipe into a file, since a zip is read from its end.
func TestMemoryDoesNotGrowWithTheZip(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "export*.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := zip.NewWriter(file)
	entry, err := w.Create("apple_health_export/export.xml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(entry, newGenerated(16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	peak := heapPeak(t, func(sample func()) {
		for r, err := range Zip(file, size, record.Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict == record.Accepted {
				accepted++
			}
			if accepted%10_000 == 0 {
				sample()
			}
		}
	})
	if accepted < 30_000 || peak > 32<<20 {
		t.Errorf("%d samples, the heap grew by %d MiB", accepted, peak>>20)
	}
}

// What is hostile is refused before it takes memory.
func TestMemoryStaysFlatUnderHostileFiles(t *testing.T) {
	for name, file := range map[string]io.Reader{
		"an attribute without end": io.MultiReader(strings.NewReader(`<HealthData a="`), endless('x')),
		"a name without end":       io.MultiReader(strings.NewReader(`<`), endless('x')),
		"a document type":          io.MultiReader(strings.NewReader(`<!DOCTYPE HealthData [`), endless(' ')),
		"an instruction":           io.MultiReader(strings.NewReader(`<?x `), endless(' ')),
		"levels without end":       endlessText(`<HealthData>`),
	} {
		t.Run(name, func(t *testing.T) {
			peak := heapPeak(t, func(sample func()) {
				var err error
				for _, err = range XML(file, record.Options{}) {
					sample()
				}
				if err == nil {
					t.Error("no error")
				}
			})
			if peak > 4<<20 {
				t.Errorf("the heap grew by %d KiB", peak>>10)
			}
		})
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

type endlessText string

func (e endlessText) Read(p []byte) (int, error) { return copy(p, e), nil }

func BenchmarkXML(b *testing.B) {
	var file strings.Builder
	if _, err := io.Copy(&file, newGenerated(8<<20)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range XML(strings.NewReader(file.String()), record.Options{}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
