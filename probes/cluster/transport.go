package cluster

import (
	"context"
	"fmt"
	"log"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// profiles are memberlist's timings, by where the members stand.
var profiles = map[string]func() *memberlist.Config{
	"lan": func() *memberlist.Config {
		cfg := memberlist.DefaultLANConfig()
		cfg.DeadNodeReclaimTime = 30 * time.Second
		return cfg
	},
	"wan": func() *memberlist.Config {
		cfg := memberlist.DefaultWANConfig()
		cfg.DeadNodeReclaimTime = time.Minute
		return cfg
	},
	"local": local,
}

// local is for a whole fleet on one host: a killed member is missed after two
// or three seconds.
func local() *memberlist.Config {
	cfg := memberlist.DefaultLocalConfig()
	cfg.TCPTimeout = 3 * time.Second
	cfg.RetransmitMult = 4
	cfg.ProbeInterval = 400 * time.Millisecond
	cfg.ProbeTimeout = 250 * time.Millisecond
	// 1.2 s of suspicion up to ten members, at most twice that when nobody else
	// has the same suspicion.
	cfg.SuspicionMult = 3
	cfg.SuspicionMaxTimeoutMult = 2
	cfg.AwarenessMaxMultiplier = 4
	cfg.PushPullInterval = 10 * time.Second
	cfg.DeadNodeReclaimTime = 2 * time.Second
	return cfg
}

// transport is memberlist's network, except that dialling and talking end when
// the member does: memberlist itself would sit out its timeout.
type transport struct {
	*memberlist.NetTransport
	dialling    context.Context
	cancelDials context.CancelFunc
}

func listen(ip string, port int, logger *log.Logger) (*transport, error) {
	nt, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{ip}, BindPort: port, Logger: logger,
	})
	for range 9 {
		// A free TCP port may be taken for UDP: with port 0 another is to be had.
		if err == nil || port != 0 || !inUse(err) {
			break
		}
		nt, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{ip}, BindPort: port, Logger: logger,
		})
	}
	addr := net.JoinHostPort(ip, strconv.Itoa(port))
	switch {
	case err == nil:
	case inUse(err):
		return nil, fmt.Errorf("gossip %w: %s is taken: another member on this host? give this one a port of its own", ErrInUse, addr)
	default:
		return nil, fmt.Errorf("listening for gossip on %s: %w", addr, err)
	}
	t := &transport{NetTransport: nt}
	t.dialling, t.cancelDials = context.WithCancel(context.Background())
	return t, nil
}

// inUse reads memberlist's text, because it does not wrap the error.
func inUse(err error) bool { return strings.Contains(err.Error(), "address already in use") }

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(t.dialling, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(t.dialling, func() { _ = conn.Close() })
	return dialled{conn, stop}, nil
}

// dialled is a connection that is cut when the member ends.
type dialled struct {
	net.Conn
	stop func() bool
}

func (d dialled) Close() error {
	d.stop()
	return d.Conn.Close()
}
