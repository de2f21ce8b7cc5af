// Package preview holds the model that is there when no other is: PAT-S trained
// on simulated people. Its card says what it is good for, and what not; every
// output of it that is shown bears its label.
//
// The bundle was made from the weights' source by
//
//	clarity model import pat-s-sim.safetensors --name pat-s-sim --card MODEL_CARD.md \
//	  --preprocessing simact-pre/1 --label "research preview; trained on simulated data" …
package preview

import _ "embed"

// Digest is the bundle's identity.
const Digest = "sha256:4bb328753fd73dda56f84b97b969fe423566a7aad61b7e66d6bca05aba6ca1b4"

//go:embed pat-s-sim.tar
var file []byte

// Bundle is the bundle's bytes, which must not be changed.
func Bundle() []byte { return file }
