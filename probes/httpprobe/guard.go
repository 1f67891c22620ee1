package httpprobe

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// region is the part of the network that an address belongs to. A redirect may
// not lead from one to another that is further inside, unless the definition
// allows it: a site on the internet could otherwise make an agent ask the hosts
// beside it.
type region string

const (
	regionInternet    region = "internet"
	regionPrivate     region = "private"     // RFC 1918, RFC 4193, RFC 6598
	regionLinkLocal   region = "link-local"  // RFC 3927, RFC 4291
	regionLoopback    region = "loopback"    //
	regionMetadata    region = "metadata"    // where clouds tell a host its credentials
	regionUnspecified region = "unspecified" // "this host" (RFC 1122), which is loopback for many
	regionReserved    region = "reserved"    // multicast, broadcast and what is not assigned
)

// metadata are the addresses at which clouds serve instance metadata.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), // most clouds
	netip.MustParseAddr("169.254.170.2"),   // container credentials
	netip.MustParseAddr("169.254.0.23"),    // Tencent Cloud
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
}

var (
	thisNet   = netip.MustParsePrefix("0.0.0.0/8")
	shared    = netip.MustParsePrefix("100.64.0.0/10")
	protocol  = netip.MustParsePrefix("192.0.0.0/24")
	benchmark = netip.MustParsePrefix("198.18.0.0/15")
	reserved  = netip.MustParsePrefix("240.0.0.0/4")
	siteLocal = netip.MustParsePrefix("fec0::/10")
	sixToFour = netip.MustParsePrefix("2002::/16")
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	nat64Own  = netip.MustParsePrefix("64:ff9b:1::/48")
	compat    = netip.MustParsePrefix("::/96")
)

// regionOf sorts an address. One that carries an IPv4 address inside is sorted
// by that.
func regionOf(a netip.Addr) region {
	a = inner(a.Unmap().WithZone(""))
	switch {
	case slices.Contains(metadata, a):
		return regionMetadata
	case a.IsUnspecified(), thisNet.Contains(a):
		return regionUnspecified
	case a.IsLoopback():
		return regionLoopback
	case a.IsLinkLocalUnicast():
		return regionLinkLocal
	case a.IsPrivate(), shared.Contains(a), benchmark.Contains(a), siteLocal.Contains(a), nat64Own.Contains(a):
		return regionPrivate
	case a.IsMulticast(), reserved.Contains(a), protocol.Contains(a):
		return regionReserved
	}
	return regionInternet
}

// inner is the IPv4 address inside one of IPv6 that a translator would speak to.
func inner(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	b := a.As16()
	switch {
	case nat64.Contains(a), compat.Contains(a) && !a.IsUnspecified() && !a.IsLoopback():
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}

// allowance is the definition's list of places that redirects may lead to
// whatever their region.
type allowance struct {
	nets  []netip.Prefix
	hosts []string // in ASCII; one that begins with a dot stands for all below it
}

func (l allowance) addr(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(l.nets, func(n netip.Prefix) bool { return n.Contains(a) })
}

func (l allowance) host(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return slices.ContainsFunc(l.hosts, func(h string) bool {
		return h == name || strings.HasPrefix(h, ".") && strings.HasSuffix(name, h)
	})
}

// admit says whether the hop may connect to addr. A request may go where
// the definition says, and fixes the region; one that a reply led to is judged by
// the address that is dialled, so that a name which resolves anew to another
// place changes nothing.
func (h *hop) admit(addr netip.Addr) *probes.Failure {
	if !h.ask.led || h.allow.host(h.ask.url.Hostname()) || h.allow.addr(addr) {
		return nil
	}
	switch r := regionOf(addr); r {
	case regionInternet, h.region:
		return nil
	default:
		return &probes.Failure{
			Class: probes.ClassRedirect, Phrase: probes.PhraseRedirectInside,
			Want: probes.Excerpt(h.redact.Text(h.ask.url.String())), Got: addr.Unmap().String() + " (" + string(r) + ")",
		}
	}
}
