package tlsprobe

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
)

// judge makes the result, worst first: the network, the handshake, the
// certificate, its chain, versions and suites, the staple, national
// cryptography, expectations.
func (r *run) judge() probes.Result {
	res := probes.Result{
		Verdict: probes.Up, Timings: r.timings(), URL: "https://" + net.JoinHostPort(r.host, r.port), Steps: 1,
		Measures: r.measures(),
	}
	if r.met {
		res.IP = r.line.IP.String()
	}
	if c := r.main(); c != nil {
		res.TLSUntil = c.NotAfter
	}
	values := r.values()
	for _, e := range r.expect {
		res.Checks = append(res.Checks, e.Check(values, false))
	}
	for _, e := range r.warn {
		res.Checks = append(res.Checks, e.Check(values, true))
	}
	j := judgement{run: r, res: &res, in: stepHandshake}
	j.network()
	if r.session != nil && len(r.session.state.PeerCertificates) > 0 {
		j.certificate()
		j.issuers()
		j.keys()
		j.protocol()
		j.stapled()
	}
	j.national()
	if r.failure == nil || r.ignored(r.failure) {
		j.expectations()
	}
	if res.Verdict != probes.Down {
		res.Passed = 1
	}
	return res
}

// timings are those of the first handshake: what follows it nobody waits for.
func (r *run) timings() probes.Timings {
	t := r.line.Time
	t.Total = r.total
	return t
}

// main is the certificate that the result speaks of.
func (r *run) main() *x509.Certificate {
	switch {
	case r.session != nil && len(r.session.state.PeerCertificates) > 0:
		return r.session.state.PeerCertificates[0]
	case r.tlcp == tlcpOnly && r.sm.present():
		return r.sm.sign
	}
	return nil
}

// measures are what is worth following over time.
func (r *run) measures() map[string]float64 {
	m := map[string]float64{}
	if r.session != nil && len(r.session.state.PeerCertificates) > 0 {
		m["cert_days_left"], m["chain_days_left"] = r.days(r.chain.leaf().NotAfter), r.days(until(r.chain.way()).NotAfter)
	}
	if r.sm.present() && r.sm.sign != nil {
		m["tlcp_days_left"] = r.days(until(r.sm.pair()).NotAfter)
	}
	return m
}

func (r *run) days(until time.Time) float64 { return until.Sub(r.at).Hours() / 24 }

// ignored reports whether a failure is one that the definition does not mind.
func (r *run) ignored(f *probes.Failure) bool {
	return f.Phrase == probes.PhraseTLSClientCert && r.ignore[checkClientCert]
}

// judgement adds findings to a result.
type judgement struct {
	*run
	res *probes.Result
	in  string // the step that the findings come from
}

func (j *judgement) finding(phrase probes.Phrase, want, got string) probes.Finding {
	return probes.Finding{Class: probes.ClassTLS, Step: j.in, Phrase: phrase, Want: probes.Excerpt(want), Got: probes.Excerpt(got)}
}

func (j *judgement) fail(check string, phrase probes.Phrase, want, got string) {
	if !j.ignore[check] {
		j.res.Fail(j.finding(phrase, want, got))
	}
}

func (j *judgement) degrade(check string, phrase probes.Phrase, want, got string) {
	if !j.ignore[check] {
		j.res.Degrade(j.finding(phrase, want, got))
	}
}

// network says why there was no handshake, or only one by TLCP.
func (j *judgement) network() {
	f := j.failure
	switch {
	case f == nil || j.ignored(f):
	case j.sm.present() && j.turnedAway():
		j.fail("", probes.PhraseTLCPOnly, j.name, tlcpSuite(j.sm.suite))
	default:
		j.res.Fail(f.Finding(j.step))
	}
}

