package emulated

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// The three binaries of the platform.
const (
	Ingress  = "ingress"
	Worker   = "worker"
	Insights = "insights"
)

// A Fleet says what is to run over a cloud.
type Fleet struct {
	Bin      string // the folder in which the binaries lie
	Replicas int    // of each; 0 is one
	Writer   string // the driver of the writer; "" is the template
}

// A Platform is the three binaries over a cloud.
type Platform struct {
	URL      string // of the API
	door     *door  // nil where there is one ingress
	replicas map[string][]*Replica
}

// Run starts the binaries, for people who do not want to wait: without limits, and with
// a short debounce. On an error none is left. Which process of several answers a request
// is a balancer's to say, which asks whether they are ready.
func (c *Cloud) Run(ctx context.Context, f Fleet) (*Platform, error) {
	p := &Platform{replicas: map[string][]*Replica{}}
	for _, name := range []string{Ingress, Worker, Insights} {
		for n := range max(f.Replicas, 1) {
			r, err := c.replica(ctx, f, name, n)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), p.Stop())
			}
			p.replicas[name] = append(p.replicas[name], r)
		}
	}
	for _, all := range p.replicas {
		for _, r := range all {
			if err := r.Ready(ctx); err != nil {
				return nil, errors.Join(err, p.Stop())
			}
		}
	}
	in := p.replicas[Ingress]
	p.URL = in[0].url
	if len(in) > 1 {
		var err error
		if p.door, err = open(ctx, in); err != nil {
			return nil, errors.Join(err, p.Stop())
		}
		p.URL = p.door.url
	}
	return p, nil
}

// replica starts one process of a binary.
func (c *Cloud) replica(ctx context.Context, f Fleet, name string, n int) (*Replica, error) {
	admin, err := free(ctx)
	if err != nil {
		return nil, err
	}
	r := &Replica{Name: fmt.Sprintf("%s-%d", name, n)}
	backends := c.Backends()
	backends["writer"] = cmp.Or(f.Writer, backends["writer"])
	listen, more := map[string]string{"admin": admin}, map[string]any{"backends": backends}
	more["listen"] = listen
	var arguments []string
	switch name {
	case Ingress:
		if listen["api"], err = free(ctx); err != nil {
			return nil, err
		}
		r.url = "http://" + listen["api"]
		more["ingress"] = map[string]bool{"unlimited": true}
	case Worker:
		arguments = []string{"serve"}
		more["worker"] = map[string]string{"debounce": "200ms"}
	}
	text, err := json.MarshalIndent(more, "", "  ") // which is YAML
	if err != nil {
		return nil, err
	}
	config := filepath.Join(c.options.Dir, r.Name+".yaml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	r.launch = func() (*peer, error) {
		cmd := exec.Command(filepath.Join(f.Bin, name), append(arguments, "--config", config)...) //nolint:gosec,noctx // our own; it ends by stop
		cmd.Env = append(os.Environ(), c.Environment()...)
		return launch(cmd, c.options.Dir, r.Name, admin)
	}
	return r, r.begin()
}

// Replicas are the processes of a binary.
func (p *Platform) Replicas(name string) []*Replica { return p.replicas[name] }

// Stop ends them, in the order in which nothing is left that another would wait for. It
// is an error where one had ended by itself.
func (p *Platform) Stop() error {
	var faults []error
	if p.door != nil {
		faults = append(faults, p.door.close())
	}
	for _, name := range slices.SortedFunc(maps.Keys(p.replicas), inOrder) {
		for _, r := range p.replicas[name] {
			faults = append(faults, r.stop())
		}
	}
	return errors.Join(faults...)
}

// inOrder has who is asked come before who does what was asked for.
func inOrder(a, b string) int {
	order := []string{Ingress, Worker, Insights}
	return slices.Index(order, a) - slices.Index(order, b)
}
