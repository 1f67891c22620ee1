package tlsprobe

import (
	"net/netip"
	"slices"
)

// inward are the networks that are nobody's on the public Internet (RFC 6890 and
// the IANA registries it names), where a public site has no business to send an
// agent. 100.64.0.0/10 holds the metadata service of a large Chinese cloud.
var inward = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("ff00::/8"),
}

// carriers are prefixes whose addresses hold an IPv4 address, with the byte at
// which it begins: NAT64 (RFC 6052) and 6to4 (RFC 3056).
var carriers = map[netip.Prefix]int{
	netip.MustParsePrefix("64:ff9b::/96"): 12,
	netip.MustParsePrefix("2002::/16"):    2,
}

// public reports whether an address is one of the public Internet.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for carrier, at := range carriers {
		if carrier.Contains(a) {
			b := a.As16()
			return public(netip.AddrFrom4([4]byte(b[at : at+4])))
		}
	}
	return a.IsValid() && !slices.ContainsFunc(inward, func(p netip.Prefix) bool { return p.Contains(a) })
}
