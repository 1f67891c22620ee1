package probes

import "slices"

// Phrase names the sentence that says what was wrong: a closed list, of which
// package wording holds the sentences. Want and Got of a Finding or a Failure
// are its arguments. They are data that reads the same in every language, such
// as an address, a selector, an expression, what a page showed or the text of
// an error, and never prose of our own.
//
// A phrase is added here and in the wording table, nowhere else; a test holds
// the two together. The empty phrase lets Want and Got speak for themselves.
type Phrase string

// PhraseCheck says that an expectation failed: Want is the expression, Got the
// values that it saw.
const PhraseCheck Phrase = "check"

// The phrases of the network. Want is the peer: a host, or an address with its
// port. Got is the error's own text unless stated otherwise; a length of time is
// written as Lasted does.
const (
	PhraseNoSuchHost     Phrase = "no_such_host"
	PhraseDNSTimeout     Phrase = "dns_timeout"     // Got is how long it was waited
	PhraseDNSFailed      Phrase = "dns_failed"      //
	PhraseRefused        Phrase = "refused"         //
	PhraseUnreachable    Phrase = "unreachable"     //
	PhraseConnectTimeout Phrase = "connect_timeout" // Got is how long it was waited, if known
	PhraseConnectFailed  Phrase = "connect_failed"  //
	PhraseTLSTimeout     Phrase = "tls_timeout"     // Got is how long it was waited
	PhraseTLSFailed      Phrase = "tls_failed"      //
	PhraseNotTLS         Phrase = "not_tls"         // something else than TLS speaks there
	PhraseCertExpired    Phrase = "cert_expired"    // Got is when, RFC 3339
	PhraseCertEarly      Phrase = "cert_early"      // Got is from when it is valid, RFC 3339
	PhraseCertDate       Phrase = "cert_date"       // one of the two, when the browser does not tell
	PhraseCertName       Phrase = "cert_name"       // Got are the names it is for, if known
	PhraseCertUntrusted  Phrase = "cert_untrusted"  // Got is the issuer, if known
	PhraseCertChain      Phrase = "cert_chain"      // no intermediate was sent; Got is the issuer
	PhraseCertInvalid    Phrase = "cert_invalid"    //
	PhraseReset          Phrase = "reset"           //
	PhraseClosed         Phrase = "closed"          // before any answer
	PhraseCut            Phrase = "cut"             // in the middle of the answer
	PhraseReplyTimeout   Phrase = "reply_timeout"   // Got is how long it was waited
	PhraseBodyTimeout    Phrase = "body_timeout"    // Got is how long it was waited
	PhraseNotHTTP        Phrase = "not_http"        //
	PhraseNetwork        Phrase = "network"         // anything else
	PhraseProxyRefused   Phrase = "proxy_refused"   // Want is the proxy, Got its answer
)

