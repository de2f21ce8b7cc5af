package ingress

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/access"
	"github.com/clarity-loop/clarity/services/ingress/internal/edge"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/ingress/internal/strictjson"
	"github.com/clarity-loop/clarity/services/metric/catalog"
)

// apiVersion is that of the API, whatever was built: what is added moves its second
// number, and nothing is taken away while the first stays.
const apiVersion = "1.1.0"

// frame is what the OpenAPI document says of all routes, and how bodies are read.
func frame() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	registry.RegisterTypeAlias(reflect.TypeFor[health.Day](), reflect.TypeFor[dateText]())
	json := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: strictjson.Unmarshal}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Clarity Loop", Version: apiVersion,
				Description: apiDetail,
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: "/", Description: "the platform this document was read from"}},
			Tags: []*huma.Tag{
				{Name: "uploads", Description: "Batches of samples, acked once durable."},
				{Name: "results", Description: "Days, weeks and trends. A null has its reason beside it; no number is made up."},
				{Name: "insights", Description: "Results in words, every number one of the facts."},
				{Name: "events", Description: "What happened, as it happens."},
				{Name: "person", Description: "Profile, consents, export and erasure."},
				{Name: "webhooks", Description: "What a tenant's servers are told. For a token with the role service."},
				{Name: "platform", Description: "The platform itself."},
			},
			Components: &huma.Components{
				Schemas:   registry,
				Responses: map[string]*huma.Response{},
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A token of the identity provider. It alone says who asks."},
				},
			},
			Security: []map[string][]string{{"bearer": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": json, "json": json},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers: []huma.Transformer{func(_ huma.Context, _ string, v any) (any, error) {
			if found, ok := v.(*huma.ErrorModel); ok {
				return problem.FromValidation(found), nil
			}
			return v, nil
		}},
	}
}

const apiDetail = "Health samples in; validated sleep, circadian, activity and cardio results out.\n\n" +
	"Errors are `application/problem+json` (RFC 9457) with a stable `code`. What is not yours is not there. Lists are pages with an opaque\n" +
	"cursor. Replies are `Cache-Control: private, no-store`, but for this document. Unknown members and query parameters are refused, but for samples, where one bad\n" +
	"sample never costs the others."

// dateText is how a health.Day is written.
type dateText string

// Schema is that of a date.
func (dateText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date", Examples: []any{"2026-11-20"}}
}

// schemaName drops what only matters in Go: "uploadView" is an Upload.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	return strings.TrimSuffix(name, "View")
}

// operation is the route's description, but for what huma reads off its types.
func (s *Server) operation(r *route.Route) huma.Operation {
	op := huma.Operation{
		OperationID: r.ID, Method: r.Method, Path: r.Path, Tags: []string{r.Tag}, Summary: r.Summary,
		Description: cmp.Or(r.Detail, r.Summary+"."), DefaultStatus: r.Status, Responses: map[string]*huma.Response{}, MaxBodyBytes: route.SmallBody + 1,
	}
	if r.Access == route.Public {
		op.Security = []map[string][]string{{}}
	}
	problemSchema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem.Problem](), true, "")
	byStatus := map[int][]problem.Code{}
	for _, code := range problemsOf(r) {
		byStatus[code.Status()] = append(byStatus[code.Status()], code)
	}
	shared := s.api.OpenAPI().Components.Responses
	for status, codes := range byStatus {
		name, response := codes[0].Described(codes[1:], problemSchema)
		shared[name] = response
		op.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/" + name}
	}
	return op
}

