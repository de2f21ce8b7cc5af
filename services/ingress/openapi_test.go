package ingress_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

var update = flag.Bool("update", false, "rewrite the generated files")

const snapshot = "../../docs/api/openapi.json"

func TestGeneratedOpenAPIIsCommitted(t *testing.T) {
	w := ingresstest.New(t)
	got := string(w.Server.OpenAPI())
	if *update {
		if err := os.WriteFile(snapshot, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("docs/api/openapi.json is not what the code says; `make generate` rewrites it (-committed +code):\n%s", diff)
	}
	if served := w.Do("GET", "/openapi.json", "", nil); string(served.Body) != string(w.Server.OpenAPI()) {
		t.Error("/openapi.json is another document")
	}
}

type description struct {
	Paths map[string]map[string]struct {
		OperationID string
		Description string
		Tags        []string
		Parameters  []struct{ Name string }
		Responses   map[string]describedResponse
	}
	Components struct {
		Schemas   map[string]any
		Responses map[string]describedResponse
	}
}

type describedResponse struct {
	Ref     string `json:"$ref"`
	Content map[string]any
	Headers map[string]any
}

func TestEveryRouteIsDescribed(t *testing.T) {
	w := ingresstest.New(t)
	var d description
	if err := json.Unmarshal(w.Server.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	described := 0
	for _, operations := range d.Paths {
		described += len(operations)
	}
	table := w.Server.Table()
	if described != len(table) {
		t.Errorf("%d operations are described, %d routes are there", described, len(table))
	}
	for _, r := range table {
		op := d.Paths[r.Path][strings.ToLower(r.Method)]
		if op.OperationID != r.ID || op.Description == "" || len(op.Tags) != 1 {
			t.Errorf("%s %s: described as %+v", r.Method, r.Path, op)
		}
		for status, response := range op.Responses {
			if name, shared := strings.CutPrefix(response.Ref, "#/components/responses/"); shared {
				response = d.Components.Responses[name]
			}
			if _, has := response.Content[problem.ContentType]; status >= "400" && !has {
				t.Errorf("%s %s: %s is no problem+json", r.Method, r.Path, status)
			}
		}
	}
	for name := range d.Components.Schemas {
		if strings.HasPrefix(name, "Error") {
			t.Errorf("huma's own schema %s is still there", name)
		}
	}
}

func TestEveryCodeIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/api/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range ingress.Codes(ingresstest.New(t).Server) {
		if row := fmt.Sprintf("| %d | `%s` |", code.Status(), code.Reason()); !strings.Contains(string(page), row) {
			t.Errorf("docs/api/README.md has no row %s", row)
		}
	}
}

// The document says which replies are tagged, which of them are not sent again to who
// has them, and which are sent in parts: those that are.
func TestTagsAreDescribed(t *testing.T) {
	w := ingresstest.New(t, ingresstest.ShortStreams)
	ingresstest.Furnish(w)
	var d description
	if err := json.Unmarshal(w.Server.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	for _, r := range w.Server.Table() {
		if r.Method != "GET" {
			continue
		}
		op, path := d.Paths[r.Path]["get"], requests()[r.ID].path
		h := ingresstest.Header{"Last-Event-ID": "0000000000000000"}
		first := w.Do("GET", path, ingresstest.Anna, nil, h)
		tag := first.Header.Get("ETag")
		if said := op.Responses["200"].Headers["ETag"] != nil; said != (tag != "") {
			t.Errorf("%s: ETag %q, described %t", path, tag, said)
		}
		h["If-None-Match"], h["Range"] = tag, "bytes=0-0"
		known := w.Do("GET", path, ingresstest.Anna, nil, h)
		delete(h, "If-None-Match")
		part := w.Do("GET", path, ingresstest.Anna, nil, h)
		_, notModified := op.Responses["304"]
		_, partial := op.Responses["206"]
		asks := slices.ContainsFunc(op.Parameters, func(p struct{ Name string }) bool { return p.Name == "If-None-Match" })
		if notModified != (known.Status == 304) || asks != notModified || partial != (part.Status == 206) {
			t.Errorf("%s: with its tag %d, a part of it %d; described: 304 %t, If-None-Match %t, 206 %t", path, known.Status, part.Status, notModified, asks, partial)
		}
	}
}
