package tlsprobe

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// The bounds of a chain.
const (
	maxSent  = 32   // certificates of one server that are looked at
	maxDepth = 10   // certificates on the way to a root
	maxRSA   = 8192 // bits; checking by a larger key costs more than it tells
)

// chain is what was found out about the way from a certificate to a root.
type chain struct {
	sent     []*x509.Certificate   // bounded
	fetched  []*x509.Certificate   // by AIA
	path     []*x509.Certificate   // from the leaf upwards, as far as the certificates at hand lead
	verified [][]*x509.Certificate // every way to a trusted root
	err      error                 // why there is none
	pool     *x509.CertPool
	at       time.Time         // by which the leaf's issuers are judged
	orphan   *x509.Certificate // the one whose issuer was not sent and is no root; nil when none is missing
	source   string            // where its issuer was fetched by AIA, or was to be
}

// climb looks for a way from the first certificate to a trusted root. nil as
// pool means the host's.
func climb(sent []*x509.Certificate, pool *x509.CertPool, now time.Time) chain {
	c := chain{sent: sent[:min(len(sent), maxSent)], pool: pool}
	// A certificate out of its dates is said to be so by itself; its chain is
	// judged by the nearest day on which it was good, so that both are told.
	c.at = nearest(c.leaf(), now)
	c.path = c.walk()
	c.verify()
	if top := c.top(); !c.trusted() && !selfIssued(top) && !weaklySigned(top) && !c.anchored() {
		c.orphan = top
	}
	return c
}

// nearest is the instant next to t at which a certificate is in its dates.
func nearest(c *x509.Certificate, t time.Time) time.Time {
	switch {
	case t.After(c.NotAfter):
		return c.NotAfter
	case t.Before(c.NotBefore):
		return c.NotBefore
	}
	return t
}

// anchored reports whether the path's end leads to a trusted root, or is one.
func (c *chain) anchored() bool {
	top := c.top()
	_, err := top.Verify(x509.VerifyOptions{
		Roots: c.pool, CurrentTime: nearest(top, c.at), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

func (c *chain) leaf() *x509.Certificate { return c.sent[0] }
func (c *chain) top() *x509.Certificate  { return c.path[len(c.path)-1] }
func (c *chain) trusted() bool           { return len(c.verified) > 0 }
func (c *chain) repaired() bool          { return c.trusted() && len(c.fetched) > 0 }
func (c *chain) complete() bool          { return c.orphan == nil }

// verify is the standard library's, which alone decides what is trusted.
func (c *chain) verify() {
	options := x509.VerifyOptions{Roots: c.pool, CurrentTime: c.at, Intermediates: x509.NewCertPool()}
	for _, i := range slices.Concat(c.sent[1:], c.fetched) {
		options.Intermediates.AddCert(i)
	}
	c.verified, c.err = c.leaf().Verify(options)
}

// walk goes upwards by names and signatures, without asking what is trusted.
func (c *chain) walk() []*x509.Certificate {
	path := []*x509.Certificate{c.leaf()}
	at := slices.Concat(c.sent[1:], c.fetched)
	for len(path) < maxDepth {
		last := path[len(path)-1]
		if selfIssued(last) {
			break
		}
		i := slices.IndexFunc(at, func(o *x509.Certificate) bool { return issued(o, last) && !slices.ContainsFunc(path, o.Equal) })
		if i < 0 {
			break
		}
		path = append(path, at[i])
	}
	return path
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// issued reports whether one certificate signed another. A digest that is not
// checked any more counts as signed: that it is weak is said elsewhere.
func issued(by, c *x509.Certificate) bool {
	if !bytes.Equal(by.RawSubject, c.RawIssuer) || hugeKey(by) {
		return false
	}
	err := c.CheckSignatureFrom(by)
	return err == nil || errors.As(err, new(x509.InsecureAlgorithmError))
}

func hugeKey(c *x509.Certificate) bool {
	k, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && k.N.BitLen() > maxRSA
}

// way is the way that says most about the site: of the trusted ones the one that
// lasts longest, as a visitor's program needs one of them; else the path.
func (c *chain) way() []*x509.Certificate {
	best := c.path
	for i, v := range c.verified {
		if i == 0 || until(v).NotAfter.After(until(best).NotAfter) {
			best = v
		}
	}
	return best
}

// until is the certificate of a way that expires first.
func until(way []*x509.Certificate) *x509.Certificate {
	first := way[0]
	for _, c := range way {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	return first
}

// issuer is the certificate that signed the leaf, if it is at hand.
func (c *chain) issuer() *x509.Certificate {
	if way := c.way(); len(way) > 1 {
		return way[1]
	}
	if leaf := c.leaf(); selfIssued(leaf) {
		return leaf
	}
	return nil
}

// wantsAIA reports whether a missing certificate may be had by AIA.
func (c *chain) wantsAIA() bool { return c.orphan != nil && len(c.orphan.IssuingCertificateURL) > 0 }
