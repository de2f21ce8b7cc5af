package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/record"
)

// target is the flags that say which platform, and as whom.
type target struct {
	server, token, user *string
	kept                *kept
	timeout             *time.Duration
}

func (c *call) targetFlags(fs *flag.FlagSet) target {
	return target{
		server:  fs.String("server", "", "`URL` of the platform; without it, the one running on --data"),
		token:   fs.String("token", "", "bearer `TOKEN`, else $CLARITY_TOKEN, else one of --data's issuer for --user"),
		kept:    c.keptFlags(fs, capability.Identity),
		user:    fs.String("user", "me", "`NAME` of the person, where the token is made here"),
		timeout: fs.Duration("patience", 2*time.Minute, "how long one request is tried again"),
	}
}

// check says what can never be a target.
func (t target) check() error {
	if *t.timeout < 0 {
		return usagef("--patience is a duration such as 3s, not %s", *t.timeout)
	}
	if *t.server == "" {
		return nil
	}
	return checkServer(*t.server)
}

func checkServer(server string) error {
	if u, err := url.Parse(server); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return usagef("--server is a URL such as http://127.0.0.1:8080, not %q", server)
	}
	return nil
}

// connect is a client of the target; local says that the token was made here.
func (t target) connect(ctx context.Context, c *call) (client *phone.Client, local bool, err error) {
	if err := t.check(); err != nil {
		return nil, false, err
	}
	if err := t.kept.read(); err != nil {
		return nil, false, err
	}
	server, token := *t.server, *t.token
	if server == "" {
		if server, err = datadir.Endpoint(ctx, t.kept.Data); err != nil {
			return nil, false, err
		}
	}
	if token == "" {
		token = c.getenv("CLARITY_TOKEN")
	}
	if token == "" {
		local = true
		if err := issuer.CheckUser(*t.user); err != nil {
			return nil, false, asUsage(err)
		}
		if *t.server != "" { // an issuer that is made now is nobody's there
			if err := datadir.MustHold(datadir.Place{Dir: t.kept.Data, Backends: t.kept.Backends}, capability.Identity, t.kept.at()); err != nil {
				return nil, false, fmt.Errorf("there is no token for %s (--token, $CLARITY_TOKEN), and none can be made here: %w", *t.server, err)
			}
		}
		token, err = issuer.Token(issuer.Request{Dir: t.kept.Data, At: t.kept.at(), User: *t.user, TTL: 24 * time.Hour, Now: time.Now})
		if err != nil {
			return nil, false, asUsage(err)
		}
	}
	waiting := func(why string, wait time.Duration) {
		say(c.stderr, "%s; trying again in %.1f s\n", why, wait.Seconds())
	}
	return phone.New(server, token, *t.timeout, waiting), local, nil
}

// consentVersion is the text a person agrees to by using this tool on their own machine.
const consentVersion = "clarity-cli/1"

type consentAnswer struct {
	Purpose string     `json:"purpose"`
	Granted bool       `json:"granted"`
	At      *time.Time `json:"at"`
}

// processingConsent is the person's answer so far.
func processingConsent(ctx context.Context, client *phone.Client) (consentAnswer, error) {
	var list struct{ Items []consentAnswer }
	if err := client.Get(ctx, "/v1/consents", &list); err != nil {
		return consentAnswer{}, fmt.Errorf("read the consents: %w", err)
	}
	for _, answer := range list.Items {
		if answer.Purpose == record.PurposeProcessing {
			return answer, nil
		}
	}
	return consentAnswer{}, nil
}

func grantConsent(ctx context.Context, client *phone.Client) error {
	answer := map[string]any{"granted": true, "version": consentVersion}
	if err := client.Send(ctx, http.MethodPut, "/v1/consents/"+record.PurposeProcessing, answer, nil); err != nil {
		return fmt.Errorf("agree to the processing: %w", err)
	}
	return nil
}
