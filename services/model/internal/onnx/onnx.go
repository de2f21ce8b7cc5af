// Package onnx writes ONNX models: a graph of nodes and constants in protocol
// buffers (onnx.proto, IR version 8, opset 17). It knows what PAT needs, no more.
package onnx

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
)

// The versions written, and the element types of onnx.proto.
const (
	irVersion = 8
	opset     = 17
	float     = 1
	int64Type = 7
)

// A Graph is built by adding to it; Bytes ends it.
type Graph struct {
	name, producer   string
	nodes, constants message
	inputs, outputs  message
	metadata         map[string]string
}

// NewGraph begins a model. Metadata is text that travels with it.
func NewGraph(name, producer string, metadata map[string]string) *Graph {
	return &Graph{name: name, producer: producer, metadata: metadata}
}

// An Attr is a node's attribute: an int, a float32 or a list of ints.
type Attr struct {
	Name  string
	Value any
}

// Op adds a node with one output, and returns the output's name.
func (g *Graph) Op(kind, out string, in []string, attrs ...Attr) string {
	var n message
	for _, name := range in {
		n.text(1, name)
	}
	n.text(2, out)
	n.text(3, out)
	n.text(4, kind)
	for _, a := range attrs {
		n.bytes(5, a.encode())
	}
	g.nodes.bytes(1, n)
	return out
}

func (a Attr) encode() message {
	var m message
	m.text(1, a.Name)
	switch v := a.Value.(type) {
	case float32:
		m.fixed32(2, math.Float32bits(v))
		m.varint(20, 1)
	case int:
		m.varint(3, uint64(int64(v)))
		m.varint(20, 2)
	case []int:
		for _, i := range v {
			m.varint(8, uint64(int64(i)))
		}
		m.varint(20, 7)
	default:
		panic("onnx: an attribute of another type")
	}
	return m
}

// Floats adds a constant and returns its name.
func (g *Graph) Floats(name string, dims []int, values []float32) string {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	g.constant(name, float, dims, raw)
	return name
}

// Ints adds a constant vector and returns its name.
func (g *Graph) Ints(name string, values ...int) string {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(int64(v)))
	}
	g.constant(name, int64Type, []int{len(values)}, raw)
	return name
}

func (g *Graph) constant(name string, kind uint64, dims []int, raw []byte) {
	var t message
	for _, d := range dims {
		t.varint(1, uint64(d))
	}
	t.varint(2, kind)
	t.text(8, name)
	t.bytes(9, raw)
	g.constants.bytes(5, t)
}

// Input declares a float input of shape [batch, dims…].
func (g *Graph) Input(name string, dims ...int) { g.inputs.bytes(11, value(name, dims)) }

// Output declares a float output of shape [batch, dims…].
func (g *Graph) Output(name string, dims ...int) { g.outputs.bytes(12, value(name, dims)) }

func value(name string, dims []int) message {
	var shape, batch message
	batch.text(2, "batch")
	shape.bytes(1, batch)
	for _, d := range dims {
		var dim message
		dim.varint(1, uint64(d))
		shape.bytes(1, dim)
	}
	var tensor, kind, v message
	tensor.varint(1, float)
	tensor.bytes(2, shape)
	kind.bytes(1, tensor)
	v.text(1, name)
	v.bytes(2, kind)
	return v
}

// Bytes is the model.
func (g *Graph) Bytes() []byte {
	graph := append(message(nil), g.nodes...)
	graph.text(2, g.name)
	graph = append(append(append(graph, g.constants...), g.inputs...), g.outputs...)
	var ops, m message
	ops.text(1, "")
	ops.varint(2, opset)
	m.varint(1, irVersion)
	m.text(2, g.producer)
	m.bytes(7, graph)
	m.bytes(8, ops)
	for _, key := range slices.Sorted(maps.Keys(g.metadata)) {
		var entry message
		entry.text(1, key)
		entry.text(2, g.metadata[key])
		m.bytes(14, entry)
	}
	return m
}

// A message is a protocol buffer in the making: fields in the order written.
type message []byte

func (m *message) tag(field, wire uint64) { *m = binary.AppendUvarint(*m, field<<3|wire) }

func (m *message) varint(field, v uint64) {
	m.tag(field, 0)
	*m = binary.AppendUvarint(*m, v)
}

func (m *message) fixed32(field uint64, v uint32) {
	m.tag(field, 5)
	*m = binary.LittleEndian.AppendUint32(*m, v)
}

func (m *message) bytes(field uint64, b []byte) {
	m.tag(field, 2)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}

func (m *message) text(field uint64, s string) { m.bytes(field, []byte(s)) }
