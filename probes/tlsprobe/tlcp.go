package tlsprobe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// tlcpWish is what a definition wants of national cryptography.
type tlcpWish string

const (
	tlcpUnasked  tlcpWish = ""         // only tried where the standard handshake fails
	tlcpExpected tlcpWish = "expected" // beside standard TLS
	tlcpAbsent   tlcpWish = "absent"   //
	tlcpAny      tlcpWish = "any"      // looked at, whichever it is
	tlcpOnly     tlcpWish = "only"     // without standard TLS, which is not tried
)

// tlcpReply is what a server made of a TLCP ClientHello.
type tlcpReply struct {
	flight
	err     error // why there is none
	failure error // the same as a failure of the service
	broken  error // the certificates cannot be read
	sign    *x509.Certificate
	crypt   *x509.Certificate // nil when one certificate came
	judged  bool              // there were roots to tell by
	doubt   error             // why it is not trusted
}

func (t *tlcpReply) present() bool { return t != nil && t.err == nil }

// pair is the site's own certificates: two, as it should be, or one.
func (t *tlcpReply) pair() []*x509.Certificate {
	if t.crypt == nil {
		return []*x509.Certificate{t.sign}
	}
	return []*x509.Certificate{t.sign, t.crypt}
}

// wantsTLCP reports whether to try TLCP now: because the definition says so, or to
// explain why a server that answers does not speak standard TLS.
func (r *run) wantsTLCP() bool {
	switch {
	case r.failure != nil && !r.met:
		return false
	case r.tlcp == tlcpUnasked:
		return r.turnedAway()
	}
	return true
}

// turnedAway reports whether the server answered and would not speak standard TLS.
func (r *run) turnedAway() bool {
	return r.session != nil && r.session.closed && !r.session.asked && r.failure != nil && r.step == stepHandshake &&
		(r.failure.Class == probes.ClassTLS || r.failure.Class == probes.ClassReset)
}

// needsTLCP reports whether it is a failure when there is none.
func (r *run) needsTLCP() bool { return r.tlcp == tlcpExpected || r.tlcp == tlcpOnly }

// lookTLCP greets the server by TLCP, and once more without the host's name when
// it refuses or hangs up: the standard names no extensions, and some servers take
// none. Only of a server that speaks nothing else is silence a failure.
func (r *run) lookTLCP(ctx context.Context) error {
	start := time.Now()
	err := r.within(ctx, stepTLCP, func(ctx context.Context) error {
		if err := r.greet(ctx, r.name); err != nil {
			return err
		}
		if servesName(r.name) && refused(r.sm.err) && ctx.Err() == nil {
			if err := r.greet(ctx, ""); err != nil {
				return err
			}
		}
		if r.tlcp == tlcpOnly && r.sm.err != nil && !answered(r.sm.err) {
			return r.sm.failure
		}
		return nil
	})
	if r.tlcp == tlcpOnly {
		r.total = time.Since(start)
	}
	return err
}

// greet sends one ClientHello and reads the answer into r.sm. Its error says that
// there was no connection, or that the run was called off.
func (r *run) greet(ctx context.Context, name string) error {
	conn, line, err := r.meet(ctx)
	switch {
	case err != nil && !r.needsTLCP() && errors.As(err, new(*probes.Failure)):
		r.sm = &tlcpReply{err: err} // the service was reached before, and that is what counts
		return nil
	case err != nil:
		return err
	}
	defer conn.Close()
	start := time.Now()
	t := &tlcpReply{}
	t.flight, t.err = exchange(ctx, conn, name, r.at)
	if t.err == nil {
		t.read(r.anchors.sm, r.at)
	}
	r.sm = t
	t.failure = reach.Explain(ctx, "tls", r.name, time.Since(start), t.err)
	shown := t.failure
	if !r.needsTLCP() {
		shown = nil // an answer like any other
	}
	line.Time.TLS, _ = line.Phase(ctx, "tls", r.name, start, shown, t.attrs()...)
	if errors.Is(t.failure, reach.ErrStopped) {
		return reach.ErrStopped
	}
	return nil
}

// answered reports whether a peer said something that is not TLCP.
func answered(err error) bool {
	return errors.As(err, new(errAlert)) || errors.As(err, new(errNotTLCP))
}

