package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Secure makes conn a TLS connection to name, whose certificate the Env's roots
// must vouch for. It closes conn when that fails.
func (l *Line) Secure(ctx context.Context, conn net.Conn, name string, protocols ...string) (*tls.Conn, error) {
	lone := false
	secure := tls.Client(conn, &tls.Config{
		ServerName:         name,
		NextProtos:         protocols,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // verified below, where the certificate is known although it is not trusted
		VerifyConnection: func(s tls.ConnectionState) error {
			l.State = s
			if len(s.PeerCertificates) == 0 {
				return errors.New("the server sent no certificate")
			}
			l.Until = s.PeerCertificates[0].NotAfter
			lone = len(s.PeerCertificates) == 1
			return verify(s, l.Env.Roots, name)
		},
	})
	start := time.Now()
	err := secure.HandshakeContext(ctx)
	if err == nil {
		l.State = secure.ConnectionState()
	}
	took, err := l.Phase(ctx, "tls", name, start, err, l.attrs(name)...)
	l.Time.TLS += took
	if err == nil {
		return secure, nil
	}
	conn.Close()
	var f *probes.Failure
	if errors.As(err, &f) && f.Phrase == probes.PhraseCertUntrusted && lone && f.Got != "" {
		f.Phrase = probes.PhraseCertChain
	}
	return nil, err
}

// attrs are the conventions' attributes of a handshake, as far as it came.
func (l *Line) attrs(name string) []probes.Attr {
	attrs := []probes.Attr{{Key: "server.address", Value: name}}
	if l.State.Version != 0 {
		attrs = append(attrs,
			probes.Attr{Key: "tls.protocol.version", Value: version(l.State.Version)},
			probes.Attr{Key: "tls.cipher", Value: tls.CipherSuiteName(l.State.CipherSuite)})
	}
	if !l.Until.IsZero() {
		leaf := l.State.PeerCertificates[0]
		attrs = append(attrs,
			probes.Attr{Key: "tls.server.not_after", Value: leaf.NotAfter.UTC().Format(time.RFC3339)},
			probes.Attr{Key: "tls.server.subject", Value: probes.Excerpt(leaf.Subject.String())},
			probes.Attr{Key: "tls.server.issuer", Value: probes.Excerpt(leaf.Issuer.String())})
	}
	return attrs
}

// version is that of the protocol as the conventions write it.
func version(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return tls.VersionName(v)
}

// verify is the standard verification of crypto/tls.
func verify(s tls.ConnectionState, roots *x509.CertPool, name string) error {
	options := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := s.PeerCertificates[0].Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}

// DaysLeft is until when the peer's certificate is good, as expectations see it;
// nil without TLS.
func (l *Line) DaysLeft() map[string]any {
	if l.Until.IsZero() {
		return nil
	}
	return map[string]any{"days_left": time.Until(l.Until).Hours() / 24}
}