// The phrases of certificates and encryption, looked at closely. Want is the host
// and Got the error's own text unless stated otherwise; a name is the common name
// of a certificate, or all of its name.
const (
	PhraseCertSelfSigned  Phrase = "cert_self_signed"   // no authority signed it
	PhraseCertNoNames     Phrase = "cert_no_names"      // it lists no names, at most a common name: Got
	PhraseCertWeakKey     Phrase = "cert_weak_key"      // Want is the certificate's name, Got the key: "RSA 1024"
	PhraseCertWeakSigned  Phrase = "cert_weak_signed"   // Want is the certificate's name, Got the algorithm
	PhraseCertRevoked     Phrase = "cert_revoked"       // Got is when, RFC 3339
	PhraseIssuerExpired   Phrase = "issuer_expired"     // Want is the name of a certificate above the host's, Got when, RFC 3339
	PhraseIssuerEarly     Phrase = "issuer_early"       // likewise; Got is from when it is valid
	PhraseChainAIA        Phrase = "chain_aia"          // Want is the missing certificate's name, Got where it was fetched
	PhraseChainMissing    Phrase = "chain_missing"      // Want is the missing certificate's name, Got where it could not be fetched, if anywhere
	PhraseTLSVersion      Phrase = "tls_version"        // Want is the lowest version that will do, Got the one spoken: "TLS 1.0"
	PhraseTLSOldAccepted  Phrase = "tls_old_accepted"   // Want is the lowest version that will do, Got the ones below that are accepted, too
	PhraseTLSCipher       Phrase = "tls_cipher"         // Got is the weak suite spoken
	PhraseTLSWeakAccepted Phrase = "tls_weak_accepted"  // Got is a weak suite that is accepted, too
	PhraseTLSClientCert   Phrase = "tls_client_cert"    // the host wants a certificate of its visitors
	PhraseOCSPStale       Phrase = "ocsp_stale"         // Got is until when the stapled answer was good, RFC 3339
	PhraseOCSPInvalid     Phrase = "ocsp_invalid"       //
	PhraseOCSPUnknown     Phrase = "ocsp_unknown"       // the authority does not know the certificate
	PhraseOCSPMissing     Phrase = "ocsp_missing"       // although the certificate demands one
	PhraseTLCPMissing     Phrase = "tlcp_missing"       //
	PhraseTLCPFound       Phrase = "tlcp_found"         // although it should not; Got is the suite
	PhraseTLCPOnly        Phrase = "tlcp_only"          // nothing but TLCP is spoken; Got is the suite
	PhraseTLCPBroken      Phrase = "tlcp_broken"        // the certificates in a TLCP answer make no sense
	PhraseTLCPSingle      Phrase = "tlcp_single"        // one certificate came where TLCP wants two; Got is its name
	PhraseTLCPName        Phrase = "tlcp_name"          // Got are the names it is for
	PhraseTLCPSignUsage   Phrase = "tlcp_sign_usage"    // Want is the signing certificate's name, Got its usages
	PhraseTLCPCryptUsage  Phrase = "tlcp_crypt_usage"   // Want is the encryption certificate's name, Got its usages
	PhraseTLCPSignExpired Phrase = "tlcp_sign_expired"  // Got is when, RFC 3339
	PhraseTLCPSignEarly   Phrase = "tlcp_sign_early"    // Got is from when it is valid, RFC 3339
	PhraseTLCPCryptExpire Phrase = "tlcp_crypt_expired" // Got is when, RFC 3339
	PhraseTLCPCryptEarly  Phrase = "tlcp_crypt_early"   // Got is from when it is valid, RFC 3339
	PhraseTLCPUntrusted   Phrase = "tlcp_untrusted"     // Got is the issuer
)

// The phrases of HTTP and of interfaces.
const (
	PhraseStatus          Phrase = "status"           // Got is the code with its name, Want what was expected, if anything
	PhraseCharset         Phrase = "charset"          // Want is the charset declared, Got the one it seems to be, or nothing
	PhraseCompression     Phrase = "compression"      // Got is the Content-Encoding that is not supported
	PhraseCompressed      Phrase = "compressed"       // Got is what is wrong with the compressed data
	PhraseRedirects       Phrase = "redirects"        // Want is how many are followed, Got the next address
	PhraseRedirectEndless Phrase = "redirect_endless" // Want is the host
	PhraseRedirectLoop    Phrase = "redirect_loop"    // Got is the address
	PhraseRedirectPlain   Phrase = "redirect_plain"   // Got is the address without encryption
	PhraseRedirectSecret  Phrase = "redirect_secret"  // Got is the address that the body's secrets do not belong to
	PhraseRedirectBody    Phrase = "redirect_body"    // Got is the address that the body was not written for
	PhraseRedirectInside  Phrase = "redirect_inside"  // Want is the address, Got the IP address with its class, such as "10.0.0.8 (private)"
	PhraseRedirectBad     Phrase = "redirect_bad"     // Got is the address that is none
	PhraseProtocol        Phrase = "protocol"         // Want is the protocol asked for, such as h2, Got the one spoken
	PhraseHeadLong        Phrase = "head_long"        // Want is the bound of the reply's head in bytes
	PhraseNotFound        Phrase = "not_found"        // Want is what was looked for in the reply, Got what was there
	PhraseSchema          Phrase = "schema"           // Want is the place with the rule, Got is what is wrong there
	PhraseChanged         Phrase = "changed"          // Want is the SHA-256 that was due, Got the one of the content
	PhraseFamilies        Phrase = "families"         // Want is what IPv4 answered, Got what IPv6 did
	PhraseHTMLNotJSON     Phrase = "html_not_json"    // Got is the page's title
	PhraseJSONEmpty       Phrase = "json_empty"       //
	PhraseJSONBroken      Phrase = "json_broken"      // Got is the body
	PhraseJSONMore        Phrase = "json_more"        // Got is the body, in which more follows the JSON
	PhraseJSONLong        Phrase = "json_long"        // Want is the bound in bytes
	PhraseBusiness        Phrase = "business"         // Want are the good codes, Got is "path = code: message"
	PhraseBusinessMissing Phrase = "business_missing" // Want is the code's path, Got the message, if any
)