// certificate judges the site's own certificate: its dates and names.
func (j *judgement) certificate() {
	leaf := j.chain.leaf()
	switch {
	case j.at.After(leaf.NotAfter):
		j.fail("", probes.PhraseCertExpired, j.name, stamp(leaf.NotAfter))
	case j.at.Before(leaf.NotBefore):
		j.fail("", probes.PhraseCertEarly, j.name, stamp(leaf.NotBefore))
	}
	names := someNames(leaf)
	switch {
	case leaf.VerifyHostname(j.name) == nil:
	case len(names) == 0:
		j.fail(checkName, probes.PhraseCertNoNames, j.name, leaf.Subject.CommonName)
	default:
		j.fail(checkName, probes.PhraseCertName, j.name, strings.Join(names, ", "))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// issuers judges the way to a root, and says what is wrong with it by the first
// reason that explains the others.
func (j *judgement) issuers() {
	c := &j.chain
	if c.trusted() {
		if c.repaired() {
			j.degrade(checkAIA, probes.PhraseChainAIA, nameOf(c.orphan.Issuer), c.source)
		}
		return
	}
	for _, i := range c.path[1:] {
		switch {
		case c.at.After(i.NotAfter):
			j.fail("", probes.PhraseIssuerExpired, nameOf(i.Subject), stamp(i.NotAfter))
			return
		case c.at.Before(i.NotBefore):
			j.fail("", probes.PhraseIssuerEarly, nameOf(i.Subject), stamp(i.NotBefore))
			return
		}
	}
	for _, i := range c.path {
		if weaklySigned(i) && !selfIssued(i) {
			j.fail(checkSignature, probes.PhraseCertWeakSigned, nameOf(i.Subject), i.SignatureAlgorithm.String())
			return
		}
	}
	top := c.top()
	switch {
	case c.anchored():
		// All of it is there: the library alone knows what it does not like.
		j.fail(checkUntrusted, probes.PhraseCertInvalid, j.name, c.err.Error())
	case selfIssued(top) && len(c.path) == 1:
		j.fail(checkUntrusted, probes.PhraseCertSelfSigned, j.name, nameOf(top.Subject))
	case selfIssued(top):
		j.fail(checkUntrusted, probes.PhraseCertUntrusted, j.name, nameOf(top.Subject))
	default:
		j.fail(checkUntrusted, probes.PhraseChainMissing, nameOf(top.Issuer), c.source)
	}
}

// keys judges what protects the chain, but for its root, which is trusted as it is.
func (j *judgement) keys() {
	way := j.chain.way()
	for i, c := range way {
		if i > 0 && selfIssued(c) {
			break
		}
		if weakKey(c) {
			j.degrade(checkKey, probes.PhraseCertWeakKey, nameOf(c.Subject), keyOf(c))
		}
	}
}

// protocol judges the version and the suite.
func (j *judgement) protocol() {
	s := j.session.state
	if s.Version == 0 {
		return
	}
	floor := "TLS " + version(j.floor)
	if s.Version < j.floor {
		j.fail("", probes.PhraseTLSVersion, floor, "TLS "+version(s.Version))
	}
	if weakSuite(s.CipherSuite) {
		j.degrade(checkCipher, probes.PhraseTLSCipher, "", tls.CipherSuiteName(s.CipherSuite))
	}
	if s.Version >= j.floor && len(j.extra.old) > 0 {
		j.degrade(checkOld, probes.PhraseTLSOldAccepted, floor, strings.Join(j.extra.old, ", "))
	}
	if j.extra.weak != "" && !weakSuite(s.CipherSuite) {
		j.degrade(checkCipher, probes.PhraseTLSWeakAccepted, "", j.extra.weak)
	}
}

// weakSuite reports whether the standard library knows security issues of a suite.
func weakSuite(id uint16) bool {
	return slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == id })
}

func (j *judgement) stapled() {
	s := j.staple
	switch s.status {
	case ocspRevoked:
		j.fail("", probes.PhraseCertRevoked, j.name, stamp(s.revoked))
	case ocspStale:
		j.degrade(checkOCSP, probes.PhraseOCSPStale, j.name, stamp(s.until))
	case ocspInvalid:
		j.degrade(checkOCSP, probes.PhraseOCSPInvalid, j.name, s.err.Error())
	case ocspUnknown:
		j.degrade(checkOCSP, probes.PhraseOCSPUnknown, j.name, "")
	case ocspNone:
		if s.must {
			j.degrade(checkOCSP, probes.PhraseOCSPMissing, j.name, "")
		}
	}
}

