package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxURL bounds an endpoint's address.
const maxURL = 2048

// CheckURL is ErrURL where the address is none that anything is sent to: https, with a
// name or a public address, and neither a user nor a fragment. What a name stands for is
// looked at for each connection.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || len(address) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("%w: not an https address", ErrURL)
	case u.User != nil || u.Fragment != "" || strings.ContainsAny(address, "\\ \t\r\n#"):
		return fmt.Errorf("%w: with a user, a fragment or a space", ErrURL)
	}
	if n, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16); err != nil || n == 0 || strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("%w: a port that is none", ErrURL)
	}
	literal, err := netip.ParseAddr(u.Hostname())
	if err == nil && (literal.Is4In6() || !Public(literal)) {
		return fmt.Errorf("%w: an address that is not public", ErrURL)
	}
	return nil
}

// closed are the networks that are not of the public internet, or lead into one that is
// not: all that IANA lists as not globally reachable, and what embeds other addresses.
// Of IPv6 only 2000::/3 is anybody's at all.
func closed() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"34.118.224.0/20", "199.36.153.0/24", // on Google Cloud: services of a cluster, and its own interfaces by private addresses
		"2001::/23",     // Teredo, benchmarks, ORCHID
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: an IPv4 address within
		"2620:4f:8000::/48", "3fff::/20",
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// anybodys is all of IPv6 that is given out.
func anybodys() netip.Prefix { return netip.MustParsePrefix("2000::/3") }

// Public says whether the address is of the public internet.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || !a.IsGlobalUnicast() || a.Is6() && !anybodys().Contains(a) {
		return false
	}
	for _, network := range closed() {
		if network.Contains(a) {
			return false
		}
	}
	return true
}

// errClosed is of a name that stands for an address which nothing is sent to.
var errClosed = errors.New("an address that is not public")

// errUnknown is of a name that stands for nothing.
var errUnknown = errors.New("a name without an address")

// A dialer connects to public addresses alone.
type dialer struct {
	look    func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	allowed func(netip.Addr) bool
}

func newDialer() dialer {
	d := net.Dialer{Timeout: 5 * time.Second}
	return dialer{net.DefaultResolver.LookupNetIP, d.DialContext, Public}
}

// connect resolves the name once and connects to what it looked at. Where one address of
// a name is not public, none is spoken to: who answers so means no good.
func (d dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errUnknown
	}
	var found []netip.Addr
	if literal, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{literal}
	} else if found, err = d.look(ctx, "ip", host); err != nil || len(found) == 0 {
		return nil, errUnknown
	}
	for _, a := range found {
		if !d.allowed(a) {
			return nil, errClosed
		}
	}
	var last error
	for _, a := range found[:min(len(found), 3)] {
		conn, err := d.dial(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}
