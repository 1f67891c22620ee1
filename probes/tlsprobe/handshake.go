package tlsprobe

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// session is what a standard handshake showed, complete or not.
type session struct {
	state  tls.ConnectionState // the certificates are in it as soon as they came
	asked  bool                // the server asked for a certificate
	closed bool                // the handshake did not complete
}

// everySuite is each suite that can be spoken, so that an old server is seen for
// what it is and not for a failed handshake.
func everySuite() []uint16 {
	var ids []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, s.ID)
	}
	return ids
}

// config is that of a browser, but for old versions and suites: they are offered
// so that what a server is content with can be told. Nothing is verified in the
// handshake: chain, names and dates are judged afterwards, each by itself, and a
// run that finds them wrong is never up.
func (r *run) config() *tls.Config {
	return &tls.Config{
		ServerName:         r.name,
		NextProtos:         r.alpn,
		MinVersion:         tls.VersionTLS10, //nolint:gosec // to be seen, not to be trusted
		CipherSuites:       everySuite(),
		InsecureSkipVerify: true, //nolint:gosec // judged afterwards
	}
}

// handshake performs the main handshake.
func (r *run) handshake(ctx context.Context) error {
	conn, line, err := r.meet(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := r.session
	config := r.config()
	config.VerifyConnection = func(state tls.ConnectionState) error {
		s.state = state
		return nil
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		s.asked = true
		return &tls.Certificate{}, nil
	}
	client := tls.Client(conn, config)
	start := time.Now()
	err = client.HandshakeContext(ctx)
	if err == nil {
		s.state = client.ConnectionState()
		// Said while nobody measures; whether the server hears it is its own affair.
		defer func() { _ = client.Close() }()
	}
	s.closed = err != nil
	line.Time.TLS, err = line.Phase(ctx, "tls", r.name, start, err, s.attrs(r.name)...)
	var f *probes.Failure
	if errors.As(err, &f) && f.Class == probes.ClassTLS && s.asked {
		f.Phrase = probes.PhraseTLSClientCert
	}
	return err
}

// attrs are the conventions' attributes of a handshake, as far as it came.
func (s *session) attrs(name string) []probes.Attr {
	attrs := []probes.Attr{{Key: "server.address", Value: name}, {Key: "tls.established", Value: !s.closed}}
	if s.state.Version == 0 {
		return attrs
	}
	attrs = append(attrs,
		probes.Attr{Key: "tls.protocol.name", Value: "tls"},
		probes.Attr{Key: "tls.protocol.version", Value: version(s.state.Version)},
		probes.Attr{Key: "tls.cipher", Value: tls.CipherSuiteName(s.state.CipherSuite)},
		probes.Attr{Key: "tls.next_protocol", Value: s.state.NegotiatedProtocol},
		probes.Attr{Key: "gengfu.tls.client_certificate_requested", Value: s.asked})
	if s.state.CurveID != 0 {
		attrs = append(attrs, probes.Attr{Key: "tls.curve", Value: s.state.CurveID.String()})
	}
	return append(attrs, certAttrs(s.state.PeerCertificates)...)
}

// maxShown bounds the certificates written into a span.
const maxShown = 10

// certAttrs describe what a server sent: the first certificate by the
// conventions, and all of them as lines.
func certAttrs(sent []*x509.Certificate) []probes.Attr {
	if len(sent) == 0 {
		return nil
	}
	leaf := sent[0]
	sum := sha256.Sum256(leaf.Raw)
	var lines []string
	for _, c := range sent[:min(len(sent), maxShown)] {
		lines = append(lines, fmt.Sprintf("%s ← %s, %s … %s, %s, %s", nameOf(c.Subject), nameOf(c.Issuer),
			c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly), keyOf(c), c.SignatureAlgorithm))
	}
	return []probes.Attr{
		{Key: "tls.server.subject", Value: probes.Excerpt(leaf.Subject.String())},
		{Key: "tls.server.issuer", Value: probes.Excerpt(leaf.Issuer.String())},
		{Key: "tls.server.not_before", Value: leaf.NotBefore.UTC().Format(time.RFC3339)},
		{Key: "tls.server.not_after", Value: leaf.NotAfter.UTC().Format(time.RFC3339)},
		{Key: "tls.server.hash.sha256", Value: hex.EncodeToString(sum[:])},
		{Key: "gengfu.tls.names", Value: someNames(leaf)},
		{Key: "gengfu.tls.chain", Value: lines},
	}
}

// version writes a version as the conventions do: "1.2".
func version(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "1.0"
	case tls.VersionTLS11:
		return "1.1"
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return fmt.Sprintf("0x%04x", v)
}
