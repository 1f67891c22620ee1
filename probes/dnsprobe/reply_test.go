package dnsprobe

import (
	"errors"
	"net"
	"testing"
	"unicode/utf8"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// FuzzReply reads messages as hostile servers write them.
func FuzzReply(f *testing.F) {
	query := new(dns.Msg)
	query.SetQuestion("www.example.test.", dns.TypeA)
	query.Id = 0x1234
	right := new(dns.Msg)
	right.SetReply(query)
	head := func(t uint16) dns.RR_Header {
		return dns.RR_Header{Name: "www.example.test.", Rrtype: t, Class: dns.ClassINET, Ttl: 1}
	}
	right.Answer = []dns.RR{&dns.CNAME{Hdr: head(dns.TypeCNAME), Target: "www.example.test."}, &dns.A{Hdr: head(dns.TypeA), A: net.IPv4(1, 2, 3, 4)}}
	b, err := right.Pack()
	require.NoError(f, err)
	f.Add(b, uint8(0))
	f.Add(b[:20], uint8(1))
	f.Add([]byte{0x12, 0x34, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1}, uint8(2)) // a name that points to itself
	f.Add([]byte{0x12, 0x34}, uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		q := query.Copy()
		q.Question[0].Qtype = types[int(which)%len(types)]
		m, err := unpack(data, q, which%2 == 0)
		if err != nil {
			require.Nil(t, m)
			require.NotEmpty(t, err.Error())
			require.False(t, foreign(err) && !errors.As(err, new(errForeign)))
			return
		}
		r := read(m, q.Question[0].Name, q.Question[0].Qtype)
		require.LessOrEqual(t, len(r.answers), maxAnswers)
		require.LessOrEqual(t, len(r.aliases), maxChain)
		require.NotEmpty(t, r.rcode)
		for _, a := range r.answers {
			require.True(t, utf8.ValidString(a))
			require.LessOrEqual(t, len(a), 3*maxText) // U+FFFD is three bytes long
		}
		r.attrs()
	})
}