// The phrases of name servers, of ports that speak, of WebSockets and of echoes.
// A server is written as an address or a host; a question is a name with the type
// of record asked for: "www.example.test/A".
const (
	PhraseNoAddress    Phrase = "no_address"    // Want is the host, Got the family that it lacks: "IPv6"
	PhraseReplyLong    Phrase = "reply_long"    // Want is what was looked for in the reply, Got the bound in bytes that it passed before
	PhraseDNSNoName    Phrase = "dns_no_name"   // Want is the name, Got the server that says there is none
	PhraseDNSNoRecord  Phrase = "dns_no_record" // Want is the question, Got the server that knows the name, but no such record
	PhraseDNSServFail  Phrase = "dns_servfail"  // Want is the question, Got the server
	PhraseDNSRefused   Phrase = "dns_refused"   // Want is the question, Got the server
	PhraseDNSCode      Phrase = "dns_code"      // Want is the question, Got the server with another code: "10.0.0.53 NOTIMP"
	PhraseDNSBroken    Phrase = "dns_broken"    // Want is the server, Got what is wrong with its message
	PhraseDNSForged    Phrase = "dns_forged"    // Want is the server, Got what in the answer does not belong to the query: "id", "question"
	PhraseDNSExact     Phrase = "dns_exact"     // Want are the answers that were due, Got those that came
	PhraseDNSMissing   Phrase = "dns_missing"   // Want are the answers that are missing, Got those that came
	PhraseDNSOutside   Phrase = "dns_outside"   // Want are the answers or networks allowed, Got the answers outside
	PhraseDNSDisagree  Phrase = "dns_disagree"  // Want is one server with its answers, Got another: "10.0.0.53 → 10.1.2.3"
	PhraseNotWebSocket Phrase = "not_websocket" // Want is the peer, Got what is wrong with its handshake
	PhraseSocketClosed Phrase = "socket_closed" // Want is the peer, Got the code with its reason
	PhraseSocketCode   Phrase = "socket_code"   // Want is the code of closing that was due, Got the one that came
	PhraseMessageLong  Phrase = "message_long"  // Want is the peer, Got the bound of one message in bytes
	PhrasePingSilent   Phrase = "ping_silent"   // Want is the peer, Got how many echo requests it did not answer
	PhrasePingLoss     Phrase = "ping_loss"     // Want is the peer, Got the loss with its bound: "40% > 20%"
)

