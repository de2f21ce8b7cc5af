package firestore

import (
	"context"
	"fmt"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
)

// OpenUnder opens what lies under a document of the database, as if that were a
// database of its own.
func OpenUnder(ctx context.Context, c Config, document string, options ...option.ClientOption) (*Store, error) {
	database := fmt.Sprintf("projects/%s/databases/%s", c.Project, c.Database)
	return open(ctx, c, database, database+"/documents/"+document, options...)
}

// FieldsOfJSON are the members of an object, as a feed shows them.
func FieldsOfJSON(object []byte) (map[string]*firestorepb.Value, error) { return fieldsOfJSON(object) }
