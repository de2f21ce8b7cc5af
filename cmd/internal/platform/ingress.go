package platform

import (
	"errors"
	"net/netip"
	"net/url"
)

// Ingress is what the ingress is told.
type Ingress struct {
	// Unlimited takes the rate limits away: for measurements on one machine.
	Unlimited bool `yaml:"unlimited"`
	// Origins are the web origins whose pages may call the API, such as
	// https://app.example; none if empty.
	Origins []string `yaml:"origins"`
	// TrustedProxies are the networks (or addresses) of the proxies in front, whose
	// X-Forwarded-For is believed; nobody's if empty.
	TrustedProxies []string `yaml:"trustedProxies"`
	// ProxyProtocol says that those proxies tell with the PROXY protocol for whom each
	// connection is.
	ProxyProtocol bool `yaml:"proxyProtocol"`
	// AddressConnections is how many connections one address may have at a time,
	// trusted proxies aside; 0 is the ingress's default.
	AddressConnections int `yaml:"addressConnections"`
}

func (i Ingress) check() error {
	var faults []error
	if i.ProxyProtocol && len(i.TrustedProxies) == 0 {
		faults = append(faults, configErrorf("ingress proxyProtocol: trustedProxies names nobody who may speak it"))
	}
	for _, o := range i.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			faults = append(faults, configErrorf("ingress origins: %q is not an origin such as https://app.example: no path, no pattern", o))
		}
	}
	if _, err := i.Proxies(); err != nil {
		faults = append(faults, err)
	}
	if i.AddressConnections < 0 {
		faults = append(faults, configErrorf("ingress addressConnections cannot be negative, as %d is", i.AddressConnections))
	}
	return errors.Join(faults...)
}

// Proxies are the trusted proxies' networks.
func (i Ingress) Proxies() (networks []netip.Prefix, err error) {
	var faults []error
	for _, text := range i.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if one, wrong := netip.ParseAddr(text); err != nil && wrong == nil {
			network, err = netip.PrefixFrom(one, one.BitLen()), nil
		}
		switch {
		case err != nil:
			faults = append(faults, configErrorf("ingress trustedProxies: %q is not a network such as 10.0.0.0/8", text))
		case network.Bits() == 0:
			faults = append(faults, configErrorf("ingress trustedProxies: %s is everybody, who could then pass for anybody", text))
		default:
			networks = append(networks, network.Masked())
		}
	}
	return networks, errors.Join(faults...)
}
