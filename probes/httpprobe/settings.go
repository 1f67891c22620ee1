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
	Request    request          `yaml:"request" doc:"the request: an address, or a map that says more" zh:"请求：只写地址，或写成映射"`
	Steps      []stepSettings   `yaml:"steps" doc:"several requests, one after the other, in place of request" zh:"依次发送的多个请求，代替 request"`
	Expect     []string         `yaml:"expect" doc:"expressions that must hold; of a flow, over its last reply and the times of all steps" zh:"必须成立的表达式；有 steps 时针对最后一个应答和总耗时"`
	Warn       []string         `yaml:"warn" doc:"expressions that should hold: else the probe is degraded" zh:"应当成立的表达式，不成立时判为降级"`
	Business   *business        `yaml:"business" doc:"the code in a JSON envelope that means success" zh:"JSON 应答中表示成功的业务码"`
	Schema     any              `yaml:"schema" doc:"a JSON Schema that the reply must follow (draft 2020-12 unless it says otherwise)" zh:"应答必须符合的 JSON Schema（未注明时按 2020-12）"`
	Content    *content         `yaml:"content" doc:"what the content is known to be, to notice tampering" zh:"已登记的内容，用于发现篡改"`
	Charset    string           `yaml:"charset" doc:"the charset by which replies are read, whatever they declare" zh:"按此编码读取应答，不管应答怎样声明"`
	Rules      pagerules.Choice `yaml:"rules" doc:"off, or the page rules that do not apply" zh:"off，或不适用的页面识别规则"`
	Pages      []pagerules.Own  `yaml:"pages" doc:"page rules of one's own, tried before the usual ones" zh:"自己的页面识别规则，先于通用规则"`
	CAFile     string           `yaml:"ca_file" doc:"a PEM file on the agent with certificates to trust beside the usual ones" zh:"探针上的 PEM 文件，额外信任其中的证书"`
	Nodes      []node           `yaml:"nodes" doc:"the business nodes behind a load balancer, each of which is checked by itself, with the Host and the server name of the address" zh:"负载均衡后面的业务节点，逐个检查，Host 和 SNI 用地址中的主机名"`
	IP         any              `yaml:"ip" doc:"any (default), 4, 6, or both: then both are asked and compared" zh:"any（默认）、4、6，或 both：两种都测并比较"`
	Protocol   string           `yaml:"protocol" doc:"auto (default), http/1.1, h2 or h3; h2 of an address without encryption and h3 are spoken without being asked for" zh:"auto（默认）、http/1.1、h2 或 h3；地址不加密时的 h2 以及 h3 都是直接使用"`
	Proxy      *proxySettings   `yaml:"proxy" doc:"http://host:port, https://host:port or socks5://host:port, or a map with url, user and password" zh:"http://主机:端口、https://主机:端口 或 socks5://主机:端口，或写成含 url、user、password 的映射"`
	ClientCert *clientCert      `yaml:"client_cert" doc:"the certificate that a server may ask for" zh:"服务器要求时出示的客户端证书"`
	MaxBody    int64            `yaml:"max_body" doc:"how much of a body is read, in bytes, compressed and inflated; default 2 MiB" zh:"最多读取多少字节的应答体（压缩前后都算），默认 2 MiB"`
	Allow      []string         `yaml:"allow" doc:"hosts (.a.example for all below), addresses and networks (10.0.0.0/8) that redirects may lead to although they lie further inside than the first address" zh:"允许跳转到的内部主机（.a.example 含其下全部）、地址和网段（10.0.0.0/8）"`
}

// stepSettings are the keys of one step of a flow.
type stepSettings struct {
	Name     string            `yaml:"name" doc:"what people call the step, such as 登录" zh:"步骤的名称，如 登录"`
	Request  request           `yaml:"request" doc:"the request: an address, or a map that says more" zh:"请求：只写地址，或写成映射"`
	Expect   []string          `yaml:"expect" doc:"expressions that must hold for this step's reply" zh:"该步应答必须满足的表达式"`
	Warn     []string          `yaml:"warn" doc:"expressions that should hold for this step's reply" zh:"该步应答应当满足的表达式"`
	Business *business         `yaml:"business" doc:"the code in a JSON envelope that means success" zh:"JSON 应答中表示成功的业务码"`
	Schema   any               `yaml:"schema" doc:"a JSON Schema that the reply must follow (draft 2020-12 unless it says otherwise)" zh:"应答必须符合的 JSON Schema（未注明时按 2020-12）"`
	Content  *content          `yaml:"content" doc:"what the content is known to be, to notice tampering" zh:"已登记的内容，用于发现篡改"`
	Save     map[string]saving `yaml:"save" doc:"values to take out of the reply, for later steps as ${name}" zh:"从应答中取出的值，后面的步骤写 ${名称} 使用"`
}

