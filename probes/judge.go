package probes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Classify sorts a network error into its failure class. An error it does not
// know is ClassConnect, since every caller asks about a connection.
func Classify(err error) Class {
	var (
		dns       *net.DNSError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		op        *net.OpError
		failure   *Failure
	)
	switch {
	case err == nil:
		return ClassNone
	case errors.As(err, &failure):
		return failure.Class
	case errors.As(err, &dns):
		return ClassDNS
	case errors.As(err, &record), errors.As(err, &alert), errors.As(err, &verify),
		errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return ClassTLS
	case errors.As(err, &op) && op.Op == "remote error":
		// crypto/tls reports the peer's alert by this operation alone.
		return ClassTLS
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return ClassTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return ClassReset
	default:
		return ClassConnect
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// Judge makes the result of a run that ended with a network error while
// speaking to peer, or Up for nil.
func Judge(step, peer string, err error) Result {
	if err == nil {
		return Result{Verdict: Up}
	}
	var r Result
	r.Fail(Explain(err, peer).Finding(step))
	return r
}

// ExcerptMax bounds Excerpt, in bytes.
const ExcerptMax = 300

// Excerpt makes hostile text fit for a message: valid UTF-8, one line, no
// control characters, at most ExcerptMax bytes cut on a rune's edge.
func Excerpt(s string) string {
	// Only the head matters: a 10 MB body must not be walked to show 300 bytes.
	if len(s) > 8*ExcerptMax {
		s = s[:8*ExcerptMax]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' }), " ")
	return short(s, ExcerptMax)
}
