// Package oip is the generated code of the Open Inference Protocol over gRPC,
// as far as Clarity speaks it.
package oip

//go:generate go -C ../../../../hack/proto run . ../../services/model/triton/oip/open_inference.proto
