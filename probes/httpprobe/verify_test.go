package httpprobe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// What was verified once is trusted again only while nothing of it has changed.
func TestProofHoldsForTheSameAlone(t *testing.T) {
	now := time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)
	sign := func(names string, ca *x509.Certificate, caKey *ecdsa.PrivateKey, until time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		c := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names}, DNSNames: []string{names},
			NotBefore: now.Add(-time.Hour), NotAfter: until, IsCA: ca == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
		if ca == nil {
			ca, caKey = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
		require.NoError(t, err)
		c, err = x509.ParseCertificate(der)
		require.NoError(t, err)
		return c, key
	}
	ca, caKey := sign("root.test", nil, nil, now.Add(2*time.Hour)) // ends before the leaf
	leaf, _ := sign("a.test", ca, caKey, now.Add(24*time.Hour))
	again, _ := sign("a.test", ca, caKey, now.Add(24*time.Hour))
	stranger, strangerKey := sign("root.test", nil, nil, now.Add(24*time.Hour))
	forged, _ := sign("a.test", stranger, strangerKey, now.Add(24*time.Hour))
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca)
	others.AddCert(stranger)

	h := &hop{session: &session{prober: &prober{}, roots: roots, env: probes.Env{Roots: roots}}}
	trust := func(c *x509.Certificate, host string, at time.Time) error {
		return h.trust(tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}, host, at)
	}
	require.NoError(t, trust(leaf, "a.test", now))
	first := h.proof.Load()
	require.NoError(t, trust(leaf, "a.test", now.Add(time.Hour)))
	require.Same(t, first, h.proof.Load(), "the same again is not verified again")
	require.Equal(t, ca.NotAfter, first.until, "the chain is no better than its worst")

	require.Error(t, trust(forged, "a.test", now))
	require.Error(t, trust(leaf, "b.test", now))
	require.Error(t, trust(leaf, "a.test", now.Add(3*time.Hour)), "the root has ended")
	require.Error(t, trust(leaf, "a.test", now.Add(-2*time.Hour)))
	require.NoError(t, trust(again, "a.test", now))
	require.NotSame(t, first, h.proof.Load())

	require.NoError(t, trust(leaf, "a.test", now))
	h.roots, h.env.Roots = others, others
	require.Error(t, trust(leaf, "a.test", now), "other roots know nothing of it")
	h.roots = roots // of one run
	require.NoError(t, trust(leaf, "a.test", now))
	h.proof.Store(nil)
	require.NoError(t, trust(leaf, "a.test", now))
	require.Nil(t, h.proof.Load())
}
