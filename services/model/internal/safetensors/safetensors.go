// Package safetensors reads and writes the safetensors format: a length, a JSON
// header, and the tensors' bytes. It knows float32 only. What it reads may be
// hostile: nothing is allocated by what a header claims, only by what is there.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// The bounds of what is read.
const (
	maxHeader  = 1 << 20
	maxTensors = 4096
	maxDims    = 8
)

// A Tensor is one array, row-major.
type Tensor struct {
	Dims []int
	Data []float32
}

// A File is tensors by name, and text about them.
type File struct {
	Tensors  map[string]Tensor
	Metadata map[string]string
}

// entry is a tensor in the header.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Read parses a file. The tensors must cover the data without gap or overlap.
func Read(data []byte) (File, error) {
	if len(data) < 8 {
		return File{}, errors.New("safetensors: shorter than its header's length")
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader || n > uint64(len(data)-8) {
		return File{}, fmt.Errorf("safetensors: header of %d bytes in a file of %d", n, len(data))
	}
	entries, meta, err := header(data[8 : 8+n])
	if err != nil {
		return File{}, err
	}
	body := data[8+n:]
	f := File{Tensors: make(map[string]Tensor, len(entries)), Metadata: meta}
	names := slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		return int(min(max(entries[a].Offsets[0]-entries[b].Offsets[0], -1), 1))
	})
	end := int64(0)
	for _, name := range names {
		e := entries[name]
		t, err := e.tensor(body, end)
		if err != nil {
			return File{}, fmt.Errorf("safetensors: tensor %.80q: %w", name, err)
		}
		f.Tensors[name], end = t, e.Offsets[1]
	}
	if end != int64(len(body)) {
		return File{}, fmt.Errorf("safetensors: %d bytes of data, but the tensors have %d", len(body), end)
	}
	return f, nil
}

func header(raw []byte) (map[string]entry, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("safetensors: the header is no JSON object")
	}
	entries, meta := map[string]entry{}, map[string]string(nil)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, nil, errors.New("safetensors: the header is not valid JSON")
		}
		if _, twice := entries[name]; twice || name == "__metadata__" && meta != nil {
			return nil, nil, fmt.Errorf("safetensors: %.80q stands twice in the header", name)
		}
		if name == "__metadata__" {
			if err := dec.Decode(&meta); err != nil || meta == nil {
				return nil, nil, errors.New("safetensors: the metadata is no table of strings")
			}
			continue
		}
		var e entry
		if err := dec.Decode(&e); err != nil {
			return nil, nil, fmt.Errorf("safetensors: the entry of %.80q is not a tensor's", name)
		}
		if entries[name] = e; len(entries) > maxTensors {
			return nil, nil, fmt.Errorf("safetensors: more than %d tensors", maxTensors)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, errors.New("safetensors: the header ends too early")
	}
	if rest, err := io.ReadAll(io.MultiReader(dec.Buffered())); err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, errors.New("safetensors: something follows the header's object")
	}
	return entries, meta, nil
}

func (e entry) tensor(body []byte, from int64) (Tensor, error) {
	if e.DType != "F32" {
		return Tensor{}, fmt.Errorf("type %.10q: only F32 is read", e.DType)
	}
	if len(e.Shape) > maxDims {
		return Tensor{}, fmt.Errorf("%d dimensions", len(e.Shape))
	}
	size := int64(1)
	dims := make([]int, len(e.Shape))
	for i, d := range e.Shape {
		if d < 0 || d > int64(len(body)) || size*d > int64(len(body)) {
			return Tensor{}, fmt.Errorf("shape %v is larger than the file", e.Shape)
		}
		size *= d
		dims[i] = int(d)
	}
	first, end := e.Offsets[0], e.Offsets[1]
	if first != from || end < first || end > int64(len(body)) || end-first != 4*size {
		return Tensor{}, fmt.Errorf("bytes %d to %d of %d for %d values from %d", first, end, len(body), size, from)
	}
	data := make([]float32, size)
	for i := range data {
		data[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[first+4*int64(i):]))
	}
	return Tensor{dims, data}, nil
}

// Write lays a file out: tensors in the order of their names, the header padded
// to eight bytes. The same file gives the same bytes.
func Write(f File) ([]byte, error) {
	head := map[string]any{}
	if len(f.Metadata) > 0 {
		head["__metadata__"] = f.Metadata
	}
	names, end := slices.Sorted(maps.Keys(f.Tensors)), int64(0)
	for _, name := range names {
		t := f.Tensors[name]
		e := entry{DType: "F32", Offsets: [2]int64{end, end + 4*int64(len(t.Data))}}
		size := 1
		for _, d := range t.Dims {
			e.Shape = append(e.Shape, int64(d))
			size *= d
		}
		if size != len(t.Data) {
			return nil, fmt.Errorf("safetensors: tensor %q of shape %v has %d values", name, t.Dims, len(t.Data))
		}
		head[name], end = e, e.Offsets[1]
	}
	raw, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("safetensors: encode the header: %w", err)
	}
	raw = append(raw, bytes.Repeat([]byte{' '}, (8-len(raw)%8)%8)...)
	out := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(raw)+int(end)), uint64(len(raw)))
	out = append(out, raw...)
	for _, name := range names {
		for _, v := range f.Tensors[name].Data {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return out, nil
}
