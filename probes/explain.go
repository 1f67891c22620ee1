package probes

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Explain makes a Failure of a network error that came while speaking to peer,
// a host or an address with its port. It keeps a Failure that err already is.
// What depends on the phase, such as who waited for what, is the caller's to say.
func Explain(err error, peer string) *Failure {
	var failure *Failure
	if errors.As(err, &failure) {
		return failure
	}
	f := &Failure{Class: Classify(err), Want: peer, Got: Excerpt(err.Error())}
	switch f.Class {
	case ClassDNS:
		f.dns(err)
	case ClassTLS:
		f.tls(err)
	case ClassTimeout:
		f.Phrase = PhraseNetwork
	case ClassReset:
		f.Phrase = cutPhrase(err)
	default:
		f.Phrase = connectPhrase(err)
	}
	return f
}

func (f *Failure) dns(err error) {
	f.Phrase = PhraseDNSFailed
	var dns *net.DNSError
	if errors.As(err, &dns) {
		f.Want = cmp.Or(dns.Name, f.Want)
		if dns.IsNotFound {
			f.Phrase = PhraseNoSuchHost
		}
	}
}

func (f *Failure) tls(err error) {
	var (
		record    tls.RecordHeaderError
		invalid   x509.CertificateInvalidError
		hostname  x509.HostnameError
		authority x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &record):
		f.Phrase = PhraseNotTLS
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		f.Phrase, f.Got = PhraseCertExpired, stamp(invalid.Cert.NotAfter)
		if time.Now().Before(invalid.Cert.NotBefore) {
			f.Phrase, f.Got = PhraseCertEarly, stamp(invalid.Cert.NotBefore)
		}
	case errors.As(err, &invalid):
		f.Phrase = PhraseCertInvalid
	case errors.As(err, &hostname):
		f.Phrase = PhraseCertName
		if c := hostname.Certificate; c != nil {
			f.Got = Excerpt(cmp.Or(strings.Join(c.DNSNames, ", "), c.Subject.String(), f.Got))
		}
	case errors.As(err, &authority):
		f.Phrase = PhraseCertUntrusted
		if c := authority.Cert; c != nil {
			f.Got = Excerpt(cmp.Or(c.Issuer.String(), f.Got))
		}
	default:
		f.Phrase = PhraseTLSFailed
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func cutPhrase(err error) Phrase {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return PhraseReset
	case errors.Is(err, io.EOF):
		return PhraseClosed
	case errors.Is(err, io.ErrUnexpectedEOF):
		return PhraseCut
	}
	return PhraseNetwork
}

func connectPhrase(err error) Phrase {
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return PhraseRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return PhraseUnreachable
	case errors.As(err, &op) && op.Op == "dial":
		return PhraseConnectFailed
	}
	return PhraseNetwork
}

// TimedOut makes a Failure of a wait that was over after d, in this phase.
func TimedOut(phase, peer string, d time.Duration) *Failure {
	f := &Failure{Class: ClassTimeout, Phrase: PhraseReplyTimeout, Want: peer, Got: Lasted(d)}
	switch phase {
	case "dns":
		f.Class, f.Phrase = ClassDNS, PhraseDNSTimeout
	case "connect":
		f.Phrase = PhraseConnectTimeout
	case "tls":
		f.Phrase = PhraseTLSTimeout
	case "body":
		f.Phrase = PhraseBodyTimeout
	}
	return f
}

// Waited reports whether err is the end of somebody's patience.
func Waited(err error) bool { return errors.Is(err, context.DeadlineExceeded) || isTimeout(err) }

// Lasted writes how long something took as a phrase's argument: "9.9s", "320ms".
func Lasted(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// The bytes that Shown takes of a page.
const (
	shownTitle = 80
	shownText  = 180
)

// Shown writes what a page showed as a phrase's argument: 《title》 and the head
// of its text, without the title where it begins with that, in one line.
func Shown(title, text string) string {
	title = Excerpt(title)
	head := title
	text = Excerpt(text)
	if title != "" {
		if rest, ok := strings.CutPrefix(text, title); ok {
			text = strings.TrimSpace(rest)
		}
		head = "《" + short(title, shownTitle) + "》"
	}
	return head + short(text, shownText)
}

// short cuts s to n bytes on a rune's edge and says so.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// Trouble is an error of this agent, not of a site, that has a phrase of its own.
type Trouble struct {
	Phrase Phrase
	Want   string // the phrase's arguments
	Got    string //
	Err    error
}

// Result is what a run says that ended with the trouble.
func (t *Trouble) Result(step string) Result {
	return Confess(step, t.Phrase, t.Want, cmp.Or(t.Got, t.Error()))
}

// Error is the text of the error inside.
func (t *Trouble) Error() string { return t.Err.Error() }

// Unwrap returns the error inside.
func (t *Trouble) Unwrap() error { return t.Err }
