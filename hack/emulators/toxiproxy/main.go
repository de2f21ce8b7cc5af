// Command toxiproxy stands between a process and its peers on this machine, as lines that
// can be made slow, narrow, half open and cut: Shopify's toxiproxy, with its HTTP API
// (https://github.com/Shopify/toxiproxy) on the address, and nothing of its own.
//
//	toxiproxy [--listen 127.0.0.1:0]
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "toxiproxy:", err)
		os.Exit(1)
	}
}

func run(listen string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	lines := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	return http.Serve(l, lines.Routes()) //nolint:gosec // a test's, on loopback
}
