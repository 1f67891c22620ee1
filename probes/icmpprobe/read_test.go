package icmpprobe

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzRead sorts messages as hostile hosts write them.
func FuzzRead(f *testing.F) {
	f.Add([]byte{0, 0, 0xff, 0xff, 0, 0, 0, 0}, false)
	f.Add([]byte{129, 0, 0, 0, 0, 0, 0, 1, 0, 0}, true)
	f.Add([]byte{3, 1, 0, 0, 0, 0, 0, 0, 0x4f, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0}, false)
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0x60}, true)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		p := &pinger{addr: netip.MustParseAddr("10.0.0.1"), raw: true, id: 0xffff, size: 56}
		if six {
			p.addr = netip.MustParseAddr("2001:db8::1")
		}
		p.token[0] = 1
		a := p.read(b, &net.IPAddr{IP: p.addr.AsSlice()})
		require.LessOrEqual(t, a.seq, 0xffff)
		if a.seq >= 0 && a.unreachable == "" {
			require.GreaterOrEqual(t, len(b), 8+p.size, "a reply repeats the data")
		}
	})
}

func TestStats(t *testing.T) {
	now := time.Now()
	got := tally{sent: []echo{{now, 10 * time.Millisecond}, {now, 30 * time.Millisecond}, {now, 0}, {now, 20 * time.Millisecond}}}
	s := got.stats()
	require.Equal(t, 4, s.sent)
	require.Equal(t, 3, s.received)
	require.Equal(t, 25.0, s.loss)
	require.Equal(t, 10*time.Millisecond, s.min)
	require.Equal(t, 20*time.Millisecond, s.avg)
	require.Equal(t, 30*time.Millisecond, s.max)
	require.InDelta(t, 8.165, s.measures()["rtt_stddev_ms"], 0.001)
	require.Equal(t, stats{}, new(tally).stats())
}
