package chrome

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// netClasses sorts the browser's network errors; the first matching prefix
// counts. The names are those of Chromium's net_error_list.h.
var netClasses = []struct {
	prefix string
	class  probes.Class
}{
	{"ERR_NAME_", probes.ClassDNS},
	{"ERR_DNS_", probes.ClassDNS},
	{"ERR_ICANN_NAME_COLLISION", probes.ClassDNS},
	{"ERR_CONNECTION_REFUSED", probes.ClassConnect},
	{"ERR_CONNECTION_FAILED", probes.ClassConnect},
	{"ERR_ADDRESS_", probes.ClassConnect},
	{"ERR_CONNECTION_TIMED_OUT", probes.ClassTimeout},
	{"ERR_TIMED_OUT", probes.ClassTimeout},
	{"ERR_CONNECTION_RESET", probes.ClassReset},
	{"ERR_CONNECTION_CLOSED", probes.ClassReset},
	{"ERR_CONNECTION_ABORTED", probes.ClassReset},
	{"ERR_EMPTY_RESPONSE", probes.ClassReset},
	{"ERR_INVALID_RESPONSE", probes.ClassReset},
	{"ERR_INVALID_HTTP_RESPONSE", probes.ClassReset},
	{"ERR_RESPONSE_", probes.ClassReset},
	{"ERR_INCOMPLETE_", probes.ClassReset},
	{"ERR_INVALID_CHUNKED_ENCODING", probes.ClassReset},
	{"ERR_CONTENT_LENGTH_MISMATCH", probes.ClassReset},
	{"ERR_HTTP2_", probes.ClassReset},
	{"ERR_SOCKET_NOT_CONNECTED", probes.ClassReset},
	{"ERR_CERT_", probes.ClassTLS},
	{"ERR_CERTIFICATE_", probes.ClassTLS},
	{"ERR_SSL_", probes.ClassTLS},
	{"ERR_BAD_SSL_", probes.ClassTLS},
	{"ERR_TOO_MANY_REDIRECTS", probes.ClassRedirect},
	{"ERR_UNSAFE_REDIRECT", probes.ClassRedirect},
	{"ERR_INVALID_REDIRECT", probes.ClassRedirect},
	{"ERR_UNKNOWN_URL_SCHEME", probes.ClassRedirect}, // sent to an app's scheme
	{"ERR_DISALLOWED_URL_SCHEME", probes.ClassRedirect},
	{"ERR_CONTENT_DECODING_", probes.ClassEncoding},
	{"ERR_HTTP_RESPONSE_CODE_FAILURE", probes.ClassStatus}, // an error without a body
	{"ERR_TOO_MANY_RETRIES", probes.ClassReset},
	{"ERR_BLOCKED_BY_RESPONSE", probes.ClassContent},
}

// netError makes the error for the document at address that did not load: a
// *Failure when the site is to blame, a plain error when this agent is.
func netError(text, address string, status int) error {
	host := hostOf(address)
	name := strings.TrimPrefix(text, "net::")
	for _, c := range netClasses {
		if !strings.HasPrefix(name, c.prefix) {
			continue
		}
		f := &probes.Failure{Class: c.class, Want: "a page from " + host, Got: name}
		if c.class == probes.ClassStatus && status > 0 {
			f.Want, f.Got = "a status below 400", fmt.Sprintf("status %d with no page", status)
		}
		return f
	}
	if scheme, _, _ := strings.Cut(address, ":"); name == "ERR_ABORTED" && scheme != "http" && scheme != "https" {
		return &probes.Failure{Class: probes.ClassRedirect, Want: "a page", Got: "led to an app by " + scheme + ":"}
	}
	if name == "ERR_ABORTED" {
		return &probes.Failure{Class: probes.ClassContent, Want: "a page from " + host, Got: "a download, or no content"}
	}
	return errors.New("the browser could not open " + host + ": " + name)
}
