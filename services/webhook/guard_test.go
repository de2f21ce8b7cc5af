package webhook

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
)

// Each address that may be spoken to, and each that may not.
func TestWhichAddressesAreSpokenTo(t *testing.T) {
	for address, public := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "93.184.216.34": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true, "100.128.0.0": true,
		"169.253.255.255": true, "192.167.255.255": true, "198.17.255.255": true, "198.20.0.0": true, "223.255.255.255": true, "11.0.0.0": true, "128.0.0.1": true,
		"2606:4700:4700::1111": true, "2a00:1450:4001:80b::200e": true, "2001:4860:4860::8888": true,
		// This machine, this network, nobody.
		"34.118.224.1": false, "34.118.239.255": false, "34.118.240.0": true, "199.36.153.8": false,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "0.1.2.3": false, "::": false, "::1": false, "255.255.255.255": false,
		// Private networks.
		"10.0.0.1": false, "10.255.255.255": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.0.1": false, "192.168.255.255": false,
		"100.64.0.1": false, "100.127.255.255": false, "fc00::1": false, "fd12:3456:789a::1": false, "fec0::1": false,
		// Links, and what clouds have there: metadata.
		"169.254.169.254": false, "169.254.170.2": false, "169.254.0.1": false, "fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false, "fd20:ce::254": false,
		// IPv4 within IPv6.
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false,
		"64:ff9b:1::1": false, "2002:7f00:1::1": false, "2002:a9fe:a9fe::1": false, "2001:0:4136:e378:8000:63bf:3fff:fdd2": false,
		// What is for documents, benchmarks, protocols and many.
		"192.0.0.1": false, "192.0.0.192": false, "192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "2001:db8::1": false, "3fff::1": false, "198.18.0.1": false, "198.19.255.255": false,
		"192.88.99.1": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "254.1.2.3": false, "ff02::1": false, "ff0e::1": false, "100::1": false, "5f00::1": false, "2001:2::1": false, "4000::1": false,
	} {
		a := netip.MustParseAddr(address)
		if Public(a) != public {
			t.Errorf("%s: public %v, want %v", address, !public, public)
		}
		// The dialer goes by what a name stands for, and by nothing else.
		dialed := ""
		d := dialer{allowed: Public,
			look: func(context.Context, string, string) ([]netip.Addr, error) { return []netip.Addr{a}, nil },
			dial: func(_ context.Context, _, to string) (net.Conn, error) {
				dialed = to
				return nil, errors.New("no network")
			}}
		_, err := d.connect(t.Context(), "tcp", "hooks.example.org:443")
		if (dialed != "") != public || errors.Is(err, errClosed) == public {
			t.Errorf("%s: dialed %q, %v", address, dialed, err)
		}
		if public && dialed != net.JoinHostPort(a.String(), "443") {
			t.Errorf("%s: dialed %q", address, dialed)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// One bad address among several closes the name; a name is resolved once for a connection.
func TestANameIsResolvedOnce(t *testing.T) {
	good, bad := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("127.0.0.1")
	for name, tt := range map[string]struct {
		answers [][]netip.Addr // of one look after the other
		dialed  string
		want    error
	}{
		"good":                     {[][]netip.Addr{{good}, {bad}}, "8.8.8.8:443", nil},
		"good as IPv4 within IPv6": {[][]netip.Addr{{netip.MustParseAddr("::ffff:8.8.8.8")}}, "8.8.8.8:443", nil},
		"one of two":               {[][]netip.Addr{{good, bad}}, "", errClosed},
		"nothing":                  {[][]netip.Addr{{}}, "", errUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			looks, dialed := 0, ""
			d := dialer{allowed: Public,
				look: func(context.Context, string, string) ([]netip.Addr, error) { looks++; return tt.answers[looks-1], nil },
				dial: func(_ context.Context, _, to string) (net.Conn, error) { dialed = to; return nil, nil }}
			if _, err := d.connect(t.Context(), "tcp", "hooks.example.org:443"); !errors.Is(err, tt.want) || dialed != tt.dialed || looks != 1 {
				t.Errorf("%v, dialed %q after %d looks", err, dialed, looks)
			}
		})
	}
	d := dialer{allowed: Public, look: func(context.Context, string, string) ([]netip.Addr, error) { return nil, errors.New("x") }}
	for _, address := range []string{"127.0.0.1:443", "[::1]:443", "[::ffff:10.0.0.1]:443", "hooks:443", "2130706433:443", "nothing"} {
		if _, err := d.connect(t.Context(), "tcp", address); !errors.Is(err, errClosed) && !errors.Is(err, errUnknown) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestWhichURLsCanBeRegistered(t *testing.T) {
	for url, legal := range map[string]bool{
		"https://hooks.example.org/clarity": true, "https://hooks.example.org:8443/a?b=c": true, "https://8.8.8.8/": true, "https://[2606:4700:4700::1111]/x": true, "HTTPS://hooks.example.org": true,
		"http://hooks.example.org/": false, "ftp://hooks.example.org": false, "https://": false, "https:///x": false, "https:hooks": false, "hooks.example.org": false, "": false,
		"https://user@hooks.example.org": false, "https://user:pass@hooks.example.org": false, "https://hooks.example.org/#x": false, "https://hooks.example.org:0/": false, "https://hooks.example.org:/": false,
		"https://hooks.example.org:99999999/": false, "https://127.0.0.1/": false, "https://10.1.2.3/": false, "https://169.254.169.254/computeMetadata/v1/": false, "https://[::1]/": false, "https://[fd00::1]/": false,
		"https://[::ffff:8.8.8.8]/": false, "https://[fe80::1%25eth0]/": false, "https://0.0.0.0/": false, "https://hooks.example.org/ x": false, "https://hooks.example.org\\@127.0.0.1/": false, "file:///etc/passwd": false, "https://%00/": false,
	} {
		if err := CheckURL(url); (err == nil) != legal || err != nil && !errors.Is(err, ErrURL) {
			t.Errorf("%q: %v, want legal %v", url, err, legal)
		}
	}
	if err := CheckURL("https://hooks.example.org/" + string(make([]byte, 3000))); err == nil {
		t.Error("a long one is legal")
	}
}

func FuzzURLs(f *testing.F) {
	for _, seed := range []string{"https://hooks.example.org/", "https://[::1]:80/", "https://a@b/", "https://0x7f.1/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if err := CheckURL(url); err != nil && !errors.Is(err, ErrURL) {
			t.Errorf("%q: %v", url, err)
		}
	})
}
