// Package hdf5 reads the part of HDF5 that Keras writes weights in: superblock
// version 0, groups as symbol tables, and datasets of IEEE floats stored in one
// piece (HDF5 File Format Specification 3.0, sections III and IV). Everything
// else is refused by name, or passed over where it is no array of floats.
//
// What it reads may be hostile: every address is checked against the file,
// structures are visited once, and the arrays read are together no larger than
// the file.
package hdf5

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The bounds of what is read.
const (
	maxObjects = 4096
	maxDepth   = 16
	maxName    = 255
	maxDims    = 8
)

// A Dataset is an array, row-major; 64-bit floats are rounded.
type Dataset struct {
	Dims []int
	Data []float32
}

// Read returns the file's float datasets by path, without a leading slash.
func Read(data []byte) (map[string]Dataset, error) {
	f := &file{data: data, seen: map[uint64]bool{}, found: map[string]Dataset{}, left: uint64(len(data))}
	root, err := f.superblock()
	if err != nil {
		return nil, fmt.Errorf("hdf5: %w", err)
	}
	if err := f.object(root, "", 0); err != nil {
		return nil, fmt.Errorf("hdf5: %w", err)
	}
	return f.found, nil
}

type file struct {
	data  []byte
	seen  map[uint64]bool
	found map[string]Dataset
	left  uint64 // bytes of arrays that may still be read
}

// at is the n bytes from address on.
func (f *file) at(address, n uint64) ([]byte, error) {
	size := uint64(len(f.data))
	if address > size || n > size-address {
		return nil, fmt.Errorf("%d bytes at %d are beyond the file's %d", n, address, size)
	}
	return f.data[address : address+n], nil
}

// signed is the n bytes at an address that begin with a signature.
func (f *file) signed(address, n uint64, signature string) ([]byte, error) {
	b, err := f.at(address, n)
	if err != nil {
		return nil, err
	}
	if string(b[:4]) != signature {
		return nil, fmt.Errorf("no %s at %d", signature, address)
	}
	return b, nil
}

// visit says that an object is looked at; twice is a cycle.
func (f *file) visit(address uint64) error {
	if f.seen[address] {
		return fmt.Errorf("the object at %d is reached twice", address)
	}
	if len(f.seen) >= maxObjects {
		return fmt.Errorf("more than %d objects", maxObjects)
	}
	f.seen[address] = true
	return nil
}

var le = binary.LittleEndian

func (f *file) superblock() (root uint64, err error) {
	b, err := f.at(0, 96)
	if err != nil || !bytes.HasPrefix(b, []byte("\x89HDF\r\n\x1a\n")) {
		return 0, errors.New("not an HDF5 file")
	}
	switch {
	case b[8] != 0:
		return 0, fmt.Errorf("superblock version %d: only 0 is read, as h5py and Keras write it", b[8])
	case b[13] != 8 || b[14] != 8:
		return 0, fmt.Errorf("offsets of %d and lengths of %d bytes: only 8 are read", b[13], b[14])
	case le.Uint64(b[24:]) != 0:
		return 0, errors.New("a base address other than 0")
	}
	return le.Uint64(b[64:]), nil
}

// The messages of an object's header that matter here.
const (
	msgDataspace   = 0x01
	msgDatatype    = 0x03
	msgLayout      = 0x08
	msgFilter      = 0x0b
	msgContinue    = 0x10
	msgSymbolTable = 0x11
)

// object reads what stands at an address: a group, a dataset, or something else.
func (f *file) object(address uint64, path string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("groups deeper than %d", maxDepth)
	}
	if err := f.visit(address); err != nil {
		return err
	}
	messages, err := f.messages(address)
	if err != nil {
		return fmt.Errorf("object %.100q: %w", path, err)
	}
	if table, ok := messages[msgSymbolTable]; ok {
		if len(table) < 16 {
			return fmt.Errorf("group %.100q: its symbol table message is cut", path)
		}
		return f.group(le.Uint64(table), le.Uint64(table[8:]), path, depth)
	}
	if messages[msgLayout] == nil || messages[msgDatatype] == nil || messages[msgDataspace] == nil {
		return nil
	}
	set, ok, err := f.dataset(messages)
	if err != nil {
		return fmt.Errorf("dataset %.100q: %w", path, err)
	}
	if ok {
		f.found[path] = set
	}
	return nil
}

// messages are an object's header messages by type; of a type that repeats, the first.
func (f *file) messages(address uint64) (map[uint16][]byte, error) {
	head, err := f.at(address, 16)
	if err != nil {
		return nil, err
	}
	if head[0] != 1 {
		return nil, fmt.Errorf("object header version %d: only 1 is read", head[0])
	}
	type span struct{ address, size uint64 }
	spans := []span{{address + 16, uint64(le.Uint32(head[8:]))}}
	out := map[uint16][]byte{}
	for i := 0; i < len(spans) && i < maxObjects; i++ {
		b, err := f.at(spans[i].address, spans[i].size)
		if err != nil {
			return nil, err
		}
		for len(b) >= 8 {
			kind, size := le.Uint16(b), int(le.Uint16(b[2:]))
			if size > len(b)-8 {
				return nil, fmt.Errorf("a message of %d bytes in %d", size, len(b)-8)
			}
			body := b[8 : 8+size]
			b = b[8+size:]
			if kind == msgContinue && size >= 16 {
				next := span{le.Uint64(body), le.Uint64(body[8:])}
				if err := f.visit(next.address); err != nil {
					return nil, err
				}
				spans = append(spans, next)
				continue
			}
			if _, had := out[kind]; !had {
				out[kind] = body
			}
		}
	}
	return out, nil
}