// refused reports whether a peer turned a greeting down.
func refused(err error) bool {
	return errors.As(err, new(errAlert)) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// exchange greets over conn and reads the answer up to the certificates.
func exchange(ctx context.Context, conn net.Conn, name string, now time.Time) (flight, error) {
	hello, err := clientHello(name, now)
	if err != nil {
		return flight{}, err
	}
	defer reach.Hurry(ctx, conn)()
	if _, err := conn.Write(hello); err != nil {
		return flight{}, fmt.Errorf("sending the greeting: %w", err)
	}
	f, err := readFlight(conn)
	if err != nil {
		return f, err
	}
	// That is all there is to learn; a server that is told so logs no error.
	_, _ = conn.Write([]byte{recordAlert, tlcpVersion >> 8, tlcpVersion & 0xff, 0, 2, 1, 0})
	return f, nil
}

// read makes certificates of the flight's bytes and judges whether they are trusted.
func (t *tlcpReply) read(roots *smx509.CertPool, now time.Time) {
	var all []*smx509.Certificate
	for _, der := range t.certificates {
		c, err := parseSM(der)
		if err != nil {
			t.broken = err
			return
		}
		all = append(all, c)
	}
	t.sign = all[0].ToX509()
	own := all[:1]
	if len(all) > 1 && !all[1].IsCA {
		t.crypt = all[1].ToX509()
		own = all[:2]
	}
	if roots == nil {
		return
	}
	t.judged = true
	for _, c := range own {
		if err := verifySM(c, all[len(own):], roots, nearest(c.ToX509(), now)); err != nil {
			t.doubt = err
			return
		}
	}
}

// parseSM reads a certificate that may be one of SM2. The library is not the
// standard one, so that a panic in it counts as a certificate it cannot read.
func parseSM(der []byte) (c *smx509.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("reading a certificate: %v", p)
		}
	}()
	return smx509.ParseCertificate(der)
}

// verifySM is the standard verification for SM2.
func verifySM(c *smx509.Certificate, others []*smx509.Certificate, roots *smx509.CertPool, at time.Time) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("verifying a certificate: %v", p)
		}
	}()
	options := smx509.VerifyOptions{
		Roots: roots, Intermediates: smx509.NewCertPool(), CurrentTime: at, KeyUsages: []smx509.ExtKeyUsage{smx509.ExtKeyUsageAny},
	}
	for _, o := range others {
		if !hugeKey(o.ToX509()) {
			options.Intermediates.AddCert(o)
		}
	}
	_, err = c.Verify(options)
	return err
}

// attrs describe the answer in its span.
func (t *tlcpReply) attrs() []probes.Attr {
	attrs := []probes.Attr{{Key: "tls.protocol.name", Value: "tlcp"}, {Key: "gengfu.tlcp.present", Value: t.err == nil}}
	if t.err != nil {
		return append(attrs, probes.Attr{Key: "gengfu.tlcp.answer", Value: reason(t.err)})
	}
	attrs = append(attrs,
		probes.Attr{Key: "tls.protocol.version", Value: tlcpVersionText(t.version)},
		probes.Attr{Key: "tls.cipher", Value: tlcpSuite(t.suite)})
	for prefix, c := range map[string]*x509.Certificate{"gengfu.tlcp.sign.": t.sign, "gengfu.tlcp.encrypt.": t.crypt} {
		if c == nil {
			continue
		}
		attrs = append(attrs,
			probes.Attr{Key: prefix + "subject", Value: probes.Excerpt(c.Subject.String())},
			probes.Attr{Key: prefix + "issuer", Value: probes.Excerpt(c.Issuer.String())},
			probes.Attr{Key: prefix + "not_after", Value: c.NotAfter.UTC().Format(time.RFC3339)},
			probes.Attr{Key: prefix + "key", Value: keyOf(c)},
			probes.Attr{Key: prefix + "usage", Value: usage(c)})
	}
	return attrs
}

// tlcpVersionText writes the version as the standard does: 0x0101.
func tlcpVersionText(v uint16) string { return fmt.Sprintf("0x%04X", v) }

var usages = []struct {
	bit  x509.KeyUsage
	name string
}{
	{x509.KeyUsageDigitalSignature, "digitalSignature"},
	{x509.KeyUsageContentCommitment, "contentCommitment"},
	{x509.KeyUsageKeyEncipherment, "keyEncipherment"},
	{x509.KeyUsageDataEncipherment, "dataEncipherment"},
	{x509.KeyUsageKeyAgreement, "keyAgreement"},
	{x509.KeyUsageCertSign, "keyCertSign"},
	{x509.KeyUsageCRLSign, "cRLSign"},
}

// usage writes the key usages by their names in X.509; "" when there are none.
func usage(c *x509.Certificate) string {
	var names []string
	for _, u := range usages {
		if c.KeyUsage&u.bit != 0 {
			names = append(names, u.name)
		}
	}
	return strings.Join(names, ", ")
}

// The usages of which a signing and an encryption certificate need one each.
const (
	signUsages  = x509.KeyUsageDigitalSignature
	cryptUsages = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement
)

// isFor reports whether a certificate is for a name: a common name counts where
// there are no others, as TLCP's older certificates have them.
func isFor(c *x509.Certificate, name string) bool {
	if c.VerifyHostname(name) == nil {
		return true
	}
	return len(someNames(c)) == 0 && strings.EqualFold(c.Subject.CommonName, name)
}

// namesFor are the names that isFor goes by.
func namesFor(c *x509.Certificate) []string {
	if names := someNames(c); len(names) > 0 {
		return names
	}
	return slices.DeleteFunc([]string{probes.Excerpt(c.Subject.CommonName)}, func(s string) bool { return s == "" })
}
