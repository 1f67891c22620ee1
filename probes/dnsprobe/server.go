package dnsprobe

import (
	"net"
	"strings"

	"github.com/miekg/dns"
)

// proto is how a server is spoken to.
type proto string

const (
	overUDP proto = "udp" // and TCP for what is too long
	overTCP proto = "tcp"
	overTLS proto = "tls" // RFC 7858
	system  proto = "system"
)

// server is one name server.
type server struct {
	label      string // as people know it
	proto      proto
	host, port string
	sni        string // the certificate must be for it
	configured bool   // one of the host's own, asked as the resolver does
}

var ports = map[proto]string{overUDP: "53", overTCP: "53", overTLS: "853"}

const resolvConf = "/etc/resolv.conf"

// systemServers are those of the host, as its own resolver reads them.
func systemServers() []server {
	config, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil {
		// Without the file the resolver asks the host itself (resolv.conf(5)).
		return []server{{proto: overUDP, host: "127.0.0.1", port: "53", configured: true}}
	}
	var out []server
	for _, s := range config.Servers[:min(len(config.Servers), maxServers)] {
		out = append(out, server{proto: overUDP, host: strings.Trim(s, "[]"), port: config.Port, configured: true})
	}
	return out
}

// address is the server's own with its port, where that is not the usual one.
func address(host, port string, p proto) string {
	if port == ports[p] {
		return host
	}
	return net.JoinHostPort(host, port)
}