// national judges TLCP. Where a definition only looks, what is wrong is a warning.
func (j *judgement) national() {
	t := j.sm
	j.in = stepTLCP
	switch {
	case t == nil || j.tlcp == tlcpUnasked:
		return
	case t.err != nil && j.needsTLCP() && j.failure == nil:
		j.fail("", probes.PhraseTLCPMissing, j.name, reason(t.err))
		return
	case t.err != nil:
		return
	case j.tlcp == tlcpAbsent:
		j.fail("", probes.PhraseTLCPFound, j.name, tlcpSuite(t.suite))
		return
	}
	say := j.degrade
	if j.needsTLCP() {
		say = j.fail
	}
	if t.broken != nil {
		say("", probes.PhraseTLCPBroken, j.name, t.broken.Error())
		return
	}
	j.dates(say)
	if !isFor(t.sign, j.name) {
		say(checkName, probes.PhraseTLCPName, j.name, cmp.Or(strings.Join(namesFor(t.sign), ", "), nameOf(t.sign.Subject)))
	}
	if t.doubt != nil {
		say(checkTLCPTrust, probes.PhraseTLCPUntrusted, j.name, nameOf(t.sign.Issuer))
	}
	if t.sign.KeyUsage&signUsages == 0 {
		j.degrade(checkUsage, probes.PhraseTLCPSignUsage, nameOf(t.sign.Subject), usage(t.sign))
	}
	if t.crypt != nil && t.crypt.KeyUsage&cryptUsages == 0 {
		j.degrade(checkUsage, probes.PhraseTLCPCryptUsage, nameOf(t.crypt.Subject), usage(t.crypt))
	}
}

// dates judges that there are two certificates, and both their dates.
func (j *judgement) dates(say func(check string, phrase probes.Phrase, want, got string)) {
	t := j.sm
	switch {
	case j.at.After(t.sign.NotAfter):
		say("", probes.PhraseTLCPSignExpired, j.name, stamp(t.sign.NotAfter))
	case j.at.Before(t.sign.NotBefore):
		say("", probes.PhraseTLCPSignEarly, j.name, stamp(t.sign.NotBefore))
	}
	switch {
	case t.crypt == nil:
		say("", probes.PhraseTLCPSingle, j.name, nameOf(t.sign.Subject))
	case j.at.After(t.crypt.NotAfter):
		say("", probes.PhraseTLCPCryptExpire, j.name, stamp(t.crypt.NotAfter))
	case j.at.Before(t.crypt.NotBefore):
		say("", probes.PhraseTLCPCryptEarly, j.name, stamp(t.crypt.NotBefore))
	}
}

// reason is an error's own text as data, without the addresses that wrap it.
func reason(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return probes.Excerpt(err.Error())
}

func (j *judgement) expectations() {
	for i, e := range j.expect {
		if c := j.res.Checks[i]; !c.OK {
			j.res.Fail(failed(e, c))
		}
	}
	for i, e := range j.warn {
		if c := j.res.Checks[len(j.expect)+i]; !c.OK {
			j.res.Degrade(failed(e, c))
		}
	}
}

// failed says that an expectation did; one about times alone by its latency.
func failed(e *expect.Expr, c probes.Check) probes.Finding {
	f := probes.Finding{Class: probes.ClassTLS, Phrase: probes.PhraseCheck, Want: probes.Excerpt(c.Expr), Got: c.Saw}
	times := []string{"latency", "dns", "connect", "handshake"}
	if uses := e.Uses(); len(uses) > 0 && !slices.ContainsFunc(uses, func(u string) bool { return !slices.Contains(times, u) }) {
		f.Class = probes.ClassLatency
	}
	return f
}
