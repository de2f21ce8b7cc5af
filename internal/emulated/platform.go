package emulated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// The three binaries of the platform.
const (
	Ingress  = "ingress"
	Worker   = "worker"
	Insights = "insights"
)

// A Platform is the three binaries over a cloud.
type Platform struct {
	URL      string // of the API
	programs map[string]*peer
}

// Run starts the binaries that lie in the folder, for one person at a time who does not
// want to wait: without limits, and with a short debounce. On an error none is left.
func (c *Cloud) Run(ctx context.Context, bin string) (*Platform, error) {
	p := &Platform{programs: map[string]*peer{}}
	api, err := free(ctx)
	if err != nil {
		return nil, err
	}
	p.URL = "http://" + api
	for _, name := range []string{Ingress, Worker, Insights} {
		if err := p.start(ctx, c, filepath.Join(bin, name), api); err != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), p.Stop())
		}
	}
	for _, one := range p.programs {
		if err := one.await(ctx, one.ready); err != nil {
			return nil, errors.Join(err, p.Stop())
		}
	}
	return p, nil
}

// start starts one of them.
func (p *Platform) start(ctx context.Context, c *Cloud, program, api string) error {
	name := filepath.Base(program)
	admin, err := free(ctx)
	if err != nil {
		return err
	}
	listen, more := map[string]string{"admin": admin}, map[string]any{}
	var arguments []string
	switch name {
	case Ingress:
		listen["api"] = api
		more["ingress"] = map[string]bool{"unlimited": true}
	case Worker:
		arguments = []string{"serve"}
		more["worker"] = map[string]string{"debounce": "200ms"}
	}
	more["listen"], more["backends"] = listen, c.Backends()
	text, err := json.MarshalIndent(more, "", "  ") // which is YAML
	if err != nil {
		return err
	}
	config := filepath.Join(c.options.Dir, name+".yaml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(program, append(arguments, "--config", config)...) //nolint:gosec,noctx // our own; it ends by stop
	cmd.Env = append(os.Environ(), c.Environment()...)
	one, err := launch(cmd, c.options.Dir, name, admin)
	if err == nil {
		p.programs[name] = one
	}
	return err
}

// ready is nil where the process says that it is.
func (p *peer) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("readyz: %s", res.Status)
	}
	return errors.Join(err, res.Body.Close())
}

// Process is one of the binaries', to be stopped and killed by a test.
func (p *Platform) Process(name string) *os.Process { return p.programs[name].cmd.Process }

// Stop ends them, in the order in which nothing is left that another would wait for.
func (p *Platform) Stop() error {
	var faults []error
	for _, name := range []string{Ingress, Worker, Insights} {
		if one := p.programs[name]; one != nil {
			faults = append(faults, one.stop())
		}
	}
	return errors.Join(faults...)
}
