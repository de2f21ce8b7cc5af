package safetensors

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() File {
	return File{
		Tensors: map[string]Tensor{
			"a": {[]int{2, 3}, []float32{1, 2, 3, 4, 5, 6}}, "b": {[]int{}, []float32{7}}, "c": {[]int{0, 4}, []float32{}},
		},
		Metadata: map[string]string{"model": "PAT-S"},
	}
}

func TestRoundTrip(t *testing.T) {
	raw, err := Write(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("after writing and reading (-want +got):\n%s", diff)
	}
}

func file(header string, body int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), make([]byte, body)...)
}

func TestReadRefuses(t *testing.T) {
	tests := map[string]struct {
		data []byte
		want string
	}{
		"nothing":                       {nil, "shorter"},
		"a header larger than the file": {binary.LittleEndian.AppendUint64(nil, 1<<40), "header of"},
		"no JSON":                       {file("hello", 0), "no JSON object"},
		"a header that is cut":          {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`, 4), "ends too early"},
		"something after the header":    {file(`{} x`, 0), "follows"},
		"half floats":                   {file(`{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}`, 2), "only F32"},
		"a tensor larger than the file": {file(`{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}`, 4), "larger than"},
		"dimensions that overflow":      {file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0), "larger than"},
		"a negative dimension":          {file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4), "larger than"},
		"a shape and bytes that differ": {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4), "2 values"},
		"tensors that overlap":          {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "from 8"},
		"a hole between tensors":        {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "from 0"},
		"bytes after the tensors":       {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 9), "9 bytes of data"},
		"a name twice":                  {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "twice"},
		"nine dimensions":               {file(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 4), "9 dimensions"},
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
	raw, err := Write(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-3])
	f.Add(file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Read(data)
		if err != nil {
			return
		}
		total := 0
		for name, tensor := range got.Tensors {
			size := 1
			for _, d := range tensor.Dims {
				size *= d
			}
			if size != len(tensor.Data) {
				t.Errorf("tensor %q of %v has %d values", name, tensor.Dims, len(tensor.Data))
			}
			total += 4 * size
		}
		if total > len(data) {
			t.Errorf("%d bytes of tensors out of %d", total, len(data))
		}
	})
}
