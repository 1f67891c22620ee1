package httpprobe

import (
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
)

// checker collects every mistake of a definition.
type checker struct {
	probes.Settings
	errs    []error
	saved   map[string]bool // what the steps before this one save
	later   map[string]bool // what any step saves
	secrets map[string]bool // the secrets that are used
}

func (c *checker) mistake(key, format string, args ...any) {
	c.errs = append(c.errs, c.Errorf(key, format, args...))
}

// template compiles one text.
func (c *checker) template(key, s string) template {
	t := cut(s, func(name string) bool { return c.saved[name] || c.later[name] })
	for _, p := range t.parts {
		switch {
		case p.secret != "":
			c.secrets[p.secret] = true
		case p.saved != "" && !c.saved[p.saved]:
			c.mistake(key, "want a value that an earlier step saved, got ${%s}, which comes later; move the step up", p.saved)
		}
	}
	return t
}

// flow compiles the steps.
func (c *checker) flow(p *prober, d settings) {
	if d.Request.URL != "" || d.Request.Method != "" {
		c.mistake("request", "want either request or steps, got both; make the request the first step")
	}
	for key, has := range map[string]bool{"business": d.Business != nil, "schema": d.Schema != nil, "content": d.Content != nil} {
		if has {
			c.mistake(key, "want it inside the step that it belongs to; move it there")
		}
	}
	if len(d.Steps) > maxSteps {
		c.mistake("steps", "want at most %d steps, got %d; split the probe", maxSteps, len(d.Steps))
	}
	for i, s := range d.Steps {
		st := c.step(fmt.Sprintf("steps[%d]", i), s)
		st.name = "step " + strings.Join(strings.Fields(s.Name), " ")
		if s.Name == "" {
			st.name = fmt.Sprintf("step %d", i+1)
		}
		p.steps = append(p.steps, st)
	}
	p.expect, p.warn = c.compile("expect", d.Expect), c.compile("warn", d.Warn)
	p.uses = uses(p.expect, p.warn)
}

// step compiles one request with what is expected. Its keys begin with key,
// which is empty for the only one.
func (c *checker) step(key string, s stepSettings) *step {
	if key != "" {
		key += "."
	}
	st := &step{
		plan:     c.plan(key+"request", &s.Request),
		expect:   c.compile(key+"expect", s.Expect),
		warn:     c.compile(key+"warn", s.Warn),
		business: c.business(key+"business", s.Business),
	}
	st.save = c.savers(key+"save", s.Save)
	st.uses = uses(st.expect, st.warn)
	st.schema = c.schema(key+"schema", s.Schema)
	st.content = c.content(key+"content", s.Content)
	st.json = st.uses["json"] || st.business != nil || st.schema != nil
	for _, from := range st.save {
		st.json = st.json || from.kind == byJSON
		c.saved[from.name] = true
	}
	return st
}

// uses are the fields that expressions speak of.
func uses(lists ...[]*expect.Expr) map[string]bool {
	out := map[string]bool{}
	for _, list := range lists {
		for _, e := range list {
			for _, name := range e.Uses() {
				out[name] = true
			}
		}
	}
	return out
}

func (c *checker) plan(key string, r *request) plan {
	p := plan{follow: c.follow(key+".follow", r.Follow)}
	c.address(key, r.URL, &p)
	p.payload = c.payload(key, r)
	p.method = c.method(key, r)
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		c.header(key+".headers."+name, name, r.Headers[name], &p)
	}
	if b := r.Basic; b != nil {
		if b.User == "" {
			c.mistake(key+".basic", "want a user and a password, got no user")
		}
		p.basic = &[2]template{c.template(key+".basic.user", b.User), c.template(key+".basic.password", b.Password)}
	}
	if r.Bearer != "" {
		p.bearer = c.template(key+".bearer", r.Bearer)
		if p.basic != nil {
			c.mistake(key, "want either basic or bearer, got both; keep one")
		}
		if !httpguts.ValidHeaderFieldValue(r.Bearer) {
			c.mistake(key+".bearer", "want a token on one line, got %q", r.Bearer)
		}
	}
	p.sign = c.sign(key+".sign", r.Sign)
	for _, name := range slices.Sorted(maps.Keys(r.Cookies)) {
		c.cookie(key+".cookies."+name, name, r.Cookies[name], &p)
	}
	return p
}

