package main

import (
	"flag"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

// kept is where `clarity up` keeps things: its own settings, of which a command
// has the flags that concern it.
type kept struct {
	*upSettings
	call *call
	fs   *flag.FlagSet
	// of is the capability whose backend is asked for, and name its flag.
	of   capability.Set
	name string
	file *string
}

// keptFlags makes the flags of the data directory and of one backend, which is
// named as in `clarity up`.
func (c *call) keptFlags(fs *flag.FlagSet, of capability.Set) *kept {
	k := &kept{upSettings: defaults(), call: c, fs: fs, of: of, name: of.String()}
	fs.StringVar(&k.Data, "data", k.Data, "data directory `DIR`; $CLARITY_DATA sets the default")
	b := k.backend()
	fs.StringVar(b.Spec, b.Name, "", toldOf(b))
	c.data = &k.Data
	k.file = fs.String("config", c.getenv(settings.Variable("config")), "YAML `FILE` that `clarity up` was given")
	return k
}

// toldOf is the help of a backend's flag.
func toldOf(b serving.Backend) string {
	return "`DRIVER` of the " + b.Name + ", such as " + form().Examples[b.Name] + ", where `clarity up` was told of one"
}

func (k *kept) backend() serving.Backend {
	all := serving.Backends(&k.Backends)
	return all[slices.IndexFunc(all, func(b serving.Backend) bool { return b.Name == k.name })]
}

// read reads the settings as `clarity up` does.
func (k *kept) read() error {
	var alone []string
	k.fs.VisitAll(func(f *flag.Flag) {
		if f.Name != "data" && f.Name != k.name {
			alone = append(alone, f.Name)
		}
	})
	if err := settings.Read(k.fs, k.upSettings, *k.file, k.call.getenv, alone...); err != nil {
		return usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if k.Data == "" {
		return usagef("name the data directory")
	}
	k.Backends = embedded.In(k.Data, k.Backends)
	return asUsage(drivers().Check(k.Backends, k.of))
}

// at is where the backend keeps its things.
func (k *kept) at() string {
	_, at, _ := strings.Cut(*k.backend().Spec, ":")
	return at
}

// readKept is read for a command that only reads: where nothing was kept before,
// it says so, and nothing is made.
func (k *kept) readKept() (datadir.Place, error) {
	if err := k.read(); err != nil {
		return datadir.Place{}, err
	}
	place := datadir.Place{Dir: k.Data, Backends: k.Backends}
	return place, datadir.MustHold(place, k.of, k.at())
}
