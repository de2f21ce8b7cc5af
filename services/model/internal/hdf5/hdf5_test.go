package hdf5

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func load(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The files in testdata were written by h5py 3.
func TestRead(t *testing.T) {
	got, err := Read(load(t, "plain.h5"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Dataset{
		"dense/dense/kernel:0": {[]int{2, 3}, []float32{0, .25, .5, .75, 1, 1.25}},
		"dense/dense/bias:0":   {[]int{3}, []float32{1.5, -2, 3.25}},
		"scalar":               {[]int{}, []float32{7}},
		"compact":              {[]int{2}, []float32{8, 9}},
	}
	for i := range 20 { // more than one symbol node
		want["many/m"+string(rune('0'+i/10))+string(rune('0'+i%10))] = Dataset{[]int{2}, []float32{float32(i), float32(i)}}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("datasets (-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	plain := load(t, "plain.h5")
	cut := func(n int) []byte { return plain[:n] }
	lie := func(old, new []byte) []byte {
		out := strings.Replace(string(plain), string(old), string(new), 1)
		if out == string(plain) {
			t.Fatal("nothing to spoil")
		}
		return []byte(out)
	}
	u64 := func(v ...uint64) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, x)
		}
		return b
	}
	tests := map[string]struct {
		data []byte
		want string
	}{
		"nothing":                      {nil, "not an HDF5 file"},
		"text":                         {[]byte(strings.Repeat("hello ", 40)), "not an HDF5 file"},
		"a file cut in its first half": {cut(len(plain) / 2), "beyond the file"},
		"the newer layout":             {load(t, "latest.h5"), "superblock version"},
		"chunks":                       {load(t, "chunked.h5"), "in one piece"},
		"compression":                  {load(t, "gzip.h5"), "filtered"},
		"big-endian floats":            {load(t, "bigendian.h5"), "float type"},
		"half floats":                  {load(t, "half.h5"), "float type"},
		"a group that holds itself":    {load(t, "cycle.h5"), "reached twice"},
		"dimensions that lie":          {lie(u64(2, 3), u64(1<<32, 1<<32)), "larger than the file"},
		"dimensions of other content":  {lie(u64(2, 3), u64(2, 4)), "stored for"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.h5")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		f.Add(load(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Read(data)
		if err != nil {
			return
		}
		total := 0
		for _, set := range got {
			total += 4 * len(set.Data)
		}
		if total > len(data) {
			t.Errorf("%d bytes of arrays out of a file of %d", total, len(data))
		}
	})
}
