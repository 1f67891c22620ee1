package tlsprobe

import (
	"crypto/dsa" //nolint:staticcheck // only to be called weak
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"github.com/gengfu/gengfu/probes"
)

// nameOf is what people call a certificate by: the common name, or all of it.
func nameOf(n pkix.Name) string {
	if s := probes.Excerpt(n.CommonName); s != "" {
		return s
	}
	if s := probes.Excerpt(n.String()); s != "" {
		return s
	}
	return "?"
}

// maxNames bounds the names of one certificate that are written anywhere.
const maxNames = 20

// someNames are the names that a certificate is for, the first ones of very many.
func someNames(c *x509.Certificate) []string {
	var out []string
	for _, name := range c.DNSNames[:min(len(c.DNSNames), maxNames)] {
		out = append(out, probes.Excerpt(name))
	}
	for _, ip := range c.IPAddresses[:min(len(c.IPAddresses), maxNames-len(out))] {
		out = append(out, ip.String())
	}
	if more := len(c.DNSNames) + len(c.IPAddresses) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("… +%d", more))
	}
	return out
}

// key says of what kind and size a certificate's key is.
func key(c *x509.Certificate) (kind string, bits int) {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		if sm2.IsSM2PublicKey(k) {
			return "SM2", 256
		}
		return "ECDSA", k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return "Ed25519", 256
	case *dsa.PublicKey:
		return "DSA", k.P.BitLen()
	}
	return c.PublicKeyAlgorithm.String(), 0
}

// keyOf is a key in short: "RSA 2048".
func keyOf(c *x509.Certificate) string {
	kind, bits := key(c)
	return fmt.Sprintf("%s %d", kind, bits)
}

// The smallest keys that the CA/Browser Forum's baseline requirements (6.1.5) let pass.
const (
	minRSA   = 2048
	minCurve = 256
)

func weakKey(c *x509.Certificate) bool {
	switch kind, bits := key(c); kind {
	case "RSA":
		return bits < minRSA
	case "ECDSA":
		return bits < minCurve
	case "DSA":
		return true
	}
	return false
}

// brokenSignatures are those by digests for which collisions are made.
var brokenSignatures = []x509.SignatureAlgorithm{
	x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
}

func weaklySigned(c *x509.Certificate) bool {
	return slices.Contains(brokenSignatures, c.SignatureAlgorithm)
}
