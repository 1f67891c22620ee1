package probes_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/probes"
)

func TestForgottenVerdictIsUnknown(t *testing.T) {
	var r probes.Result
	require.Equal(t, probes.Unknown, r.Verdict)
}

func TestVerdictText(t *testing.T) {
	require.Len(t, probes.Verdicts(), 4)
	for _, v := range probes.Verdicts() {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		var back probes.Verdict
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, v, back)
	}
	var v probes.Verdict
	require.ErrorContains(t, v.UnmarshalText([]byte("fine")), `got "fine"`)
	_, err := json.Marshal(probes.Verdict(9))
	require.Error(t, err)
	require.Equal(t, "verdict(9)", probes.Verdict(9).String())
}

func TestClassesAreAClosedList(t *testing.T) {
	seen := map[probes.Class]bool{}
	for _, c := range probes.Classes() {
		require.False(t, seen[c], c)
		seen[c] = true
		require.True(t, c.Known())
	}
	require.True(t, probes.ClassNone.Known())
	require.False(t, seen[probes.ClassNone])
	require.False(t, probes.Class("other").Known())
	probes.Classes()[0] = "changed"
	require.False(t, probes.Class("changed").Known(), "callers get a copy")
}

func TestKeyText(t *testing.T) {
	k, err := probes.ParseKey("hall/page")
	require.NoError(t, err)
	require.Equal(t, probes.Key{Service: "hall", Probe: "page"}, k)
	require.Equal(t, "hall/page", k.String())
	for _, bad := range []string{"", "hall", "/page", "hall/", "hall/page/more"} {
		_, err := probes.ParseKey(bad)
		require.Error(t, err, bad)
	}
}

func TestSlots(t *testing.T) {
	key := probes.Key{Service: "hall", Probe: "page"}
	// Agreed between versions: were this to change, a fleet that is being
	// updated would run every probe on two clocks.
	require.Equal(t, 12796*time.Millisecond, probes.PhaseOf(key, 30*time.Second))
	require.Equal(t, "2026-11-25T04:59:42.796Z", probes.SlotAt(key, 30*time.Second, time.Date(2026, 11, 25, 5, 0, 0, 0, time.UTC)).Format(time.RFC3339Nano))
	require.Zero(t, probes.PhaseOf(key, 0))
	require.Zero(t, probes.PhaseOf(key, time.Microsecond))
}

func TestSlotProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := probes.Key{Service: rapid.StringN(1, 8, -1).Draw(t, "service"), Probe: "p"}
		every := time.Duration(rapid.Int64Range(1, 86_400_000).Draw(t, "every")) * time.Millisecond
		at := time.Unix(0, rapid.Int64Range(-1<<60, 1<<60).Draw(t, "at"))
		phase := probes.PhaseOf(key, every)
		require.GreaterOrEqual(t, phase, time.Duration(0))
		require.Less(t, phase, every)

		slot, next := probes.SlotAt(key, every, at), probes.NextSlot(key, every, at)
		require.False(t, slot.After(at), "a slot begins at or before its instants")
		require.True(t, next.After(at))
		require.Equal(t, every, next.Sub(slot))
		require.Equal(t, slot, probes.SlotAt(key, every, slot), "a slot's start is in the slot")
		require.Equal(t, slot, probes.SlotAt(key, every, next.Add(-1)))
		require.Equal(t, next, probes.SlotAt(key, every, next))
		require.Equal(t, time.UTC, slot.Location())
		beijing := time.FixedZone("", 8*3600)
		require.Equal(t, slot, probes.SlotAt(key, every, at.In(beijing)), "the zone does not matter")
	})
}

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want probes.Class
	}{
		{"none", nil, probes.ClassNone},
		{"a failure keeps its class", fmt.Errorf("doing: %w", &probes.Failure{Class: probes.ClassStep}), probes.ClassStep},
		{"no such name", &net.DNSError{IsNotFound: true}, probes.ClassDNS},
		{"name server in time", &net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true}}, probes.ClassDNS},
		{"authority", fmt.Errorf("x: %w", x509.UnknownAuthorityError{}), probes.ClassTLS},
		{"host", x509.HostnameError{Certificate: &x509.Certificate{}}, probes.ClassTLS},
		{"expired", x509.CertificateInvalidError{Reason: x509.Expired}, probes.ClassTLS},
		{"alert from the peer", &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, probes.ClassTLS},
		{"deadline", context.DeadlineExceeded, probes.ClassTimeout},
		{"socket's deadline", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, probes.ClassTimeout},
		{"reset", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, probes.ClassReset},
		{"broken pipe", syscall.EPIPE, probes.ClassReset},
		{"cut body", io.ErrUnexpectedEOF, probes.ClassReset},
		{"refused", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, probes.ClassConnect},
		{"unreachable", syscall.EHOSTUNREACH, probes.ClassConnect},
		{"anything else", errors.New("odd"), probes.ClassConnect},
	} {
		require.Equal(t, tt.want, probes.Classify(tt.err), tt.name)
	}
}