// The phrases of steps on a page. Want is the selector unless stated otherwise;
// "the page" is written as Shown does.
const (
	PhraseElementMissing  Phrase = "element_missing"  // Got is the page
	PhraseElementHidden   Phrase = "element_hidden"   // Got is the page
	PhraseElementShown    Phrase = "element_shown"    // although it should not; Got is the page
	PhraseElementDisabled Phrase = "element_disabled" //
	PhraseElementReadOnly Phrase = "element_readonly" //
	PhraseElementMoving   Phrase = "element_moving"   //
	PhraseElementOutside  Phrase = "element_outside"  // of the window
	PhraseElementCovered  Phrase = "element_covered"  // Got is the element over it
	PhraseNotAField       Phrase = "not_a_field"      // Got is what it is
	PhraseFieldType       Phrase = "field_type"       // Got is a type that takes no text
	PhraseNotAList        Phrase = "not_a_list"       // Got is what it is
	PhraseNoChoice        Phrase = "no_choice"        // Want is the choice, Got are those there
	PhraseFieldReplaced   Phrase = "field_replaced"   // while it was filled
	PhraseFieldEmpty      Phrase = "field_empty"      // after it was filled
	PhraseTextMissing     Phrase = "text_missing"     // Want is the text, Got the page
	PhraseTextShown       Phrase = "text_shown"       // Want is the text that should not be there, Got the page
	PhraseAddress         Phrase = "address"          // Want is the part to be in the address, Got the address
	PhraseScriptNo        Phrase = "script_no"        // Got is the script's result
	PhraseScriptThrew     Phrase = "script_threw"     // Got is the exception
	PhraseScriptEndless   Phrase = "script_endless"   //
	PhraseSilent          Phrase = "silent"           // the page answers no question
	PhraseDialogs         Phrase = "dialogs"          // without end; Got is the first
	PhraseReloads         Phrase = "reloads"          // without end; Got is the address
	PhraseAppLink         Phrase = "app_link"         // Got is the scheme
	PhraseDownload        Phrase = "download"         // Want is the host
)

// The phrases of a page as a whole.
const (
	PhraseBlank           Phrase = "blank"             //
	PhraseBlankAfterError Phrase = "blank_after_error" // Got is the script's error
	PhraseScriptErrors    Phrase = "script_errors"     // Got is the first
	PhraseGarbled         Phrase = "garbled"           // Want is the charset, Got "unreadable/all", in characters
	PhrasePending         Phrase = "pending"           // Want is the request's address, Got how long it was waited
	PhraseResource        Phrase = "resource"          // Want is the address, Got a status or the browser's error
	PhraseMaintenance     Phrase = "maintenance"       // Got is the page, as in all that follow
	PhraseSoft404         Phrase = "soft_404"          //
	PhraseLogin           Phrase = "login"             // a login page came instead
	PhraseOwnPage         Phrase = "own_page"          // Want is the name of the definition's own rule
	PhraseWechatOnly      Phrase = "wechat_only"       //
	PhraseWAF             Phrase = "waf"               //
	PhraseWAF405          Phrase = "waf_405"           //
	PhraseCaptcha         Phrase = "captcha"           //
	PhraseScriptCheck     Phrase = "script_check"      // Want is the status with which the firewall asks
)

// The phrases of an agent that could not look.
const (
	PhraseBusy          Phrase = "busy"           // Got is how many places stayed taken
	PhraseBusyBrowser   Phrase = "busy_browser"   // Got is how many places stayed taken
	PhraseOverran       Phrase = "overran"        // Want is the kind, Got how long after its timeout it still ran
	PhrasePanicked      Phrase = "panicked"       // Got is the panic
	PhraseStopped       Phrase = "stopped"        // Got is why
	PhraseContradiction Phrase = "contradiction"  // Got is the verdict and the class that do not go together
	PhraseLineDown      Phrase = "line_down"      // Got are the reference targets
	PhraseNoSecret      Phrase = "no_secret"      // Want is its name, Got says how to set it
	PhraseNoBrowser     Phrase = "no_browser"     // Got is how to install one
	PhraseBrowser       Phrase = "browser"        // the agent's browser is unwell: Got
	PhraseStalled       Phrase = "stalled"        // the agent's process stood still; Got is how long
	PhraseNoIPv6        Phrase = "no_ipv6"        // Got is the error
	PhraseNoPing        Phrase = "no_ping"        // the host lets the agent send no echo requests; Got is how to allow it
	PhraseProxy         Phrase = "proxy"          // Want is the proxy, Got the error
	PhraseCouldNotLook  Phrase = "could_not_look" // Got is the error
)