func (c *checker) cookie(key, name, value string, p *plan) {
	if !httpguts.ValidHeaderFieldName(name) {
		c.mistake(key, "want a cookie's name such as JSESSIONID, got %q", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\",;\\", r) }) {
		c.mistake(key, "want a cookie's value of letters, digits and marks other than \" , ; \\, got %q; escape it as the site does", value)
	}
	p.cookies = append(p.cookies, line{name: name, value: c.template(key, value), guarded: true})
}

func (c *checker) protocol(s string) string {
	switch s {
	case "", "auto":
		return ""
	case "http/1.1", "h2", "h3":
		return s
	}
	c.mistake("protocol", "want auto, http/1.1, h2 or h3, got %q", s)
	return ""
}

func (c *checker) clientCert(s *clientCert) *[2]template {
	if s == nil {
		return nil
	}
	if s.Cert == "" || s.Key == "" {
		c.mistake("client_cert", "want cert and key, got one or none of them; write both as ${secret:NAME}")
	}
	return &[2]template{c.template("client_cert.cert", s.Cert), c.template("client_cert.key", s.Key)}
}

func (c *checker) method(key string, r *request) string {
	bodies := 0
	for _, has := range []bool{r.JSON != nil, len(r.Form) > 0, len(r.Multipart) > 0, r.Body != ""} {
		if has {
			bodies++
		}
	}
	if bodies > 1 {
		c.mistake(key, "want one of json, form, multipart and body, got %d of them; keep the one that is to be sent", bodies)
	}
	if _, _, err := mime.ParseMediaType(r.Type); r.Type != "" && (r.Body == "" || err != nil) {
		c.mistake(key+".type", "want the media type of body, such as text/xml; charset=gbk, got %q; the other bodies know theirs", r.Type)
	}
	method := strings.ToUpper(r.Method)
	switch {
	case method == "" && bodies > 0:
		return http.MethodPost
	case method == "":
		return http.MethodGet
	case !slices.Contains(methods, method):
		c.mistake(key+".method", "want one of %s, got %q", strings.Join(methods, ", "), method)
	case bodies > 0 && (method == http.MethodGet || method == http.MethodHead):
		c.mistake(key+".method", "want a method that carries a body, got %s; write method: POST, or drop the body", method)
	}
	return method
}

func (c *checker) header(key, name, value string, p *plan) {
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "connection", "traceparent":
		c.mistake(key, "want a header of the application, got one that every request sets for itself; drop it")
		return
	}
	if !httpguts.ValidHeaderFieldName(name) {
		c.mistake(key, "want a header's name such as X-Token, got %q", name)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		c.mistake(key, "want a value on one line, got %q", value)
	}
	l := line{name: http.CanonicalHeaderKey(name), value: c.template(key, value)}
	switch l.name {
	case "Host":
		p.host = l.value
		if t := l.value.sample(); !httpguts.ValidHostHeader(t) || t == "" {
			c.mistake(key, "want a host such as node1.example, got %q", value)
		}
		return
	case "User-Agent":
		p.agent = true
	}
	l.guarded = !l.value.fixed() || l.name == "Authorization" || l.name == "Cookie"
	p.fields = append(p.fields, l)
}

