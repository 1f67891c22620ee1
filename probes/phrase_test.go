package probes_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// TestPhrasesListsEveryConstant reads the source, so that a phrase which is
// declared cannot be left out of the list that everything else relies on.
func TestPhrasesListsEveryConstant(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "phrase.go", nil, 0)
	require.NoError(t, err)
	var declared []probes.Phrase
	for _, d := range file.Decls {
		consts, ok := d.(*ast.GenDecl)
		if !ok || consts.Tok != token.CONST {
			continue
		}
		for _, spec := range consts.Specs {
			value, err := strconv.Unquote(spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			declared = append(declared, probes.Phrase(value))
		}
	}
	require.ElementsMatch(t, declared, probes.Phrases())
	seen := map[probes.Phrase]bool{}
	for _, p := range declared {
		require.False(t, seen[p], "%s is there twice", p)
		require.True(t, p.Known())
		seen[p] = true
	}
	require.True(t, probes.Phrase("").Known())
	require.False(t, probes.Phrase("made_up").Known())
}

func TestExplain(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	past, ahead := time.Now().Add(-48*time.Hour).Truncate(time.Second), time.Now().Add(48*time.Hour).Truncate(time.Second)
	cert := &x509.Certificate{
		DNSNames: []string{"a.test", "*.b.test"}, Issuer: pkix.Name{CommonName: "Some CA"}, Subject: pkix.Name{CommonName: "a.test"},
		NotBefore: past.Add(-time.Hour), NotAfter: past,
	}
	early := &x509.Certificate{NotBefore: ahead, NotAfter: ahead.Add(time.Hour)}
	verify := func(err error) error { return fmt.Errorf("handshake: %w", &tls.CertificateVerificationError{Err: err}) }
	const text = "the error's text"
	for _, tt := range []struct {
		err    error
		class  probes.Class
		phrase probes.Phrase
		want   string
		got    string
	}{
		{&net.DNSError{Err: "no such host", Name: "h.test", IsNotFound: true}, probes.ClassDNS, probes.PhraseNoSuchHost, "h.test", text},
		{&net.DNSError{Err: "server misbehaving", Name: "h.test"}, probes.ClassDNS, probes.PhraseDNSFailed, "h.test", text},
		{dial(syscall.ECONNREFUSED), probes.ClassConnect, probes.PhraseRefused, "peer", text},
		{dial(syscall.EHOSTUNREACH), probes.ClassConnect, probes.PhraseUnreachable, "peer", text},
		{dial(syscall.ENETUNREACH), probes.ClassConnect, probes.PhraseUnreachable, "peer", text},
		{dial(syscall.EADDRNOTAVAIL), probes.ClassConnect, probes.PhraseConnectFailed, "peer", text},
		{errors.New("odd"), probes.ClassConnect, probes.PhraseNetwork, "peer", text},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, probes.ClassTLS, probes.PhraseNotTLS, "peer", text},
		{verify(x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired}), probes.ClassTLS, probes.PhraseCertExpired, "peer", past.UTC().Format(time.RFC3339)},
		{verify(x509.CertificateInvalidError{Cert: early, Reason: x509.Expired}), probes.ClassTLS, probes.PhraseCertEarly, "peer", ahead.UTC().Format(time.RFC3339)},
		{verify(x509.CertificateInvalidError{Cert: cert, Reason: x509.NotAuthorizedToSign}), probes.ClassTLS, probes.PhraseCertInvalid, "peer", text},
		{verify(x509.CertificateInvalidError{Reason: x509.Expired}), probes.ClassTLS, probes.PhraseCertInvalid, "peer", text},
		{verify(x509.HostnameError{Certificate: cert, Host: "h.test"}), probes.ClassTLS, probes.PhraseCertName, "peer", "a.test, *.b.test"},
		{verify(x509.UnknownAuthorityError{Cert: cert}), probes.ClassTLS, probes.PhraseCertUntrusted, "peer", "CN=Some CA"},
		{verify(x509.UnknownAuthorityError{}), probes.ClassTLS, probes.PhraseCertUntrusted, "peer", text},
		{tls.AlertError(40), probes.ClassTLS, probes.PhraseTLSFailed, "peer", text},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, probes.ClassReset, probes.PhraseReset, "peer", text},
		{syscall.EPIPE, probes.ClassReset, probes.PhraseReset, "peer", text},
		{io.EOF, probes.ClassReset, probes.PhraseClosed, "peer", text},
		{io.ErrUnexpectedEOF, probes.ClassReset, probes.PhraseCut, "peer", text},
		{context.DeadlineExceeded, probes.ClassTimeout, probes.PhraseNetwork, "peer", text},
	} {
		f := probes.Explain(tt.err, "peer")
		want := tt.got
		if want == text {
			want = probes.Excerpt(tt.err.Error())
		}
		require.Equal(t, &probes.Failure{Class: tt.class, Phrase: tt.phrase, Want: tt.want, Got: want}, f, "%v", tt.err)
	}
	known := &probes.Failure{Class: probes.ClassStep, Phrase: probes.PhraseBlank}
	require.Same(t, known, probes.Explain(fmt.Errorf("doing: %w", known), "peer"))
}

