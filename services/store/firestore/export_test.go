package firestore

import "cloud.google.com/go/firestore/apiv1/firestorepb"

// FieldsOfJSON are the members of an object, as a feed shows them.
func FieldsOfJSON(object []byte) (map[string]*firestorepb.Value, error) { return fieldsOfJSON(object) }