// request is what is sent. ${secret:NAME} and ${name}, which an earlier step
// saved, are filled into its texts at each run.
type request struct {
	Method    string            `yaml:"method" doc:"GET, or POST with a body, unless told otherwise" zh:"请求方法，默认 GET，有请求体时默认 POST"`
	URL       string            `yaml:"url" doc:"the address; of a later step also ${name}, which an earlier one saved" zh:"地址；后面的步骤也可以写前面取出的 ${名称}"`
	Headers   map[string]string `yaml:"headers" doc:"further headers" zh:"其他请求头"`
	JSON      any               `yaml:"json" doc:"a body in JSON" zh:"JSON 请求体"`
	Form      map[string]string `yaml:"form" doc:"a body as a form sends it" zh:"表单请求体"`
	Multipart []formPart        `yaml:"multipart" doc:"a body of fields and files, as a form with files sends it" zh:"含文件的表单（multipart）请求体"`
	Body      string            `yaml:"body" doc:"any other body" zh:"其他请求体"`
	Type      string            `yaml:"type" doc:"the Content-Type of body; default text/plain; charset=utf-8" zh:"body 的 Content-Type，默认 text/plain; charset=utf-8"`
	Basic     *basic            `yaml:"basic" doc:"a user and a password (RFC 7617)" zh:"用户名和口令（RFC 7617）"`
	Bearer    string            `yaml:"bearer" doc:"a token (RFC 6750), usually ${secret:NAME}" zh:"令牌（RFC 6750），一般写 ${secret:名称}"`
	Cookies   map[string]string `yaml:"cookies" doc:"cookies of the address's host" zh:"发给该主机的 Cookie"`
	Sign      *signing          `yaml:"sign" doc:"a signature over parts of the request" zh:"对请求的签名"`
	Follow    any               `yaml:"follow" doc:"true, false or how many redirects are followed; default 10" zh:"true、false 或最多跟随几次跳转，默认 10"`
}

type basic struct {
	User     string `yaml:"user" doc:"the user" zh:"用户名"`
	Password string `yaml:"password" doc:"the password, usually ${secret:NAME}" zh:"口令，一般写 ${secret:名称}"`
}

// clientCert is what a server may ask for (RFC 8446, section 4.3.2).
type clientCert struct {
	Cert string `yaml:"cert" doc:"the certificate and its chain, PEM, usually ${secret:NAME}" zh:"证书及证书链（PEM），一般写 ${secret:名称}"`
	Key  string `yaml:"key" doc:"its key, PEM, usually ${secret:NAME}" zh:"私钥（PEM），一般写 ${secret:名称}"`
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
	Path string `yaml:"path" doc:"where the code is, dotted, such as head.code; default code" zh:"业务码的位置，如 head.code，默认 code"`
	OK   []any  `yaml:"ok" doc:"the codes that mean success; default 0, 0000, 200 and success" zh:"表示成功的业务码，默认 0、0000、200、success"` // compared as text, so that 0 and "0" are one
}

// envelope is business, checked.
type envelope struct {
	path string
	ok   []string
}

var usualOK = []string{"0", "0000", "200", "success"}

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
		rules:    !d.Rules.Off,
		rulesOff: d.Rules.Names,
		own:      pagerules.OwnRules(d.Pages, c.mistake),
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
	if p.protocol == "h3" && (p.proxy != nil || slices.ContainsFunc(p.steps, func(st *step) bool { return strings.HasPrefix(st.plan.origin, "http:") })) {
		c.mistake("protocol", "want https addresses and no proxy for h3, got another; QUIC is always encrypted and goes over UDP")
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
		if ascii == "" {
			return nil, errors.New("it names no host") // such as xn--
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
