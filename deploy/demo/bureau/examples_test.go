package bureau_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/deploy/demo/bureau"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
	"github.com/gengfu/gengfu/probes/probetest"
)

// examples are the example definitions with this bureau's ports.
func examples(t *testing.T, b *bureau.Bureau) *definition.Catalog {
	t.Helper()
	files, err := definition.ReadDir("../../../probes/examples")
	require.NoError(t, err)
	ports := strings.NewReplacer(":8000", ":"+strconv.Itoa(b.Port()), ":8443", ":"+strconv.Itoa(b.TLSPort()))
	for i := range files {
		files[i].Data = []byte(ports.Replace(string(files[i].Data)))
	}
	c, err := definition.Compile(definition.Revision{}, files, kinds.All())
	require.NoError(t, err)
	return c
}

// env is an agent's at a site.
func env(t *testing.T, b *bureau.Bureau, site string) probes.Env {
	t.Helper()
	names := map[string]netip.Addr{"sso.rsj.example": netip.MustParseAddr(site), "open.weixin.example": netip.MustParseAddr(site)}
	for _, s := range bureau.Services() {
		names[s.Host] = netip.MustParseAddr(site)
	}
	e, _ := probetest.Env(t, names, map[string]string{"TEST_ID": "11010119900307000X", "SHARE_KEY": bureau.ShareKey})
	ca, err := os.ReadFile(b.CAFile())
	require.NoError(t, err)
	e.Roots = x509.NewCertPool()
	require.True(t, e.Roots.AppendCertsFromPEM(ca))
	return e
}

func run(t *testing.T, e probes.Env, p probes.Probe) probes.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), p.Timeout)
	defer cancel()
	r, err := p.Prober.Probe(ctx, e)
	require.NoError(t, err, p.Key)
	probetest.Readable(t, r)
	return r
}

func TestExamplesOfHTTP_FindTheBureauWell(t *testing.T) {
	b := open(t)
	e := env(t, b, sites[0])
	ran := 0
	for _, p := range examples(t, b).Probes() {
		if p.Kind != "http" {
			continue
		}
		r := run(t, e, p)
		ran++
		if p.Key.Service == "wx-07" {
			require.Equal(t, probes.Down, r.Verdict)
			require.Equal(t, probes.ClassSoft404, r.Class)
			continue
		}
		// A slow machine may be slow; nothing else may be wrong.
		require.Contains(t, []probes.Class{probes.ClassNone, probes.ClassLatency}, r.Class, "%s: %+v", p.Key, r.Findings)
		require.NotEqual(t, probes.Down, r.Verdict, "%s: %+v", p.Key, r.Findings)
	}
	require.GreaterOrEqual(t, ran, 27)
}

func TestExamplesOfHTTP_FindEveryFault(t *testing.T) {
	b := open(t)
	e := env(t, b, sites[0])
	all := map[string]probes.Probe{}
	for _, p := range examples(t, b).Probes() {
		if _, taken := all[p.Key.Service]; p.Kind == "http" && !taken {
			all[p.Key.Service] = p
		}
	}
	for _, tt := range []struct {
		service string
		fault   bureau.Fault
		verdict probes.Verdict
		class   probes.Class
	}{
		{"pt-01", bureau.FaultError500, probes.Down, probes.ClassStatus},
		{"wx-03", bureau.FaultMaintenance, probes.Down, probes.ClassMaintenancePage},
		{"pt-09", bureau.FaultGBK, probes.Down, probes.ClassEncoding},
		{"pt-08", bureau.FaultGBK, probes.Down, probes.ClassEncoding},
		{"api-01", bureau.FaultBizCode, probes.Down, probes.ClassBusinessCode},
		{"api-02", bureau.FaultBizCode, probes.Down, probes.ClassContent},
		{"api-04", bureau.FaultBizCode, probes.Down, probes.ClassBusinessCode},
		{"wx-04", bureau.FaultSoft404, probes.Down, probes.ClassSoft404},
		{"pt-10", bureau.FaultWAF405, probes.Unknown, probes.ClassBlocked},
		{"pt-04", bureau.FaultExpiredCert, probes.Down, probes.ClassTLS},
		{"api-03", bureau.FaultUnreachable, probes.Down, probes.ClassReset},
		{"nd-02", bureau.FaultError500, probes.Down, probes.ClassStatus},
	} {
		t.Run(tt.service+" "+string(tt.fault), func(t *testing.T) {
			_, err := b.Faults().Set(tt.service, tt.fault, "")
			require.NoError(t, err)
			r := run(t, e, all[tt.service])
			require.Equal(t, tt.verdict, r.Verdict, "%+v", r.Findings)
			require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
		})
	}
}

func TestExamplesOfTLS(t *testing.T) {
	b := open(t)
	e := env(t, b, sites[0])
	ran := 0
	for _, p := range examples(t, b).Probes() {
		if p.Kind != "tls" {
			continue
		}
		r := run(t, e, p)
		ran++
		require.Equal(t, probes.Up, r.Verdict, "%s: %+v", p.Key, r.Findings)
		_, err := b.Faults().Set(p.Key.Service, bureau.FaultExpiredCert, "")
		require.NoError(t, err)
		r = run(t, e, p)
		require.Equal(t, probes.Down, r.Verdict, "%+v", r)
		require.Equal(t, probes.PhraseCertExpired, r.Findings[0].Phrase)
	}
	require.Equal(t, 3, ran)
}

// TestExamplesOfOtherKinds: each finds the bureau well, and what its service may
// suffer from.
func TestExamplesOfOtherKinds(t *testing.T) {
	faults := map[string]struct {
		fault bureau.Fault
		class probes.Class
	}{
		"tcp":       {bureau.FaultError500, probes.ClassContent},
		"dns":       {"", ""}, // the bureau runs no name server
		"websocket": {bureau.FaultError500, probes.ClassStatus},
	}
	b := open(t)
	e := env(t, b, sites[0])
	ran := map[string]int{}
	for _, p := range examples(t, b).Probes() {
		f, ok := faults[p.Kind]
		if !ok {
			continue
		}
		ran[p.Kind]++
		r := run(t, e, p)
		require.Equal(t, probes.Up, r.Verdict, "%s: %+v", p.Key, r)
		if f.fault == "" {
			continue
		}
		_, err := b.Faults().Set(p.Key.Service, f.fault, "")
		require.NoError(t, err)
		r = run(t, e, p)
		require.Equal(t, probes.Down, r.Verdict, "%s: %+v", p.Key, r)
		require.Equal(t, f.class, r.Class, "%s: %+v", p.Key, r.Findings)
		require.NoError(t, b.Faults().Clear(p.Key.Service))
	}
	require.Equal(t, map[string]int{"tcp": 1, "dns": 1, "websocket": 1}, ran)
}

// TestEveryServiceHasAnExample keeps the table of services and the examples together.
func TestEveryServiceHasAnExample(t *testing.T) {
	b := open(t)
	c := examples(t, b)
	require.Len(t, c.Services, len(bureau.Services()))
	for _, s := range bureau.Services() {
		d, ok := c.Service(s.ID())
		require.True(t, ok, s.ID())
		require.Equal(t, s.Name, d.Name)
		require.Equal(t, s.Code, d.Code)
		require.Equal(t, s.Channel, d.Channel)
		scheme, port := "http://", b.Port()
		if s.TLS {
			scheme, port = "https://", b.TLSPort()
		}
		require.True(t, strings.HasPrefix(d.URL, scheme+net.JoinHostPort(s.Host, strconv.Itoa(port))+s.Path), d.URL)
	}
}
