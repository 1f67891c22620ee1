package httpprobe

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/pagerules"
)

// The bounds of a definition.
const (
	defaultRedirects = 10
	maxRedirects     = 20
	defaultMaxBody   = 2 << 20
	maxMaxBody       = 64 << 20
	maxSteps         = 20
)

// methods are those of RFC 9110 but CONNECT, and those of RFC 5789, RFC 4918,
// RFC 3253 and RFC 5323.
var methods = []string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH",
}

// settings are the keys of the kind.
type settings struct {
	Request    request         `yaml:"request" doc:"the request: an address, or a map that says more"`
	Steps      []stepSettings  `yaml:"steps" doc:"several requests, one after the other, in place of request"`
	Expect     []string        `yaml:"expect" doc:"expressions that must hold; of a flow, over its last reply and the times of all steps"`
	Warn       []string        `yaml:"warn" doc:"expressions that should hold: else the probe is degraded"`
	Business   *business       `yaml:"business" doc:"the code in a JSON envelope that means success"`
	Schema     any             `yaml:"schema" doc:"a JSON Schema that the reply must follow (draft 2020-12 unless it says otherwise)"`
	Content    *content        `yaml:"content" doc:"what the content is known to be, to notice tampering"`
	Charset    string          `yaml:"charset" doc:"the charset by which replies are read, whatever they declare"`
	Rules      ruleSet         `yaml:"rules" doc:"off, or the page rules that do not apply"`
	Pages      []pagerules.Own `yaml:"pages" doc:"page rules of one's own, tried before the usual ones"`
	CAFile     string          `yaml:"ca_file" doc:"a PEM file on the agent with certificates to trust beside the usual ones"`
	Nodes      []node          `yaml:"nodes" doc:"the business nodes behind a load balancer, each of which is checked by itself, with the Host and the server name of the address"`
	IP         any             `yaml:"ip" doc:"any (default), 4, 6, or both: then both are asked and compared"`
	Protocol   string          `yaml:"protocol" doc:"auto (default), http/1.1 or h2; h2 of an address without encryption is spoken without being asked for"`
	Proxy      *proxySettings  `yaml:"proxy" doc:"http://host:port, https://host:port or socks5://host:port, or a map with url, user and password"`
	ClientCert *clientCert     `yaml:"client_cert" doc:"the certificate that a server may ask for"`
	MaxBody    int64           `yaml:"max_body" doc:"how much of a body is read, in bytes, compressed and inflated; default 2 MiB"`
	Allow      []string        `yaml:"allow" doc:"hosts (.a.example for all below), addresses and networks (10.0.0.0/8) that redirects may lead to although they lie further inside than the first address"`
}

// stepSettings are the keys of one step of a flow.
type stepSettings struct {
	Name     string            `yaml:"name" doc:"what people call the step, such as 登录"`
	Request  request           `yaml:"request" doc:"the request: an address, or a map that says more"`
	Expect   []string          `yaml:"expect" doc:"expressions that must hold for this step's reply"`
	Warn     []string          `yaml:"warn" doc:"expressions that should hold for this step's reply"`
	Business *business         `yaml:"business" doc:"the code in a JSON envelope that means success"`
	Schema   any               `yaml:"schema" doc:"a JSON Schema that the reply must follow (draft 2020-12 unless it says otherwise)"`
	Content  *content          `yaml:"content" doc:"what the content is known to be, to notice tampering"`
	Save     map[string]saving `yaml:"save" doc:"values to take out of the reply, for later steps as ${name}"`
}

// request is what is sent. ${secret:NAME} and ${name}, which an earlier step
// saved, are filled into its texts at each run.
type request struct {
	Method    string            `yaml:"method" doc:"GET, or POST with a body, unless told otherwise"`
	URL       string            `yaml:"url" doc:"the address; of a later step also ${name}, which an earlier one saved"`
	Headers   map[string]string `yaml:"headers" doc:"further headers"`
	JSON      any               `yaml:"json" doc:"a body in JSON"`
	Form      map[string]string `yaml:"form" doc:"a body as a form sends it"`
	Multipart []formPart        `yaml:"multipart" doc:"a body of fields and files, as a form with files sends it"`
	Body      string            `yaml:"body" doc:"any other body"`
	Type      string            `yaml:"type" doc:"the Content-Type of body; default text/plain; charset=utf-8"`
	Basic     *basic            `yaml:"basic" doc:"a user and a password (RFC 7617)"`
	Bearer    string            `yaml:"bearer" doc:"a token (RFC 6750), usually ${secret:NAME}"`
	Cookies   map[string]string `yaml:"cookies" doc:"cookies of the address's host"`
	Sign      *signing          `yaml:"sign" doc:"a signature over parts of the request"`
	Follow    any               `yaml:"follow" doc:"true, false or how many redirects are followed; default 10"`
}

