package tlsprobe_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// day is when every certificate of the tests is looked at, unless a test says otherwise.
var day = time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)

const host = "www.rsj.test"

// entity is a certificate with its key.
type entity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

type change func(*x509.Certificate)

func (e entity) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(e.cert)
	return p
}

func (e entity) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.cert.Raw})
}

// with is e as a server sends it, followed by others.
func (e entity) with(others ...entity) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{e.cert.Raw}, PrivateKey: e.key}
	for _, o := range others {
		c.Certificate = append(c.Certificate, o.cert.Raw)
	}
	return c
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, key, by crypto.Signer) entity {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	require.NoError(t, err)
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return entity{cert, key}
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: day.AddDate(-1, 0, 0), NotAfter: day.AddDate(5, 0, 0),
	}
}

// newRoot makes a root of its own.
func newRoot(t testing.TB, name string, changes ...change) entity {
	t.Helper()
	template := authorityTemplate(name)
	for _, c := range changes {
		c(template)
	}
	key := newKey(t)
	return sign(t, template, template, key, key)
}

// intermediate makes an authority below e.
func (e entity) intermediate(t testing.TB, name string, changes ...change) entity {
	t.Helper()
	template := authorityTemplate(name)
	template.NotAfter = day.AddDate(2, 0, 0)
	for _, c := range changes {
		c(template)
	}
	return sign(t, template, e.cert, newKey(t), e.key)
}

// site makes a certificate of host below e.
func (e entity) site(t testing.TB, changes ...change) entity {
	t.Helper()
	return e.siteOf(t, newKey(t), changes...)
}

func (e entity) siteOf(t testing.TB, key crypto.Signer, changes ...change) entity {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: day.AddDate(0, 0, -10), NotAfter: day.AddDate(0, 0, 90),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range changes {
		c(template)
	}
	return sign(t, template, e.cert, key, e.key)
}

// The changes that tests make.
func dates(from, to time.Time) change {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
}

func names(list ...string) change {
	return func(c *x509.Certificate) { c.DNSNames = list }
}

func noNames(c *x509.Certificate) { c.DNSNames = nil }

func addresses(list ...string) change {
	return func(c *x509.Certificate) {
		c.DNSNames = nil
		for _, a := range list {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(a))
		}
	}
}

func issuerAt(urls ...string) change {
	return func(c *x509.Certificate) { c.IssuingCertificateURL = urls }
}

func extension(oid []int, value []byte) change {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Value: value})
	}
}

// bySHA1 signs a certificate anew, by a digest that the standard library refuses
// to sign by: only the algorithm's name and the signature differ.
func bySHA1(t testing.TB, of, by entity) entity {
	t.Helper()
	type signed struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	sha256, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}})
	require.NoError(t, err)
	old := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}}
	sha1Name, err := asn1.Marshal(old)
	require.NoError(t, err)
	// The two names differ in length by one byte, so the outer length changes.
	body := of.cert.RawTBSCertificate
	var tbs asn1.RawValue
	_, err = asn1.Unmarshal(body, &tbs)
	require.NoError(t, err)
	tbs.FullBytes, tbs.Bytes = nil, bytes.Replace(tbs.Bytes, sha256, sha1Name, 1)
	full, err := asn1.Marshal(tbs)
	require.NoError(t, err)
	require.NotEqual(t, body, full)
	digest := sha1.Sum(full)
	sig, err := by.key.Sign(rand.Reader, digest[:], crypto.SHA1)
	require.NoError(t, err)
	der, err := asn1.Marshal(signed{asn1.RawValue{FullBytes: full}, old, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.Equal(t, x509.ECDSAWithSHA1, cert.SignatureAlgorithm)
	return entity{cert, of.key}
}
