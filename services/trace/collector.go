package trace

import (
	"errors"
	"net/url"
)

// CheckCollector says what is wrong with where traces are to go.
func CheckCollector(at string) error {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("a collector is http://HOST:PORT, in the clear, or https://HOST:PORT, and speaks OTLP/gRPC")
	}
	return nil
}
