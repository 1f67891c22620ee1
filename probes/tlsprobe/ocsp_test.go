package tlsprobe_test

import (
	"crypto/x509"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/gengfu/gengfu/probes"
)

// answer makes an OCSP answer about a certificate, signed by some entity.
func answer(t testing.TB, about, issuer, by entity, r ocsp.Response) []byte {
	t.Helper()
	if r.SerialNumber == nil {
		r.SerialNumber = about.cert.SerialNumber
	}
	if r.ThisUpdate.IsZero() {
		r.ThisUpdate = day.Add(-time.Hour)
	}
	if !by.cert.Equal(issuer.cert) {
		r.Certificate = by.cert
	}
	raw, err := ocsp.CreateResponse(issuer.cert, by.cert, r, by.key)
	require.NoError(t, err)
	return raw
}

func TestStaples(t *testing.T) {
	root := newRoot(t, "根证书")
	ca, stranger := root.intermediate(t, "中间证书"), newRoot(t, "别的")
	site, other := ca.site(t), ca.site(t)
	responder := ca.site(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	features, err := asn1.Marshal([]int{5})
	require.NoError(t, err)
	strict := ca.site(t, extension([]int{1, 3, 6, 1, 5, 5, 7, 1, 24}, features))
	next := day.Add(48 * time.Hour)
	for _, tt := range []struct {
		name    string
		site    entity
		staple  []byte
		status  string
		verdict probes.Verdict
		says    string // a regular expression; empty for nothing
	}{
		{"none", site, nil, "none", probes.Up, ""},
		{"good", site, answer(t, site, ca, ca, ocsp.Response{NextUpdate: next}), "good", probes.Up, ""},
		{"good without a next update", site, answer(t, site, ca, ca, ocsp.Response{}), "good", probes.Up, ""},
		{"good by a responder", site, answer(t, site, ca, responder, ocsp.Response{NextUpdate: next}), "good", probes.Up, ""},
		{"clocks differ a little", site, answer(t, site, ca, ca, ocsp.Response{ThisUpdate: day.Add(time.Minute), NextUpdate: next}), "good", probes.Up, ""},
		{"revoked", site, answer(t, site, ca, ca, ocsp.Response{Status: ocsp.Revoked, RevokedAt: day.Add(-5 * time.Hour), RevocationReason: ocsp.KeyCompromise, NextUpdate: next}), "revoked", probes.Down, "^www.rsj.test 的证书已于 2026-11-25 07:00 被吊销$"},
		{"revoked long ago", site, answer(t, site, ca, ca, ocsp.Response{Status: ocsp.Revoked, RevokedAt: day.AddDate(0, -2, 0), ThisUpdate: day.AddDate(0, -1, 0), NextUpdate: day.AddDate(0, 0, -20)}), "revoked", probes.Down, "被吊销$"},
		{"unknown", site, answer(t, site, ca, ca, ocsp.Response{Status: ocsp.Unknown, NextUpdate: next}), "unknown", probes.Degraded, "^签发机构不认识 www.rsj.test 的证书（OCSP）$"},
		{"stale", site, answer(t, site, ca, ca, ocsp.Response{ThisUpdate: day.AddDate(0, 0, -8), NextUpdate: day.Add(-time.Hour)}), "stale", probes.Degraded, "^www.rsj.test 附带的证书状态证明（OCSP）已于 2026-11-25 11:00 过期$"},
		{"of the future", site, answer(t, site, ca, ca, ocsp.Response{ThisUpdate: day.Add(time.Hour), NextUpdate: next}), "invalid", probes.Degraded, "OCSP）无效（dated 2026-11-25T05:00:00Z"},
		{"about another certificate", site, answer(t, other, ca, ca, ocsp.Response{NextUpdate: next}), "invalid", probes.Degraded, "OCSP）无效（no response matching the supplied certificate）"},
		{"signed by a stranger", site, answer(t, site, ca, stranger, ocsp.Response{NextUpdate: next}), "invalid", probes.Degraded, "OCSP）无效"},
		{"signed by a site of the same issuer", site, answer(t, site, ca, other, ocsp.Response{Status: ocsp.Revoked, RevokedAt: day, NextUpdate: next}), "invalid", probes.Degraded, "OCSP）无效（signed by a certificate that may not answer for its issuer）"},
		{"junk", site, []byte("junk"), "invalid", probes.Degraded, "OCSP）无效"},
		{"try later", site, ocsp.TryLaterErrorResponse, "invalid", probes.Degraded, "OCSP）无效（ocsp: error from server: try later）"},
		{"demanded and none", strict, nil, "none", probes.Degraded, "^www.rsj.test 的证书要求附带状态证明（OCSP），服务器没有附带$"},
		{"demanded and good", strict, answer(t, strict, ca, ca, ocsp.Response{NextUpdate: next}), "good", probes.Up, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := tt.site.with(ca)
			cert.OCSPStaple = tt.staple
			port := serveTLS(t, sends(cert))
			l := at(t, day, port, "expect: [\"ocsp.status == '"+tt.status+"'\"]", trusting(root.pool()))
			require.Equal(t, tt.verdict, l.Verdict, "%v", l.says())
			if tt.says == "" {
				require.Empty(t, l.says())
				return
			}
			require.Len(t, l.says(), 1)
			require.Regexp(t, tt.says, l.says()[0])
			require.Equal(t, probes.ClassTLS, l.Class)
			l = at(t, day, port, "ignore: [ocsp]", trusting(root.pool()))
			require.Equal(t, tt.status == "revoked", l.Verdict == probes.Down, "a revoked certificate cannot be ignored")
			require.Equal(t, tt.status != "revoked", l.Verdict == probes.Up)
		})
	}
	t.Run("hours", func(t *testing.T) {
		cert := site.with(ca)
		cert.OCSPStaple = answer(t, site, ca, ca, ocsp.Response{NextUpdate: next})
		l := at(t, day, serveTLS(t, sends(cert)), "warn: [ocsp.hours_left > 72]", trusting(root.pool()))
		require.Equal(t, "ocsp.hours_left = 48", l.Checks[0].Saw)
		require.Equal(t, probes.Degraded, l.Verdict)
	})
	t.Run("without the issuer", func(t *testing.T) {
		cert := site.with()
		cert.OCSPStaple = answer(t, site, ca, ca, ocsp.Response{NextUpdate: next})
		l := at(t, day, serveTLS(t, sends(cert)), "expect: [\"ocsp.status == 'unverified'\"]", trusting(root.pool()))
		require.Equal(t, []probes.Phrase{probes.PhraseChainMissing}, l.phrases())
	})
}
