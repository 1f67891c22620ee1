package tlsprobe_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
)

// BenchmarkRun is one run against a server in the same process, whose share of
// the handshake is part of the figure.
func BenchmarkRun(b *testing.B) {
	root, smRoot := newRoot(b, "根证书"), newSMRoot(b, "国密根证书")
	ca := root.intermediate(b, "中间证书")
	sign, crypt := smRoot.pair(b)
	s := (&smServer{version: 0x0101, suite: 0xe053, config: sends(ca.site(b).with(ca))}).certificates(sign, crypt)
	port := s.serve(b)
	for name, keys := range map[string]string{"tls": "", "tlcp": "tlcp: only\n" + inline(smRoot)} {
		b.Run(name, func(b *testing.B) {
			env, _ := probetest.Env(b, map[string]netip.Addr{host: probetest.Loopback}, nil)
			env.Roots, env.Record = root.pool(), probes.Discard
			p := decodeAt(b, "target: "+host+":"+port+"\n"+keys)
			b.ReportAllocs()
			for b.Loop() {
				r, err := p.Probe(b.Context(), env)
				require.NoError(b, err)
				require.Equal(b, probes.Up, r.Verdict)
			}
		})
	}
}
