package probes

import "slices"

// Class is the failure class of a run or slot: a closed list, carried in
// traces as OpenTelemetry's error.type. The empty class means no failure.
type Class string

// The failure classes. A class is added here and in the wording table, nowhere
// else; a test holds the two together.
const (
	ClassNone            Class = ""
	ClassDNS             Class = "dns"              // the name did not resolve
	ClassConnect         Class = "connect"          // no TCP connection: refused, unreachable
	ClassTLS             Class = "tls"              // handshake or certificate
	ClassTimeout         Class = "timeout"          // nothing, or not all, came within the timeout
	ClassReset           Class = "reset"            // the peer cut the connection or the body
	ClassRedirect        Class = "redirect"         // too many redirects, a loop, or a wrong place
	ClassStatus          Class = "status"           // an HTTP status that means failure
	ClassEncoding        Class = "encoding"         // charset declared and charset sent disagree
	ClassContent         Class = "content"          // an expectation about the content failed
	ClassSoft404         Class = "soft_404"         // HTTP 200 with a "page does not exist" page
	ClassMaintenancePage Class = "maintenance_page" // HTTP 200 with a 「系统维护中」 page
	ClassBusinessCode    Class = "business_code"    // HTTP 200 with an error code in the JSON envelope
	ClassScriptError     Class = "script_error"     // an uncaught script error
	ClassResource        Class = "resource"         // a script, style or picture of the page failed
	ClassBlankPage       Class = "blank_page"       // nothing visible after the page settled
	ClassWechatOnly      Class = "wechat_only"      // 「请在微信客户端打开链接」
	ClassBlocked         Class = "blocked"          // a firewall refused the probe
	ClassChallenge       Class = "challenge"        // captcha, slider or script challenge
	ClassStep            Class = "step"             // a browser step found something else
	ClassLatency         Class = "latency"          // slower than the definition's bound
	ClassAgent           Class = "agent"            // the agent itself could not look: always Unknown
)

var classes = []Class{
	ClassDNS, ClassConnect, ClassTLS, ClassTimeout, ClassReset, ClassRedirect, ClassStatus,
	ClassEncoding, ClassContent, ClassSoft404, ClassMaintenancePage, ClassBusinessCode,
	ClassScriptError, ClassResource, ClassBlankPage, ClassWechatOnly, ClassBlocked,
	ClassChallenge, ClassStep, ClassLatency, ClassAgent,
}

// Classes lists every failure class.
func Classes() []Class { return slices.Clone(classes) }

// Known reports whether c is in the closed list, or empty.
func (c Class) Known() bool { return c == ClassNone || slices.Contains(classes, c) }
