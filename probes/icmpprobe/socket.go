package icmpprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/net/icmp"

	"github.com/gengfu/gengfu/probes"
)

// Allow is how a host's owner lets an agent send echo requests.
const Allow = `sysctl -w net.ipv4.ping_group_range="0 2147483647", setcap cap_net_raw+ep agent`

// Open opens a socket for echoes of a family, "ip4" or "ip6": one for datagrams,
// which needs no privilege where the kernel lets the agent's group have it
// (ping_group_range), else a raw one, which needs CAP_NET_RAW. Where the host
// allows neither, its error is a *probes.Trouble that says how to.
func Open(_ context.Context, family string) (net.PacketConn, error) {
	networks, local := []string{"udp4", "ip4:icmp"}, "0.0.0.0"
	if family == "ip6" {
		networks, local = []string{"udp6", "ip6:ipv6-icmp"}, "::"
	}
	var first error
	for _, network := range networks {
		conn, err := icmp.ListenPacket(network, local)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	err := fmt.Errorf("opening a socket for echoes: %w", first)
	if errors.Is(first, syscall.EAFNOSUPPORT) || errors.Is(first, syscall.EADDRNOTAVAIL) {
		return nil, &probes.Trouble{Phrase: probes.PhraseNoIPv6, Got: probes.Excerpt(err.Error()), Err: err}
	}
	if errors.Is(first, os.ErrPermission) {
		return nil, &probes.Trouble{Phrase: probes.PhraseNoPing, Got: Allow, Err: err}
	}
	return nil, err
}

// Allowed reports why this process may not send echo requests; nil when it may.
func Allowed(ctx context.Context) error {
	conn, err := Open(ctx, "ip4")
	if err != nil {
		return err
	}
	return conn.Close()
}