var phrases = []Phrase{
	PhraseCheck,
	PhraseNoSuchHost, PhraseDNSTimeout, PhraseDNSFailed, PhraseRefused, PhraseUnreachable, PhraseConnectTimeout, PhraseConnectFailed,
	PhraseTLSTimeout, PhraseTLSFailed, PhraseNotTLS, PhraseCertExpired, PhraseCertEarly, PhraseCertDate, PhraseCertName,
	PhraseCertUntrusted, PhraseCertChain, PhraseCertInvalid, PhraseReset, PhraseClosed, PhraseCut, PhraseReplyTimeout,
	PhraseBodyTimeout, PhraseNotHTTP, PhraseNetwork, PhraseProxyRefused,
	PhraseCertSelfSigned, PhraseCertNoNames, PhraseCertWeakKey, PhraseCertWeakSigned, PhraseCertRevoked, PhraseIssuerExpired,
	PhraseIssuerEarly, PhraseChainAIA, PhraseChainMissing, PhraseTLSVersion, PhraseTLSOldAccepted, PhraseTLSCipher,
	PhraseTLSWeakAccepted, PhraseTLSClientCert, PhraseOCSPStale, PhraseOCSPInvalid, PhraseOCSPUnknown, PhraseOCSPMissing,
	PhraseTLCPMissing, PhraseTLCPFound, PhraseTLCPOnly, PhraseTLCPBroken, PhraseTLCPSingle, PhraseTLCPName, PhraseTLCPSignUsage,
	PhraseTLCPCryptUsage, PhraseTLCPSignExpired, PhraseTLCPSignEarly, PhraseTLCPCryptExpire, PhraseTLCPCryptEarly,
	PhraseTLCPUntrusted,
	PhraseStatus, PhraseCharset, PhraseCompression, PhraseCompressed, PhraseRedirects, PhraseRedirectEndless, PhraseRedirectLoop,
	PhraseRedirectPlain, PhraseRedirectSecret, PhraseRedirectBody, PhraseRedirectInside, PhraseRedirectBad,
	PhraseProtocol, PhraseHeadLong, PhraseNotFound, PhraseSchema, PhraseChanged, PhraseFamilies, PhraseHTMLNotJSON, PhraseJSONEmpty, PhraseJSONBroken,
	PhraseJSONMore, PhraseJSONLong, PhraseBusiness, PhraseBusinessMissing,
	PhraseNoAddress, PhraseReplyLong, PhraseDNSNoName, PhraseDNSNoRecord, PhraseDNSServFail, PhraseDNSRefused, PhraseDNSCode,
	PhraseDNSBroken, PhraseDNSForged, PhraseDNSExact, PhraseDNSMissing, PhraseDNSOutside, PhraseDNSDisagree, PhraseNotWebSocket,
	PhraseSocketClosed, PhraseSocketCode, PhraseMessageLong, PhrasePingSilent, PhrasePingLoss,
	PhraseElementMissing, PhraseElementHidden, PhraseElementShown, PhraseElementDisabled, PhraseElementReadOnly, PhraseElementMoving,
	PhraseElementOutside, PhraseElementCovered, PhraseNotAField, PhraseFieldType, PhraseNotAList, PhraseNoChoice,
	PhraseFieldReplaced, PhraseFieldEmpty, PhraseTextMissing, PhraseTextShown, PhraseAddress, PhraseScriptNo, PhraseScriptThrew,
	PhraseScriptEndless, PhraseSilent, PhraseDialogs, PhraseReloads, PhraseAppLink, PhraseDownload,
	PhraseBlank, PhraseBlankAfterError, PhraseScriptErrors, PhraseGarbled, PhrasePending, PhraseResource, PhraseMaintenance,
	PhraseSoft404, PhraseLogin, PhraseOwnPage, PhraseWechatOnly, PhraseWAF, PhraseWAF405, PhraseCaptcha, PhraseScriptCheck,
	PhraseBusy, PhraseBusyBrowser, PhraseOverran, PhrasePanicked, PhraseStopped, PhraseContradiction, PhraseLineDown,
	PhraseStalled, PhraseNoIPv6, PhraseNoPing, PhraseProxy, PhraseNoSecret, PhraseNoBrowser, PhraseBrowser, PhraseCouldNotLook,
}

// Phrases lists every phrase.
func Phrases() []Phrase { return slices.Clone(phrases) }

// Known reports whether p is in the closed list, or empty.
func (p Phrase) Known() bool { return p == "" || slices.Contains(phrases, p) }
