package google

import (
	"context"
	"errors"
	"strings"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/relay"
)

// ofFeeds is how many connections the feeds have.
const ofFeeds = 1

// A following is where phones listen, and whether there is what to see, too.
type following struct {
	database
	content bool
}

func followingOf(at string) (f following, err error) {
	place, settings, _ := strings.Cut(at, "?")
	if f.database, err = databaseOf(place); err != nil {
		return f, err
	}
	options, err := optionsOf(settings, "content")
	f.content = options["content"] == "true"
	if said, is := options["content"]; err == nil && is && said != "true" && said != "false" {
		err = errors.New("content is true or false")
	}
	return f, err
}

// Feed opens where phones listen by themselves.
func (c *Cloud) Feed(ctx context.Context, at string, e platform.Env) (relay.Feed, error) {
	f, err := followingOf(at)
	if err != nil {
		return nil, err
	}
	s, err := c.documents(ctx, f.database, "", ofFeeds)
	if err != nil {
		return nil, err
	}
	e.Closing("the feeds", s)
	if f.content {
		return s.Contents(e.Now), nil
	}
	return s.Feed(), nil
}