func TestTimedOut(t *testing.T) {
	for phase, want := range map[string]probes.Failure{
		"dns":        {Class: probes.ClassDNS, Phrase: probes.PhraseDNSTimeout},
		"connect":    {Class: probes.ClassTimeout, Phrase: probes.PhraseConnectTimeout},
		"tls":        {Class: probes.ClassTimeout, Phrase: probes.PhraseTLSTimeout},
		"request":    {Class: probes.ClassTimeout, Phrase: probes.PhraseReplyTimeout},
		"first_byte": {Class: probes.ClassTimeout, Phrase: probes.PhraseReplyTimeout},
		"body":       {Class: probes.ClassTimeout, Phrase: probes.PhraseBodyTimeout},
	} {
		want.Want, want.Got = "h.test", "9.9s"
		require.Equal(t, &want, probes.TimedOut(phase, "h.test", 9_940*time.Millisecond), phase)
	}
	require.Equal(t, "300ms", probes.Lasted(300_400*time.Microsecond))
	require.True(t, probes.Waited(fmt.Errorf("reading: %w", context.DeadlineExceeded)))
	require.True(t, probes.Waited(os.ErrDeadlineExceeded))
	require.False(t, probes.Waited(context.Canceled))
}

func TestShown(t *testing.T) {
	require.Equal(t, "《系统维护中》请稍后再试", probes.Shown("系统维护中", "系统维护中\n请稍后再试"))
	require.Equal(t, "《养老金测算》", probes.Shown(" 养老金测算 ", " \n"))
	require.Equal(t, "正文", probes.Shown("", "正文"))
	require.Empty(t, probes.Shown("", ""))
	long := probes.Shown(strings.Repeat("题", 500), strings.Repeat("文", 500))
	require.LessOrEqual(t, len(long), probes.ExcerptMax)
	require.True(t, utf8.ValidString(long))
	require.Contains(t, long, "…》文", "both have their share")
}

func TestFailureAsAnError(t *testing.T) {
	f := &probes.Failure{Class: probes.ClassStep, Phrase: probes.PhraseElementMissing, Want: "#age", Got: "《养老金测算》"}
	require.EqualError(t, f, "step: element_missing: want #age, got 《养老金测算》")
	require.EqualError(t, &probes.Failure{Class: probes.ClassStatus, Phrase: probes.PhraseStatus, Got: "500"}, "status: got 500")
	require.EqualError(t, &probes.Failure{Class: probes.ClassBlankPage, Phrase: probes.PhraseBlank}, "blank_page: blank")
	require.Equal(t, probes.Finding{Class: f.Class, Step: "fill #age", Phrase: f.Phrase, Want: f.Want, Got: f.Got}, f.Finding("fill #age"))
	clean := f.Clean(func(s string) string { return strings.ReplaceAll(s, "age", probes.Masked) })
	require.Equal(t, &probes.Failure{Class: f.Class, Phrase: f.Phrase, Want: "#***", Got: f.Got}, clean)

	inside := errors.New("inside")
	err := fmt.Errorf("opening: %w", &probes.Trouble{Phrase: probes.PhraseBrowser, Err: inside})
	require.EqualError(t, err, "opening: inside")
	require.ErrorIs(t, err, inside)
}
