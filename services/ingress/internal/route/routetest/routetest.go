// Package routetest writes routes as rows of the table of the API, for the tests
// of the rooms that list them.
package routetest

import (
	"fmt"

	"github.com/clarity-loop/clarity/services/ingress/internal/route"
)

// Rows is a row a route.
func Rows(routes []route.Route) (rows []string) {
	for _, r := range routes {
		rows = append(rows, fmt.Sprintf("%s %s: access %d, body %d, status %d, stream %v, erased too %v", r.Method, r.Path, r.Access, r.Body, r.Status, r.Stream, r.ErasedToo))
	}
	return rows
}