func (c *checker) address(key, address string, p *plan) {
	if address == "" {
		c.mistake(key, "want the address to ask for, got none; write request: ${service.url}")
		return
	}
	key += ".url"
	p.url = c.template(key, address)
	var path, query string
	path, query, p.asked = strings.Cut(address, "?")
	known := func(name string) bool { return c.saved[name] }
	p.path, p.query = cut(path, known), cut(query, known)
	// Any value will do to see whether the rest of the address is well formed.
	sample := p.url.sample()
	if !p.path.fixed() && p.path.parts[0].saved != "" {
		p.led = true
		sample = "http://saved.example/" + strings.TrimPrefix(sample, "saved")
	}
	u, err := parse(sample)
	if err != nil {
		c.mistake(key, "want an address such as https://host/path, got %q: %v", address, err)
		return
	}
	if !p.led {
		p.origin = origin(u)
	}
	if p.url.fixed() {
		p.fixed, p.address = u, u.String()
	}
	_, host, _ := strings.Cut(path, "://")
	host, _, _ = strings.Cut(host, "/")
	if t := cut(host, known); slices.ContainsFunc(t.parts, func(p part) bool { return p.saved != "" }) {
		c.mistake(key, "want a saved value as an address or behind the host of one, got a host made of one in %q", address)
	}
}

func (c *checker) follow(key string, v any) int {
	switch v := v.(type) {
	case nil:
		return defaultRedirects
	case bool:
		if v {
			return defaultRedirects
		}
		return 0
	case int:
		if v >= 0 && v <= maxRedirects {
			return v
		}
	case uint64:
		if v <= maxRedirects {
			return int(v)
		}
	}
	c.mistake(key, "want true, false or a number of redirects up to %d, got %v", maxRedirects, v)
	return 0
}

func (c *checker) allow(list []string) allowance {
	var out allowance
	for i, s := range list {
		addr, errAddr := netip.ParseAddr(s)
		net, errNet := netip.ParsePrefix(s)
		name, errName := idna.Lookup.ToASCII(strings.TrimPrefix(s, "."))
		switch {
		case errAddr == nil:
			addr = addr.Unmap().WithZone("")
			out.nets = append(out.nets, netip.PrefixFrom(addr, addr.BitLen()))
		case errNet == nil:
			out.nets = append(out.nets, net.Masked())
		case errName == nil && name != "" && !strings.ContainsAny(s, "/:*"):
			if s[0] == '.' {
				name = "." + name
			}
			out.hosts = append(out.hosts, strings.ToLower(name))
		default:
			c.mistake(fmt.Sprintf("allow[%d]", i), "want a host such as sso.example, all below one such as .example, or a network such as 10.0.0.0/8, got %q", s)
		}
	}
	return out
}

func (c *checker) compile(key string, sources []string) []*expect.Expr {
	var out []*expect.Expr
	for i, src := range sources {
		e, err := expect.Compile(src, Fields())
		if err != nil {
			c.mistake(fmt.Sprintf("%s[%d]", key, i), "%v", err)
			continue
		}
		out = append(out, e)
	}
	return out
}

var dotted = regexp.MustCompile(`^[^.\s]+(\.[^.\s]+)*$`)

func (c *checker) business(key string, b *business) *envelope {
	if b == nil {
		return nil
	}
	out := &envelope{path: b.Path}
	if out.path == "" {
		out.path = "code"
	}
	if !dotted.MatchString(out.path) {
		c.mistake(key+".path", "want a dotted path into the JSON such as head.code, got %q", b.Path)
	}
	for i, v := range b.OK {
		switch v.(type) {
		case map[string]any, []any, nil:
			c.mistake(fmt.Sprintf("%s.ok[%d]", key, i), "want a code such as \"0000\", got %v", v)
		}
		out.ok = append(out.ok, plain(v))
	}
	if len(out.ok) == 0 {
		out.ok = usualOK
	}
	return out
}

func (c *checker) rest(d settings) {
	if d.Charset != "" {
		if _, err := htmlindex.Get(d.Charset); err != nil {
			c.mistake("charset", "want a charset such as utf-8 or gb18030, got %q", d.Charset)
		}
	}
	d.Rules.Check(c.mistake)
	if d.MaxBody < 0 || d.MaxBody > maxMaxBody {
		c.mistake("max_body", "want 1 to %d bytes, got %d", maxMaxBody, d.MaxBody)
	}
}