// problemsOf is every code the route can answer.
func problemsOf(r *route.Route) []problem.Code {
	codes := slices.Clone(r.Problems)
	codes = append(codes, problem.BadRequest, problem.RequestTimeout, problem.InvalidRequest, problem.TooManyRequests, problem.HeadersTooLarge, problem.Internal, problem.Unavailable)
	if r.Access != route.Public {
		codes = append(codes, problem.Unauthenticated)
	}
	if r.Access == route.Personal || r.Access == route.Service {
		codes = append(codes, problem.Forbidden)
	}
	if r.Access == route.Personal {
		codes = append(codes, access.AppNotKnown)
		if !r.ErasedToo {
			codes = append(codes, problem.AccountErased)
		}
	}
	if r.Body != route.NoBody {
		codes = append(codes, problem.MalformedJSON, problem.TooLarge, problem.UnsupportedMediaType, problem.UnsupportedEncoding)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// codes is every code there is, by status.
func codes(table []route.Route) []problem.Code {
	all := []problem.Code{edge.MethodNotAllowed, edge.HTTPVersion, problem.NotFound} // which no route answers
	for i := range table {
		all = append(all, problemsOf(&table[i])...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// document finishes the description and renders it.
func (s *Server) document(table []route.Route) ([]byte, error) {
	api := s.api.OpenAPI()
	schemas := api.Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own, which nobody is sent
	delete(schemas, "ErrorDetail")
	nameMetrics(schemas)
	for _, schema := range schemas { // no reply holds a null list
		for _, property := range schema.Properties {
			property.Nullable = property.Nullable && property.Type != huma.TypeArray
		}
	}
	code := schemas["Problem"].Properties["code"]
	for _, known := range codes(table) {
		code.Examples = append(code.Examples, known.Reason()) // no enumeration: a client outlives the list
	}
	for i := range table {
		describeSuccess(api, &table[i])
	}
	raw, err := json.Marshal(api)
	if err != nil {
		return nil, fmt.Errorf("render the OpenAPI document: %w", err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the OpenAPI document: %w", err)
	}
	pretty.WriteByte('\n')
	return pretty.Bytes(), nil
}

// nameMetrics gives each family of a Result a schema of its own, so that a client
// has a member a metric. One that does not suffice is null, with its reason beside
// it; one that this version of the API does not know may come.
func nameMetrics(schemas map[string]*huma.Schema) {
	for _, d := range catalog.Definitions() {
		name := strings.ToUpper(d.Family[:1]) + d.Family[1:] + "Metrics"
		family := schemas[name]
		if family == nil {
			family = &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{},
				Description: "the unit is part of the name; a null has an entry in insufficient; others may come"}
			schemas[name] = family
			schemas["Result"].Properties[d.Family] = &huma.Schema{Ref: "#/components/schemas/" + name}
		}
		family.Properties[d.Name] = &huma.Schema{Type: huma.TypeNumber, Format: "double", Nullable: true, Description: d.Doc}
	}
}

// describeText tells what a reply that huma cannot see consists of.
func describeText(op *huma.Operation, t *route.Text) {
	schema := t.Schema
	if schema == nil {
		schema = &huma.Schema{Type: huma.TypeString, Description: t.Detail}
	}
	op.Responses["200"].Description = t.Summary
	op.Responses["200"].Content = map[string]*huma.MediaType{t.Kind: {Schema: schema}}
}

// describeSuccess tells what a success consists of, where huma cannot see it,
// and which headers every counted reply carries.
func describeSuccess(api *huma.OpenAPI, r *route.Route) {
	for _, op := range operationsAt(api.Paths[r.Path]) {
		if op.OperationID != r.ID {
			continue
		}
		if r.Text != nil {
			describeText(op, r.Text)
		}
		if r.Pending != "" {
			pending := *op.Responses["200"]
			pending.Description = r.Pending
			op.Responses["202"] = &pending
		}
		if r.Conditional || r.Resumable {
			describeTag(op, r)
		}
		if r.Access != route.Public {
			describeLimits(op)
		}
	}
}

// describeTag tells of the tag that the reply carries, and of what is answered to who
// names it, or asks for a part.
func describeTag(op *huma.Operation, r *route.Route) {
	if r.Conditional {
		op.Parameters = append(op.Parameters, &huma.Param{Name: "If-None-Match", In: "header", Description: "the ETag of what is there already: 304 where nothing changed",
			Schema: &huma.Schema{Type: huma.TypeString}})
	}
	if r.Resumable {
		part := *op.Responses["200"]
		part.Description, part.Headers = "The range that was asked for", maps.Clone(part.Headers)
		describeHeader(&part, "Content-Range", "which bytes, of how many")
		op.Responses["206"] = &part
		describeHeader(op.Responses["200"], "Accept-Ranges", "bytes")
	}
	op.Responses["304"] = &huma.Response{Description: "What If-None-Match names is what there is: nothing is sent"}
	for status, response := range op.Responses {
		if status < "400" {
			describeHeader(response, "ETag", "names this content, for If-None-Match")
		}
	}
}

func describeLimits(op *huma.Operation) {
	for status, response := range op.Responses {
		if status < "400" {
			describeHeader(response, "RateLimit", "what is left, and until when")
			describeHeader(response, "RateLimit-Policy", "the rule")
		}
	}
}

func describeHeader(of *huma.Response, name, what string) {
	if of.Headers == nil {
		of.Headers = map[string]*huma.Header{}
	}
	of.Headers[name] = &huma.Header{Description: what, Schema: &huma.Schema{Type: huma.TypeString}}
}

func operationsAt(p *huma.PathItem) []*huma.Operation {
	var all []*huma.Operation
	for _, op := range []*huma.Operation{p.Get, p.Put, p.Post, p.Delete} {
		if op != nil {
			all = append(all, op)
		}
	}
	return all
}
