package line

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// Proxies are the networks whose X-Forwarded-For is believed: those of nobody but
// who runs the platform.
type Proxies []netip.Prefix

// Trust says whether the peer is one of the proxies.
func (p Proxies) Trust(a net.Addr) bool {
	ip, is := ipOf(a)
	return is && p.hold(ip)
}

func (p Proxies) hold(ip netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// Client is whom the address limit counts: who is connected, or whom the trusted
// proxies say that they speak for. The header is read from its end, since
// whoever is farther off may have written what stands before.
func (p Proxies) Client(rc *fasthttp.RequestCtx) netip.Addr {
	ip, is := ipOf(rc.RemoteAddr())
	if !is || !p.hold(ip) {
		return block(ip)
	}
	lines := rc.Request.Header.PeekAll("X-Forwarded-For")
	for _, line := range slices.Backward(lines) {
		for _, word := range slices.Backward(strings.Split(string(line), ",")) {
			before, err := netip.ParseAddr(strings.TrimSpace(word))
			if err != nil {
				return block(ip)
			}
			if ip = before.Unmap(); !p.hold(ip) {
				return block(ip)
			}
		}
	}
	return block(ip)
}

func ipOf(a net.Addr) (netip.Addr, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap()
	return ip, ip.IsValid()
}

// addressOf is what a connection counts by.
func addressOf(a net.Addr) netip.Addr {
	ip, _ := ipOf(a)
	return block(ip)
}

// block is an IPv4 address, or the /64 of an IPv6 address.
func block(ip netip.Addr) netip.Addr {
	if ip.Is6() {
		if b, err := ip.WithZone("").Prefix(64); err == nil {
			return b.Addr()
		}
	}
	return ip
}
