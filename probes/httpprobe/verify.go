package httpprobe

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

var errNoIntermediate = errors.New("the server sent no intermediate certificate")

// proof remembers that certificates were verified. The same certificates, for the
// same host and against the same roots, verify again as long as the chain that was
// found is valid, and checking its signatures is a tenth of a TLS probe's CPU.
type proof struct {
	sum         [sha256.Size]byte // of the host and the certificates as sent
	roots       *x509.CertPool    // nil means the host's
	from, until time.Time         // when all of the chain are valid
}

// trust verifies what the server sent, or finds that it has not changed since it
// was verified last. A pool made for one run is compared by none: it would be kept
// alive for nothing.
func (h *hop) trust(s tls.ConnectionState, host string, now time.Time) error {
	if h.roots != h.env.Roots {
		_, err := verify(s, h.roots, host, now)
		return err
	}
	sum := shown(s.PeerCertificates, host)
	if p := h.proof.Load(); p != nil && p.sum == sum && p.roots == h.roots && !now.Before(p.from) && !now.After(p.until) {
		return nil
	}
	chain, err := verify(s, h.roots, host, now)
	if err != nil {
		return err
	}
	p := &proof{sum: sum, roots: h.roots, until: chain[0].NotAfter}
	for _, c := range chain {
		if c.NotBefore.After(p.from) {
			p.from = c.NotBefore
		}
		if c.NotAfter.Before(p.until) {
			p.until = c.NotAfter
		}
	}
	h.proof.Store(p)
	return nil
}

func shown(certs []*x509.Certificate, host string) (sum [sha256.Size]byte) {
	d := sha256.New()
	fmt.Fprintf(d, "%d %s", len(host), host)
	for _, c := range certs {
		d.Write(c.Raw) // it says its own length
	}
	return [sha256.Size]byte(d.Sum(nil))
}

// verify is the standard verification of crypto/tls. It returns a chain that leads
// to a root.
func verify(s tls.ConnectionState, roots *x509.CertPool, host string, now time.Time) ([]*x509.Certificate, error) {
	options := x509.VerifyOptions{Roots: roots, DNSName: host, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range s.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := s.PeerCertificates[0].Verify(options)
	if err != nil {
		err = &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		if len(s.PeerCertificates) == 1 && errors.As(err, new(x509.UnknownAuthorityError)) {
			return nil, fmt.Errorf("%w; %w", err, errNoIntermediate)
		}
		return nil, err
	}
	return chains[0], nil
}
