package chrome

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// netErrors sorts the browser's network errors; the first matching prefix
// counts. The names are those of Chromium's net_error_list.h.
var netErrors = []struct {
	prefix string
	class  probes.Class
	phrase probes.Phrase
}{
	{"ERR_NAME_", probes.ClassDNS, probes.PhraseDNSFailed},
	{"ERR_DNS_", probes.ClassDNS, probes.PhraseDNSFailed},
	{"ERR_ICANN_NAME_COLLISION", probes.ClassDNS, probes.PhraseDNSFailed},
	{"ERR_CONNECTION_REFUSED", probes.ClassConnect, probes.PhraseRefused},
	{"ERR_CONNECTION_FAILED", probes.ClassConnect, probes.PhraseConnectFailed},
	{"ERR_ADDRESS_UNREACHABLE", probes.ClassConnect, probes.PhraseUnreachable},
	{"ERR_ADDRESS_", probes.ClassConnect, probes.PhraseConnectFailed},
	{"ERR_CONNECTION_TIMED_OUT", probes.ClassTimeout, probes.PhraseConnectTimeout},
	{"ERR_TIMED_OUT", probes.ClassTimeout, probes.PhraseNetwork},
	{"ERR_CONNECTION_RESET", probes.ClassReset, probes.PhraseReset},
	{"ERR_CONNECTION_CLOSED", probes.ClassReset, probes.PhraseClosed},
	{"ERR_CONNECTION_ABORTED", probes.ClassReset, probes.PhraseReset},
	{"ERR_EMPTY_RESPONSE", probes.ClassReset, probes.PhraseClosed},
	{"ERR_INVALID_RESPONSE", probes.ClassReset, probes.PhraseNotHTTP},
	{"ERR_INVALID_HTTP_RESPONSE", probes.ClassReset, probes.PhraseNotHTTP},
	{"ERR_RESPONSE_", probes.ClassReset, probes.PhraseNetwork},
	{"ERR_INCOMPLETE_", probes.ClassReset, probes.PhraseCut},
	{"ERR_INVALID_CHUNKED_ENCODING", probes.ClassReset, probes.PhraseNetwork},
	{"ERR_CONTENT_LENGTH_MISMATCH", probes.ClassReset, probes.PhraseCut},
	{"ERR_HTTP2_", probes.ClassReset, probes.PhraseNetwork},
	{"ERR_SOCKET_NOT_CONNECTED", probes.ClassReset, probes.PhraseNetwork},
	{"ERR_CERT_DATE_INVALID", probes.ClassTLS, probes.PhraseCertDate},
	{"ERR_CERT_COMMON_NAME_INVALID", probes.ClassTLS, probes.PhraseCertName},
	{"ERR_CERT_AUTHORITY_INVALID", probes.ClassTLS, probes.PhraseCertUntrusted},
	{"ERR_CERT_", probes.ClassTLS, probes.PhraseCertInvalid},
	{"ERR_CERTIFICATE_", probes.ClassTLS, probes.PhraseCertInvalid},
	{"ERR_SSL_", probes.ClassTLS, probes.PhraseTLSFailed},
	{"ERR_BAD_SSL_", probes.ClassTLS, probes.PhraseTLSFailed},
	{"ERR_TOO_MANY_REDIRECTS", probes.ClassRedirect, probes.PhraseRedirectEndless},
	{"ERR_UNSAFE_REDIRECT", probes.ClassRedirect, probes.PhraseRedirectBad},
	{"ERR_INVALID_REDIRECT", probes.ClassRedirect, probes.PhraseRedirectBad},
	{"ERR_UNKNOWN_URL_SCHEME", probes.ClassRedirect, probes.PhraseAppLink}, // sent to an app's scheme
	{"ERR_DISALLOWED_URL_SCHEME", probes.ClassRedirect, probes.PhraseAppLink},
	{"ERR_CONTENT_DECODING_", probes.ClassEncoding, probes.PhraseCompressed},
	{"ERR_HTTP_RESPONSE_CODE_FAILURE", probes.ClassStatus, probes.PhraseNetwork}, // an error without a body
	{"ERR_TOO_MANY_RETRIES", probes.ClassReset, probes.PhraseNetwork},
	{"ERR_BLOCKED_BY_RESPONSE", probes.ClassContent, probes.PhraseNetwork},
}

// netError makes the error for the document at address that did not load: a
// *Failure when the site is to blame, a plain error when this agent is.
func netError(text, address string, status int) error {
	host := hostOf(address)
	name := strings.TrimPrefix(text, "net::")
	scheme, _, _ := strings.Cut(address, ":")
	for _, e := range netErrors {
		if !strings.HasPrefix(name, e.prefix) {
			continue
		}
		f := &probes.Failure{Class: e.class, Phrase: e.phrase, Want: host, Got: name}
		switch {
		case e.class == probes.ClassStatus && status > 0:
			f.Phrase, f.Want, f.Got = probes.PhraseStatus, "", strings.TrimSpace(strconv.Itoa(status)+" "+http.StatusText(status))
		case e.phrase == probes.PhraseAppLink:
			f.Want, f.Got = "", scheme+":"
		}
		return f
	}
	if name != "ERR_ABORTED" {
		return errors.New("the browser could not open " + host + ": " + name)
	}
	if scheme != "http" && scheme != "https" {
		return &probes.Failure{Class: probes.ClassRedirect, Phrase: probes.PhraseAppLink, Got: scheme + ":"}
	}
	return &probes.Failure{Class: probes.ClassContent, Phrase: probes.PhraseDownload, Want: host}
}