type basic struct {
	User     string `yaml:"user" doc:"the user"`
	Password string `yaml:"password" doc:"the password, usually ${secret:NAME}"`
}

// clientCert is what a server may ask for (RFC 8446, section 4.3.2).
type clientCert struct {
	Cert string `yaml:"cert" doc:"the certificate and its chain, PEM, usually ${secret:NAME}"`
	Key  string `yaml:"key" doc:"its key, PEM, usually ${secret:NAME}"`
}

// UnmarshalYAML takes the short form, an address alone, too.
func (r *request) UnmarshalYAML(unmarshal func(any) error) error {
	var address string
	if unmarshal(&address) == nil {
		r.URL = address
		return nil
	}
	type plain request
	return unmarshal((*plain)(r))
}

// business says which code in a JSON envelope means success.
type business struct {
	Path string `yaml:"path" doc:"where the code is, dotted, such as head.code; default code"`
	OK   []any  `yaml:"ok" doc:"the codes that mean success; default 0, 0000, 200 and success"` // compared as text, so that 0 and "0" are one
}

// envelope is business, checked.
type envelope struct {
	path string
	ok   []string
}

var usualOK = []string{"0", "0000", "200", "success"}

// ruleSet is "off", or a list of rules that do not apply.
type ruleSet struct {
	off  bool
	list []string
	bad  string
}

// JSONSchema names the rules.
func (ruleSet) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "boolean"},
		map[string]any{"enum": []string{"on", "off"}},
		map[string]any{"type": "array", "items": map[string]any{"enum": pagerules.Names()}},
	}}
}

// UnmarshalYAML takes a word, a boolean or a list.
func (r *ruleSet) UnmarshalYAML(unmarshal func(any) error) error {
	var on bool
	var word string
	switch {
	case unmarshal(&on) == nil:
		r.off = !on
	case unmarshal(&word) == nil:
		switch word {
		case "off":
			r.off = true
		case "on":
		default:
			r.bad = word
		}
	default:
		return unmarshal(&r.list)
	}
	return nil
}

func decode(s probes.Settings) (probes.Prober, error) {
	var d settings
	if err := s.Into(&d); err != nil {
		return nil, err
	}
	c := checker{Settings: s, saved: map[string]bool{}, secrets: map[string]bool{}}
	p := &prober{
		flow:     len(d.Steps) > 0,
		allow:    c.allow(d.Allow),
		charset:  strings.ToLower(strings.TrimSpace(d.Charset)),
		rules:    !d.Rules.off,
		rulesOff: d.Rules.list,
		own:      c.pages(d.Pages),
		caFile:   d.CAFile,
		lanes:    c.lanes(d.Nodes, d.IP),
		protocol: c.protocol(d.Protocol),
		proxy:    c.proxy(d.Proxy),
		cert:     c.clientCert(d.ClientCert),
		maxBody:  cmp.Or(d.MaxBody, defaultMaxBody),
	}
	if p.flow {
		c.later = map[string]bool{}
		for _, s := range d.Steps {
			for name := range s.Save {
				c.later[name] = true
			}
		}
		c.flow(p, d)
	} else {
		p.steps = []*step{c.step("", stepSettings{Request: d.Request, Expect: d.Expect, Warn: d.Warn, Business: d.Business, Schema: d.Schema, Content: d.Content})}
	}
	if p.proxy != nil && (len(d.Nodes) > 0 || d.IP != nil) {
		c.mistake("proxy", "want it without nodes and ip, got them beside it: a proxy connects to what it likes")
	}
	c.rest(d)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	p.secrets = slices.Sorted(maps.Keys(c.secrets))
	return p, nil
}

// parse reads an absolute http or https address and makes it fit for the wire:
// the host in ASCII, other than ASCII in the query escaped, as browsers do.
func parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		// The address itself may hold a secret; url.Error repeats it.
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, err
	}
	return fit(u)
}

func fit(u *url.URL) (*url.URL, error) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme is %q, not http or https", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("it names no host")
	case u.User != nil:
		return nil, errors.New("it holds a user; write basic: {user: …, password: …}")
	}
	out := *u
	host := u.Hostname()
	if !strings.Contains(host, ":") {
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			// Underscores are no valid names, yet they resolve.
			ascii = strings.ToLower(host)
		}
		out.Host = ascii
		if port := u.Port(); port != "" {
			out.Host += ":" + port
		}
	}
	out.RawQuery = escapeQuery(u.RawQuery)
	return &out, nil
}

// escapeQuery escapes what may not stand in a query, and leaves the rest as written.
func escapeQuery(q string) string {
	var b strings.Builder
	for i := range len(q) {
		if c := q[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
