package line

import (
	"net/netip"
	"testing"
	"time"
)

// A proxy that is trusted says for whom a connection is, in the first bytes of either
// version; of others these are bytes like any, and a proxy may say nothing.
func TestForWhomAProxysConnectionIs(t *testing.T) {
	local, others := Proxies{netip.MustParsePrefix("127.0.0.0/8")}, Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	const one, said = "PROXY TCP4 198.51.100.7 192.0.2.1 4242 443\r\n", "GET /"
	two := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\xc0\x00\x02\x01\x10\x92\x01\xbb"
	tests := map[string]struct {
		proxies Proxies
		on      bool
		sent    string
		read    string // first
		client  string
	}{
		"version 1":        {local, true, one + said, said, "198.51.100.7"},
		"version 2":        {local, true, two + said, said, "198.51.100.7"},
		"nothing said":     {local, true, said, said, "127.0.0.1"},
		"nobody's proxy":   {others, true, one, one, "127.0.0.1"},
		"it is not on":     {local, false, one, one, "127.0.0.1"},
		"a word too short": {local, true, "PROXY TCP4 198.51.100.7\r\n" + said, "", "127.0.0.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Bound{Most: 10, PerAddress: 10, FirstByte: 10 * time.Second, Proxies: tt.proxies, ProxyProtocol: tt.on})
			client, served := w.dial()
			if _, err := client.Write([]byte(tt.sent)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, max(1, len(tt.read)))
			n, err := served.Read(got)
			if string(got[:n]) != tt.read || (err != nil) != (tt.read == "") {
				t.Errorf("read %q, %v; want %q", got[:n], err, tt.read)
			}
			if ip, _ := ipOf(served.RemoteAddr()); ip.String() != tt.client {
				t.Errorf("it is for %s, want %s", ip, tt.client)
			}
		})
	}
}

// A proxy that opens a connection and says nothing holds up nobody, and no longer than
// the first byte may take.
func TestAProxyThatSaysNothing(t *testing.T) {
	w := newWorld(t, Bound{Most: 10, PerAddress: 10, FirstByte: 100 * time.Millisecond, Proxies: Proxies{netip.MustParsePrefix("127.0.0.0/8")}, ProxyProtocol: true})
	_, silent := w.dial()
	client, served := w.dial()
	speak(t, client, served)
	if err := silent.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := silent.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes of nothing", n)
	}
}
