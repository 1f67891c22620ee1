package tlsprobe

import (
	"net/netip"
	"slices"
)

// depth is how far inside an address lies. A site's certificate may lead an agent
// no further inside than the site itself is.
type depth int

const (
	depthPublic  depth = iota
	depthPrivate       // of an organisation, or of nobody
	depthHost          // the agent's own host and what only its neighbours reach
)

var (
	// hosts are loopback, link-local and unspecified networks, and the metadata
	// services of clouds that lie outside of them: they hand out credentials.
	hosts = prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.0/24",
		"::/96", "fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128")
	// privates are further networks that are nobody's on the public Internet (RFC
	// 6890 and the IANA registries that it names).
	privates = prefixes("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
		"64:ff9b:1::/48", "100::/64", "fc00::/7", "fec0::/10", "ff00::/8")
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Addresses of these networks hold one of IPv4: NAT64 (RFC 6052), 6to4 (RFC 3056).
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

func depthOf(a netip.Addr) depth {
	a = a.Unmap().WithZone("")
	b := a.As16()
	within := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	switch {
	case nat64.Contains(a):
		return depthOf(netip.AddrFrom4([4]byte(b[12:])))
	case sixToFour.Contains(a):
		return depthOf(netip.AddrFrom4([4]byte(b[2:6])))
	case within(hosts):
		return depthHost
	case within(privates):
		return depthPrivate
	}
	return depthPublic
}