func TestJudge(t *testing.T) {
	require.Equal(t, probes.Up, probes.Judge("connect", "", nil).Verdict)
	r := probes.Judge("connect", "h.test", errors.New("line\none\x00"+strings.Repeat("x", 900)))
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassConnect, r.Class)
	require.Equal(t, "connect", r.Findings[0].Step)
	require.Equal(t, probes.PhraseNetwork, r.Findings[0].Phrase)
	require.Equal(t, "h.test", r.Findings[0].Want)
	require.LessOrEqual(t, len(r.Findings[0].Got), probes.ExcerptMax)
	require.True(t, strings.HasPrefix(r.Findings[0].Got, "line one x"))
}

func TestFindingsOfAResult(t *testing.T) {
	a, b, c := probes.Finding{Class: probes.ClassLatency}, probes.Finding{Class: probes.ClassStatus}, probes.Finding{Class: probes.ClassContent}
	r := probes.Result{Verdict: probes.Up}
	r.Degrade(a)
	require.Equal(t, probes.Degraded, r.Verdict)
	r.Fail(b)
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassStatus, r.Class)
	r.Fail(c)
	r.Degrade(a)
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassStatus, r.Class, "the first failure names the class")
	require.Equal(t, []probes.Finding{b, a, c, a}, r.Findings, "the worst stands first")

	r = probes.Confess("queue", probes.PhraseBusy, "", "2\n")
	require.Equal(t, probes.Unknown, r.Verdict)
	require.Equal(t, probes.ClassAgent, r.Class)
	require.Equal(t, []probes.Finding{{Class: probes.ClassAgent, Step: "queue", Phrase: probes.PhraseBusy, Got: "2"}}, r.Findings)
}

func TestExcerpt(t *testing.T) {
	require.Equal(t, "a b c", probes.Excerpt(" a\r\n\tb\u2028c\x7f\x00"))
	require.Equal(t, "\uFFFDx", probes.Excerpt("\xff\xfex"))
	long := probes.Excerpt(strings.Repeat("社", 5000))
	require.True(t, strings.HasSuffix(long, "社…"))
	require.LessOrEqual(t, len(long), probes.ExcerptMax)
}

func FuzzExcerpt(f *testing.F) {
	f.Add("社保\n\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := probes.Excerpt(s)
		require.LessOrEqual(t, len(got), probes.ExcerptMax)
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "\n")
		require.Equal(t, got, probes.Excerpt(got), "an excerpt is its own excerpt")
	})
}

func TestExpand(t *testing.T) {
	secret := func(name string) (string, error) {
		if name == "A" {
			// What a secret holds is never expanded again.
			return "<${secret:B}>", nil
		}
		return "", errors.New("not set")
	}
	require.Equal(t, []string{"A", "B"}, probes.SecretNames("${secret:B} ${secret:A} ${secret:B} ${secret:} ${secret:9} $A"))
	got, err := probes.Expand("x ${secret:A} ${service.url}", secret)
	require.NoError(t, err)
	require.Equal(t, "x <${secret:B}> ${service.url}", got)
	_, err = probes.Expand("${secret:A}${secret:C}", secret)
	require.ErrorContains(t, err, "${secret:C}: not set")
	got, err = probes.Expand("${secret:A}${secret:A}", secret)
	require.NoError(t, err)
	require.Equal(t, "<${secret:B}><${secret:B}>", got)
}

func TestExpandNeverExpandsASecretsValue(t *testing.T) {
	values := map[string]string{"A": "${secret:B}", "B": "inner"}
	got, err := probes.Expand("${secret:A} ${secret:B}", func(name string) (string, error) { return values[name], nil })
	require.NoError(t, err)
	require.Equal(t, "${secret:B} inner", got)
}

func TestRedactor(t *testing.T) {
	r := probes.NewRedactor([]string{`p&ss "wörd"/1`, "inner", "innermost", "abc", ""})
	for _, text := range []string{
		`p&ss "wörd"/1`,
		"p%26ss+%22w%C3%B6rd%22%2F1",
		"p&ss%20%22w%C3%B6rd%22%2F1",
		`p\u0026ss \"wörd\"/1`,
		`p&ss \"wörd\"/1`,
		"p&amp;ss &#34;wörd&#34;/1",
		"innermost",
	} {
		require.Equal(t, "<***>", r.Text("<"+text+">"), text)
	}
	require.Equal(t, "abc", r.Text("abc"), "too short to hide")
	require.Equal(t, "id 11***1X, tel 13***00, order 20261125000012345678", r.Text("id 11010119900307851X, tel 13800138000, order 20261125000012345678"))
	require.Equal(t, "tel 13800138000 ***", r.Secrets("tel 13800138000 inner"))
	var none *probes.Redactor
	require.Equal(t, "tel 13***00", none.Text("tel 13800138000"))
}
