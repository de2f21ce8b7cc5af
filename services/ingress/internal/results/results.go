// Package results shows what was computed: days, weeks, trends, and insights,
// those on demand included.
package results

import (
	"context"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// BudgetSpent is the code of an insight beyond the day's.
const BudgetSpent problem.Code = "429 budget_spent"

// Needs is what the results need.
type Needs struct {
	Days     store.Collection[record.Day]
	Results  store.Collection[record.Result]
	Insights store.Collection[record.Insight]
	// Series reads the JSON of one series from the object that a day's record names.
	Series func(ctx context.Context, uid, object string, of health.UUID) ([]byte, error)
	// Accounts says what a person agreed to.
	Accounts interface {
		Get(ctx context.Context, uid string) (record.Account, error)
	}
	// Words puts facts into words that keep to them, on demand.
	Words          *grounded.Writer
	InsightsPerDay int // insights on demand, a person and UTC day: what OnDemand lets each have
	OnDemand       interface {
		Take(ctx context.Context, uid string) (wait time.Duration, err error)
	}
}

// A Room answers what is asked of results.
type Room struct{ Needs }

// New is the room.
func New(n Needs) *Room { return &Room{n} }

// Routes are the room's operations.
func (r *Room) Routes() []route.Route {
	missing := []problem.Code{problem.NotFound}
	return []route.Route{
		{Method: "GET", Path: "/v1/days", ID: "listDays", Tag: "results", Summary: "List local days, newest first", Audit: audit.DataRead, Conditional: true, Mount: route.Typed(r.listDays)},
		{Method: "GET", Path: "/v1/days/{date}", ID: "getDay", Tag: "results", Summary: "What is held of one local day", Audit: audit.DataRead, Problems: missing, Conditional: true, Mount: route.Typed(r.getDay)},
		{Method: "GET", Path: "/v1/days/{date}/series/{uuid}", ID: "getSeries", Tag: "results", Summary: "The points of one series of a day, as they were sent", Audit: audit.DataRead, Problems: missing, Conditional: true, Mount: route.Typed(r.getSeries)},
		{Method: "GET", Path: "/v1/weeks", ID: "listWeeks", Tag: "results", Summary: "List results, newest window first", Audit: audit.DataRead, Conditional: true, Mount: route.Typed(r.listWeeks)},
		{Method: "GET", Path: "/v1/weeks/{date}", ID: "getWeek", Tag: "results", Summary: "The result of the seven days that end with a date", Audit: audit.DataRead, Problems: missing, Conditional: true, Mount: route.Typed(r.getWeek)},
		{Method: "GET", Path: "/v1/trends", ID: "getTrends", Tag: "results", Summary: "Each metric over time, beside the person's own baseline", Detail: trendsDetail, Audit: audit.DataRead, Conditional: true, Mount: route.Typed(r.getTrends)},

		{Method: "GET", Path: "/v1/insights", ID: "listInsights", Tag: "insights", Summary: "List insights, newest first", Audit: audit.DataRead, Conditional: true, Mount: route.Typed(r.listInsights)},
		{Method: "GET", Path: "/v1/insights/{date}", ID: "getInsight", Tag: "insights", Summary: "The insight of the window that ends with a date", Audit: audit.DataRead, Problems: missing, Conditional: true, Mount: route.Typed(r.getInsight)},
		{Method: "POST", Path: "/v1/insights", ID: "writeInsight", Tag: "insights", Summary: "Put a window's facts into words, now", Detail: writeInsightDetail,
			Body: route.JSONBody, Audit: audit.DataRead, Problems: []problem.Code{problem.NotFound, problem.ConsentRequired, BudgetSpent}, Mount: route.Typed(r.writeInsight),
			Text: &route.Text{Kind: reply.NDJSON, Summary: "Sentences", Detail: "a line a sentence, then the line that says done"}},
	}
}
