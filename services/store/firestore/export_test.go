package firestore

import (
	"context"
	"fmt"

	"google.golang.org/api/option"
)

// OpenUnder opens what lies under a document of the database, as if that were a
// database of its own.
func OpenUnder(ctx context.Context, c Config, document string, options ...option.ClientOption) (*Store, error) {
	database := fmt.Sprintf("projects/%s/databases/%s", c.Project, c.Database)
	return open(ctx, c, database, database+"/documents/"+document, options...)
}
