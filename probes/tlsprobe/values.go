package tlsprobe

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"

	"github.com/gengfu/gengfu/probes"
)

// values are what the expectations see. What is not known is missing.
func (r *run) values() map[string]any {
	times := r.timings()
	v := map[string]any{"latency": times.Total, "dns": times.DNS, "connect": times.Connect, "handshake": times.TLS}
	if r.met {
		v["ip"] = r.line.IP.String()
	}
	if s := r.session; s != nil && len(s.state.PeerCertificates) > 0 {
		v["tls"], v["cert"], v["chain"] = r.tlsValues(), r.certValues(), r.chainValues()
		v["ocsp"] = map[string]any{"status": r.staple.status, "hours_left": nil}
		if !r.staple.until.IsZero() {
			v["ocsp"] = map[string]any{"status": r.staple.status, "hours_left": r.staple.until.Sub(r.at).Hours()}
		}
	}
	if r.sm != nil {
		v["tlcp"] = r.tlcpValues()
	}
	return v
}

func (r *run) tlsValues() map[string]any {
	s := r.session.state
	v := map[string]any{
		"version": version(s.Version), "cipher": tls.CipherSuiteName(s.CipherSuite), "alpn": s.NegotiatedProtocol,
		"client_cert": r.session.asked, "curve": "",
	}
	if s.CurveID != 0 {
		v["curve"] = s.CurveID.String()
	}
	if r.extra.asked {
		v["versions"] = r.extra.versions
	}
	return v
}

func (r *run) certValues() map[string]any {
	c := r.chain.leaf()
	sum := sha256.Sum256(c.Raw)
	kind, bits := key(c)
	return map[string]any{
		"days_left": r.days(c.NotAfter), "subject": probes.Excerpt(c.Subject.String()), "issuer": probes.Excerpt(c.Issuer.String()),
		"names": someNames(c), "serial": c.SerialNumber.Text(16), "sha256": hex.EncodeToString(sum[:]), "key": kind, "bits": bits,
		"signature": c.SignatureAlgorithm.String(), "self_signed": selfIssued(c), "name_ok": c.VerifyHostname(r.name) == nil,
	}
}

func (r *run) chainValues() map[string]any {
	c := &r.chain
	way := c.way()
	v := map[string]any{
		"trusted": c.trusted(), "complete": c.complete(), "repaired": c.repaired(), "length": len(r.session.state.PeerCertificates),
		"days_left": r.days(until(way).NotAfter), "root": "", "missing": "",
	}
	if c.trusted() {
		v["root"] = nameOf(way[len(way)-1].Subject)
	}
	if c.orphan != nil {
		v["missing"] = nameOf(c.orphan.Issuer)
	}
	return v
}

func (r *run) tlcpValues() map[string]any {
	t := r.sm
	v := map[string]any{"present": t.present()}
	if !t.present() {
		return v
	}
	v["version"], v["cipher"], v["certs"], v["dual"] = tlcpVersionText(t.version), tlcpSuite(t.suite), len(t.certificates), t.crypt != nil
	if t.broken != nil {
		return v
	}
	v["sign_days_left"], v["issuer"], v["names"] = r.days(t.sign.NotAfter), probes.Excerpt(t.sign.Issuer.String()), namesFor(t.sign)
	if t.crypt != nil {
		v["encrypt_days_left"] = r.days(t.crypt.NotAfter)
	}
	v["days_left"] = r.days(until(t.pair()).NotAfter)
	if t.judged {
		v["trusted"] = t.doubt == nil
	}
	return v
}
