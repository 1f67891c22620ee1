package tlsprobe

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// The states of a stapled OCSP answer: ocsp.status in expectations.
const (
	ocspNone       = "none"       // none was stapled
	ocspGood       = "good"       //
	ocspRevoked    = "revoked"    //
	ocspUnknown    = "unknown"    // the authority does not know the certificate
	ocspStale      = "stale"      // its time is over
	ocspInvalid    = "invalid"    // not about this certificate, or not signed by its issuer
	ocspUnverified = "unverified" // the issuer is not at hand to check it
)

// skew is how far clocks may differ before a staple is called stale.
const skew = 5 * time.Minute

// staple is the stapled OCSP answer (RFC 6961, RFC 6960).
type staple struct {
	status  string
	until   time.Time // the next update; zero for none
	revoked time.Time
	err     error // why it is invalid
	must    bool  // the certificate demands one (RFC 7633)
}

func readStaple(raw []byte, c chain, now time.Time) staple {
	s := staple{status: ocspNone, must: mustStaple(c.leaf())}
	if len(raw) == 0 {
		return s
	}
	issuer := c.issuer()
	answer, err := ocsp.ParseResponseForCert(raw, c.leaf(), issuer)
	if err != nil {
		s.status, s.err = ocspInvalid, err
		return s
	}
	s.until = answer.NextUpdate
	switch {
	case issuer == nil:
		s.status = ocspUnverified
	case delegated(answer, issuer) != nil:
		s.status, s.err = ocspInvalid, delegated(answer, issuer)
	case answer.Status == ocsp.Revoked:
		// That stays true whatever the answer's age.
		s.status, s.revoked = ocspRevoked, answer.RevokedAt
	case answer.ThisUpdate.After(now.Add(skew)):
		s.status, s.err = ocspInvalid, fmt.Errorf("dated %s, which is to come", answer.ThisUpdate.UTC().Format(time.RFC3339))
	case !s.until.IsZero() && now.After(s.until.Add(skew)):
		s.status = ocspStale
	case answer.Status == ocsp.Good:
		s.status = ocspGood
	default:
		s.status = ocspUnknown
	}
	return s
}

// delegated checks the certificate of an answer that the issuer did not sign
// itself: any other certificate of the issuer must not answer for it (RFC 6960
// section 4.2.2.2).
func delegated(answer *ocsp.Response, issuer *x509.Certificate) error {
	by := answer.Certificate
	if by == nil || by.Equal(issuer) || slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return nil
	}
	return errors.New("signed by a certificate that may not answer for its issuer")
}

var oidFeatures = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

// statusRequest is the number of the TLS extension by which a client asks for a staple.
const statusRequest = 5

func mustStaple(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		var features []int
		if !e.Id.Equal(oidFeatures) {
			continue
		}
		if _, err := asn1.Unmarshal(e.Value, &features); err == nil && slices.Contains(features, statusRequest) {
			return true
		}
	}
	return false
}
