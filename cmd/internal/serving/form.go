package serving

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
)

// A Form is what a command line can say of a Config: what the stages of a table are told.
type Form struct {
	Table []platform.Stage
	// Examples are of drivers, by capability: "sqlite:DIR" of the store.
	Examples map[string]string
	// Unsaid is what stands for a driver that nobody names; "" names it in vain.
	Unsaid string
	// Models says what a model can be.
	Models string
}

// A Backend is a capability's driver, by its flag.
type Backend struct {
	Spec *string
	Name string
	Of   capability.Set
}

// Backends are all but the model and the feeds, in the order in which they are listed.
func Backends(b *platform.Backends) []Backend {
	return []Backend{
		{&b.Store, "store", capability.Store}, {&b.Blobs, "blobs", capability.Blobs}, {&b.Queue, "queue", capability.Queue},
		{&b.Keys, "keys", capability.Keys | capability.Erasure}, {&b.Identity, "identity", capability.Identity},
		{&b.Audit, "audit", capability.Audit}, {&b.Writer, "writer", capability.Writer},
	}
}

// needs is what the stages of the table need together.
func (f Form) needs() (all capability.Set) {
	for _, s := range f.Table {
		all |= s.Needs
	}
	return all
}

// names are the stages' of the table.
func (f Form) names() (all []string) {
	for _, s := range f.Table {
		all = append(all, s.Name)
	}
	return all
}

// Flags makes the flags that fill in c, whose values are the defaults.
func (f Form) Flags(fs *flag.FlagSet, c *platform.Config) {
	fs.Var(List{&c.Stages}, "stages", "the `STAGES` to run; messages for the others wait")
	fs.StringVar(&c.Listen.Admin, "admin-listen", c.Listen.Admin, "`ADDRESS` for /livez, /readyz and /metrics; the ingress answers them if empty")
	fs.StringVar(&c.Listen.Profile, "pprof", c.Listen.Profile, "loopback `ADDRESS` for /debug/pprof; off if empty")
	fs.DurationVar(&c.Stop.Grace, "grace", c.Stop.Grace, "how long a stop may take; 0 waits for what runs a moment, and for what closes")
	fs.DurationVar(&c.Stop.Linger, "linger", c.Stop.Linger, "how long of the grace requests are still taken, while /readyz says no")
	fs.StringVar(&c.Log.Format, "log", c.Log.Format, "`FORMAT` of the log: text, json, or google:PROJECT in Cloud Logging's fields")
	fs.StringVar(&c.Log.Level, "log-level", c.Log.Level, "least `LEVEL` that is logged: debug, info, warn or error")
	needs, names := f.needs(), f.names()
	if needs.Has(capability.Listener) {
		where := "loopback `ADDRESS` to answer on; port 0 takes a free one"
		if c.Listen.Open {
			where = "`ADDRESS` to answer on, without TLS, which ends in front; port 0 takes a free one"
		}
		fs.StringVar(&c.Listen.API, "listen", c.Listen.API, where)
		fs.BoolVar(&c.Ingress.Unlimited, "unlimited", c.Ingress.Unlimited, "no rate limits, for measurements")
		fs.DurationVar(&c.Erasure.Grace, "erasure-grace", c.Erasure.Grace, "how long an erasure can be taken back; 0 begins it at once")
	}
	if needs.Has(capability.Model) {
		fs.StringVar(&c.Backends.Model, "model", c.Backends.Model, "`MODEL` that the worker runs on each week: "+f.Models)
	}
	if slices.Contains(names, stage.Worker) {
		fs.DurationVar(&c.Worker.Debounce, "debounce", c.Worker.Debounce, "how long the worker waits for more uploads before it analyses; 0 is its own choice")
	}
	for _, b := range Backends(&c.Backends) {
		if needs.HasAny(b.Of) {
			fs.StringVar(b.Spec, b.Name, *b.Spec, f.driver(b.Name))
		}
	}
	if f.feeds(needs) {
		fs.StringVar(&c.Backends.Feed, "feed", c.Backends.Feed, "`DRIVER` of the feeds that phones listen to themselves, such as "+f.Examples["feed"]+"; none if empty")
	}
	if f.wakes(needs) {
		fs.StringVar(&c.Backends.Push, "push", c.Backends.Push, "`DRIVER` that wakes phones which sleep, such as "+f.Examples["push"]+"; none if empty")
	}
}

// wakes says whether phones could be woken: who says what is new has to know, too.
func (f Form) wakes(needs capability.Set) bool { return f.feeds(needs) && f.Examples["push"] != "" }

// feeds says whether there is anything that phones could listen to.
func (f Form) feeds(needs capability.Set) bool {
	return needs.Has(capability.Feed) && f.Examples["feed"] != ""
}

// driver says what the flag of a capability's driver takes.
func (f Form) driver(name string) string {
	text := "`DRIVER` of the " + name + ", such as " + f.Examples[name]
	if f.Unsaid != "" {
		text += "; without it, " + f.Unsaid
	}
	return text
}

// Print lists what would run, in cells of a tabwriter: each stage with what it needs,
// where it listens, and the driver of each capability that is needed.
func (f Form) Print(w io.Writer, c platform.Config) {
	line := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) }
	for _, s := range f.Table {
		needs := "off"
		if slices.Contains(c.Stages, s.Name) {
			needs = "needs " + s.Needs.String()
		}
		line("stage", s.Name, needs)
	}
	needs, api := c.Needs(f.Table), c.Listen.API
	if !needs.Has(capability.Listener) {
		api = ""
	}
	line("listen", "api", cmp.Or(api, "off"))
	line("listen", "admin", cmp.Or(c.Listen.Admin, "off"))
	line("listen", "profile", cmp.Or(c.Listen.Profile, "off"))
	printDrivers(w, c.Backends, needs)
	if f.feeds(needs) {
		line("driver", "feed", cmp.Or(c.Backends.Feed, "none"))
	}
	if f.wakes(needs) {
		line("driver", "push", cmp.Or(c.Backends.Push, "none"))
	}
	if needs.Has(capability.Model) {
		line("model", "", cmp.Or(c.Backends.Model, "none"))
	}
}

// printDrivers lists the drivers of what is needed.
func printDrivers(w io.Writer, backends platform.Backends, needs capability.Set) {
	for _, b := range Backends(&backends) {
		if needs.HasAny(b.Of) {
			_, _ = fmt.Fprintf(w, "driver\t%s\t%s\n", b.Name, *b.Spec)
		}
	}
}

// A List is a flag of words that are separated by commas.
type List struct{ Into *[]string }

func (l List) String() string {
	if l.Into == nil {
		return ""
	}
	return strings.Join(*l.Into, ",")
}

// Set replaces the list; empty words are none.
func (l List) Set(text string) error {
	*l.Into = nil
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l.Into = append(*l.Into, part)
		}
	}
	return nil
}
