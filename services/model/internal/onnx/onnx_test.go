package onnx

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The bytes of a two-node graph, as the field numbers of onnx.proto have them.
func TestBytes(t *testing.T) {
	g := NewGraph("g", "p", map[string]string{"b": "2", "a": "1"})
	g.Input("x", 3)
	w := g.Floats("w", []int{1}, []float32{1})
	g.Op("Softmax", "y", []string{"x", w}, Attr{"axis", -1}, Attr{"f", float32(1)}, Attr{"perm", []int{0, 2}})
	g.Ints("i", -1)
	g.Output("y", 3)
	got := hex.EncodeToString(g.Bytes())
	if want := "0808" + "120170" + "3a"; got[:len(want)] != want {
		t.Errorf("begins %s, want IR version 8, the producer, and the graph: %s", got[:len(want)], want)
	}
	for what, part := range map[string]string{
		"a node's inputs, output, name and kind": "0a0178" + "0a0177" + "120179" + "1a0179" + "2207536f66746d6178",
		"an attribute of type INT":               "0a0461786973" + "18ffffffffffffffffff01" + "a00102",
		"an attribute of type FLOAT":             "0a0166" + "150000803f" + "a00101",
		"an attribute of type INTS":              "0a047065726d" + "4000" + "4002" + "a00107",
		"a float constant":                       "2a0d" + "0801" + "1001" + "420177" + "4a040000803f",
		"an int constant":                        "2a11" + "0801" + "1007" + "420169" + "4a08ffffffffffffffff",
		"an input [batch, 3]":                    "0a0178" + "1213" + "0a11" + "0801" + "120d" + "0a0712056261746368" + "0a020803",
		"opset 17 of the default domain":         "4204" + "0a00" + "1011",
		"metadata in order of the keys":          "7206" + "0a0161" + "120131" + "7206" + "0a0162" + "120132",
	} {
		raw, err := hex.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(g.Bytes(), raw) {
			t.Errorf("%s is not there: %s in %s", what, part, got)
		}
	}
}
