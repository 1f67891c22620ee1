package probetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/gengfu/gengfu/probes"
)

// Env makes an Env with real sockets, a name server that knows names alone and
// these secrets. Its Recorder is a *Recorder.
func Env(t testing.TB, names map[string]netip.Addr, secrets map[string]string) (probes.Env, *Recorder) {
	t.Helper()
	rec := &Recorder{}
	var dialer net.Dialer
	return probes.Env{
		Dial:     dialer.DialContext,
		Resolver: Resolver(t, names),
		Secret: func(name string) (string, error) {
			if v, ok := secrets[name]; ok {
				return v, nil
			}
			return "", fmt.Errorf("secret %s is not set here", name)
		},
		Record: rec,
	}, rec
}

// Resolver makes a resolver that asks a name server on loopback, which knows
// names and answers NXDOMAIN to all others. The server ends with the test.
func Resolver(t testing.TB, names map[string]netip.Addr) *net.Resolver {
	t.Helper()
	all := map[string][]netip.Addr{}
	for name, addr := range names {
		all[name] = []netip.Addr{addr}
	}
	return resolver(t, all)
}

// Addresses makes a resolver like Resolver that knows one name with several addresses.
func Addresses(t testing.TB, name string, addrs ...string) *net.Resolver {
	t.Helper()
	all := map[string][]netip.Addr{}
	for _, a := range addrs {
		all[name] = append(all[name], netip.MustParseAddr(a))
	}
	return resolver(t, all)
}

func resolver(t testing.TB, names map[string][]netip.Addr) *net.Resolver {
	t.Helper()
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	var done sync.WaitGroup
	done.Go(func() { serveNames(conn, names) })
	t.Cleanup(func() {
		conn.Close()
		done.Wait()
	})
	server := conn.LocalAddr().String()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server)
	}}
}

func serveNames(conn net.PacketConn, names map[string][]netip.Addr) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if reply, err := answer(buf[:n], names); err == nil {
			// An answer that is lost is asked for again.
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

func answer(query []byte, names map[string][]netip.Addr) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	q := m.Questions[0]
	addrs, known := names[strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
	for _, addr := range addrs {
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}})
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return m.Pack()
}