// group reads the members that a B-tree of symbol nodes lists.
func (f *file) group(tree, heap uint64, path string, depth int) error {
	b, err := f.signed(heap, 32, "HEAP")
	if err != nil {
		return err
	}
	names, err := f.at(le.Uint64(b[24:]), le.Uint64(b[8:]))
	if err != nil {
		return fmt.Errorf("names of group %.100q: %w", path, err)
	}
	return f.tree(tree, names, path, depth, 0)
}

func (f *file) tree(address uint64, names []byte, path string, depth, level int) error {
	if err := f.visit(address); err != nil {
		return err
	}
	if b, err := f.at(address, 4); err == nil && string(b) == "SNOD" {
		return f.symbols(address, names, path, depth)
	}
	b, err := f.signed(address, 24, "TREE")
	if err != nil {
		return err
	}
	if b[4] != 0 || level > maxDepth {
		return fmt.Errorf("the tree of group %.100q is not a group's", path)
	}
	n := uint64(le.Uint16(b[6:]))
	body, err := f.at(address+24, 8+16*n)
	if err != nil {
		return err
	}
	for i := range n {
		if err := f.tree(le.Uint64(body[8+16*i:]), names, path, depth, level+1); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) symbols(address uint64, names []byte, path string, depth int) error {
	b, err := f.at(address, 8)
	if err != nil {
		return err
	}
	n := uint64(le.Uint16(b[6:]))
	entries, err := f.at(address+8, 40*n)
	if err != nil {
		return err
	}
	for i := range n {
		e := entries[40*i:]
		at := le.Uint64(e)
		if at >= uint64(len(names)) {
			return fmt.Errorf("a name at %d beyond the heap of group %.100q", at, path)
		}
		name, _, ended := bytes.Cut(names[at:min(uint64(len(names)), at+maxName+1)], []byte{0})
		if !ended || len(name) == 0 {
			return fmt.Errorf("a name without end in group %.100q", path)
		}
		if le.Uint32(e[16:]) == 2 { // a soft link, which Keras does not write
			continue
		}
		child := string(name)
		if path != "" {
			child = path + "/" + child
		}
		if err := f.object(le.Uint64(e[8:]), child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// dataset reads an array; ok is false for one that does not hold floats.
func (f *file) dataset(m map[uint16][]byte) (set Dataset, ok bool, err error) {
	width, ok, err := floatWidth(m[msgDatatype])
	if !ok || err != nil {
		return Dataset{}, false, err
	}
	if m[msgFilter] != nil {
		return Dataset{}, false, errors.New("compressed or filtered: only plain arrays are read")
	}
	dims, size, err := f.dims(m[msgDataspace])
	if err != nil {
		return Dataset{}, false, err
	}
	raw, err := f.content(m[msgLayout], size*width)
	if err != nil {
		return Dataset{}, false, err
	}
	if uint64(len(raw)) > f.left {
		return Dataset{}, false, errors.New("the arrays are together larger than the file")
	}
	f.left -= uint64(len(raw))
	set = Dataset{Dims: dims, Data: make([]float32, size)}
	for i := range set.Data {
		if width == 4 {
			set.Data[i] = math.Float32frombits(le.Uint32(raw[4*i:]))
		} else {
			set.Data[i] = float32(math.Float64frombits(le.Uint64(raw[8*i:])))
		}
	}
	return set, true, nil
}

// floatWidth is the bytes of an IEEE little-endian float type.
func floatWidth(b []byte) (width uint64, ok bool, err error) {
	if len(b) < 8 {
		return 0, false, errors.New("its datatype message is cut")
	}
	if b[0]&0x0f != 1 {
		return 0, false, nil
	}
	if len(b) < 20 {
		return 0, false, errors.New("its datatype message is cut")
	}
	for _, want := range []struct {
		width uint64
		parts []byte // offset, precision, exponent's place and size, mantissa's, bias
	}{
		{4, []byte{0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}},
		{8, []byte{0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0}},
	} {
		if uint64(le.Uint32(b[4:])) == want.width && b[1]&0x41 == 0 && bytes.Equal(b[8:20], want.parts) {
			return want.width, true, nil
		}
	}
	return 0, false, errors.New("a float type other than little-endian 32 or 64 bits")
}

func (f *file) dims(b []byte) (dims []int, size uint64, err error) {
	if len(b) < 4 {
		return nil, 0, errors.New("its dataspace message is cut")
	}
	n, at := int(b[1]), map[byte]int{1: 8, 2: 4}[b[0]]
	if at == 0 || n > maxDims || len(b) < at+8*n {
		return nil, 0, fmt.Errorf("a dataspace of version %d with %d dimensions in %d bytes", b[0], n, len(b))
	}
	limit := uint64(len(f.data))
	dims, size = make([]int, n), 1
	for i := range dims {
		d := le.Uint64(b[at+8*i:])
		if d > limit || size*d > limit {
			return nil, 0, errors.New("its dimensions are larger than the file")
		}
		size *= d
		dims[i] = int(d)
	}
	return dims, size, nil
}

// content is the n bytes of an array.
func (f *file) content(b []byte, n uint64) ([]byte, error) {
	switch {
	case len(b) < 4 || b[0] != 3:
		return nil, errors.New("a layout message other than version 3")
	case b[1] == 0: // in the header itself
		if size := uint64(le.Uint16(b[2:])); size != n || uint64(len(b)) < 4+n {
			return nil, fmt.Errorf("%d bytes stored for %d", size, n)
		}
		return b[4 : 4+n], nil
	case b[1] == 1 && len(b) >= 18:
		if size := le.Uint64(b[10:]); size != n {
			return nil, fmt.Errorf("%d bytes stored for %d", size, n)
		}
		return f.at(le.Uint64(b[2:]), n)
	}
	return nil, fmt.Errorf("layout class %d: only arrays stored in one piece are read", b[1])
}
