package tlsprobe

import (
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Fields lists what expectations of the kind may speak of.
func Fields() []probes.Field {
	return []probes.Field{
		{Name: "latency", Doc: "name resolution, connection and handshake together", Zero: time.Duration(0)},
		{Name: "dns", Doc: "the time of name resolution", Zero: time.Duration(0)},
		{Name: "connect", Doc: "the time to connect", Zero: time.Duration(0)},
		{Name: "handshake", Doc: "the time of the handshake", Zero: time.Duration(0)},
		{Name: "ip", Doc: "the address that was spoken to", Zero: ""},
		{Name: "tls", Doc: "the handshake: tls.version such as '1.3', tls.cipher, tls.alpn, tls.curve, tls.client_cert (asked for), tls.versions (accepted, with scan: true)", Zero: map[string]any{
			"version": "", "cipher": "", "alpn": "", "curve": "", "client_cert": false, "versions": []string{},
		}},
		{Name: "cert", Doc: "the site's certificate: cert.days_left, cert.subject, cert.issuer, cert.names, cert.serial and cert.sha256 in hexadecimal, cert.key such as 'RSA', cert.bits, cert.signature, cert.self_signed, cert.name_ok", Zero: map[string]any{
			"days_left": 0.0, "subject": "", "issuer": "", "names": []string{}, "serial": "", "sha256": "", "key": "", "bits": 0,
			"signature": "", "self_signed": false, "name_ok": false,
		}},
		{Name: "chain", Doc: "the way to a root: chain.trusted, chain.complete (as sent), chain.repaired (by AIA), chain.length (as sent), chain.days_left (of the one that expires first), chain.root, chain.missing", Zero: map[string]any{
			"trusted": false, "complete": false, "repaired": false, "length": 0, "days_left": 0.0, "root": "", "missing": "",
		}},
		{Name: "ocsp", Doc: "the stapled OCSP answer: ocsp.status is none, good, revoked, unknown, stale, invalid or unverified; ocsp.hours_left until its next update", Zero: map[string]any{
			"status": "", "hours_left": 0.0,
		}},
		{Name: "tlcp", Doc: "national cryptography: tlcp.present, tlcp.version such as '0x0101', tlcp.cipher such as 'ECC_SM4_GCM_SM3', tlcp.certs (sent), tlcp.dual (one to sign, one to encrypt), tlcp.days_left (of the one that expires first), tlcp.sign_days_left, tlcp.encrypt_days_left, tlcp.issuer, tlcp.names, tlcp.trusted (where roots hold one of SM2)", Zero: map[string]any{
			"present": false, "version": "", "cipher": "", "certs": 0, "dual": false, "days_left": 0.0, "sign_days_left": 0.0,
			"encrypt_days_left": 0.0, "issuer": "", "names": []string{}, "trusted": false,
		}},
	}
}
