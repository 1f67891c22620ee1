package httpprobe

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/pagerules"
)

// The bounds of a definition.
const (
	defaultRedirects = 10
	maxRedirects     = 20
	defaultMaxBody   = 2 << 20
	maxMaxBody       = 64 << 20
)

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// settings are the keys of the kind.
type settings struct {
	Request  request   `yaml:"request"`
	Expect   []string  `yaml:"expect"`
	Warn     []string  `yaml:"warn"`
	Business *business `yaml:"business"`
	Charset  string    `yaml:"charset"`
	Rules    ruleSet   `yaml:"rules"`
	CAFile   string    `yaml:"ca_file"`
	MaxBody  int64     `yaml:"max_body"`
	Allow    []string  `yaml:"allow" doc:"hosts (.a.example for all below), addresses and networks (10.0.0.0/8) that redirects may lead to although they lie further inside than the first address"`
}

// request is what is sent. ${secret:NAME} in its texts is expanded at each run.
type request struct {
	Method  string            `yaml:"method"`
	URL     string            `yaml:"url"`
	Headers map[string]string `yaml:"headers"`
	JSON    any               `yaml:"json"`
	Form    map[string]string `yaml:"form"`
	Body    string            `yaml:"body"`
	Basic   *basic            `yaml:"basic"`
	Follow  any               `yaml:"follow"` // true, false or how many
}

type basic struct {
	User     string `yaml:"user"`
	Password string `yaml:"password"`
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
	Path string `yaml:"path"` // dotted, "code" by default
	OK   []any  `yaml:"ok"`   // compared as text, so that 0 and "0" are one
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
	c := checker{Settings: s}
	p := &prober{
		request:  d.Request,
		follow:   c.follow(d.Request.Follow),
		allow:    c.allow(d.Allow),
		expect:   c.compile("expect", d.Expect),
		warn:     c.compile("warn", d.Warn),
		business: c.business(d.Business),
		charset:  strings.ToLower(strings.TrimSpace(d.Charset)),
		rules:    !d.Rules.off,
		rulesOff: d.Rules.list,
		caFile:   d.CAFile,
		maxBody:  d.MaxBody,
		uses:     map[string]bool{},
	}
	c.request(&p.request)
	c.rest(d)
	if p.maxBody == 0 {
		p.maxBody = defaultMaxBody
	}
	for _, e := range slices.Concat(p.expect, p.warn) {
		for _, name := range e.Uses() {
			p.uses[name] = true
		}
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return p, nil
}

// checker collects every mistake of a definition.
type checker struct {
	probes.Settings
	errs []error
}

func (c *checker) mistake(key, format string, args ...any) {
	c.errs = append(c.errs, c.Errorf(key, format, args...))
}

func (c *checker) request(r *request) {
	c.address(r.URL)
	bodies := 0
	for _, has := range []bool{r.JSON != nil, len(r.Form) > 0, r.Body != ""} {
		if has {
			bodies++
		}
	}
	if bodies > 1 {
		c.mistake("request", "want one of json, form and body, got %d of them; keep the one that is to be sent", bodies)
	}
	r.Method = strings.ToUpper(r.Method)
	switch {
	case r.Method == "" && bodies > 0:
		r.Method = "POST"
	case r.Method == "":
		r.Method = "GET"
	case !slices.Contains(methods, r.Method):
		c.mistake("request.method", "want one of %s, got %q", strings.Join(methods, ", "), r.Method)
	case bodies > 0 && (r.Method == "GET" || r.Method == "HEAD"):
		c.mistake("request.method", "want a method that carries a body, got %s; write method: POST, or drop the body", r.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		c.header(name, r.Headers[name])
	}
	if b := r.Basic; b != nil && b.User == "" {
		c.mistake("request.basic", "want a user and a password, got no user")
	}
}

func (c *checker) header(name, value string) {
	key := "request.headers." + name
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
}

func (c *checker) address(address string) {
	if address == "" {
		c.mistake("request", "want the address to ask for, got none; write request: ${service.url}")
		return
	}
	// Any value will do to see whether the rest of the address is well formed.
	plain, err := probes.Expand(address, func(string) (string, error) { return "secret", nil })
	if err == nil {
		_, err = parse(plain)
	}
	if err != nil {
		c.mistake("request.url", "want an address such as https://host/path, got %q: %v", address, err)
	}
}

func (c *checker) follow(v any) int {
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
	c.mistake("request.follow", "want true, false or a number of redirects up to %d, got %v", maxRedirects, v)
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

func (c *checker) business(b *business) *envelope {
	if b == nil {
		return nil
	}
	out := &envelope{path: b.Path}
	if out.path == "" {
		out.path = "code"
	}
	if !dotted.MatchString(out.path) {
		c.mistake("business.path", "want a dotted path into the JSON such as head.code, got %q", b.Path)
	}
	for i, v := range b.OK {
		switch v.(type) {
		case map[string]any, []any, nil:
			c.mistake(fmt.Sprintf("business.ok[%d]", i), "want a code such as \"0000\", got %v", v)
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
	if d.Rules.bad != "" {
		c.mistake("rules", "want off, or a list of rules that do not apply, got %q; the rules are %s", d.Rules.bad, strings.Join(pagerules.Names(), ", "))
	}
	for i, name := range d.Rules.list {
		if !slices.Contains(pagerules.Names(), name) {
			c.mistake(fmt.Sprintf("rules[%d]", i), "want one of %s, got %q", strings.Join(pagerules.Names(), ", "), name)
		}
	}
	if d.MaxBody < 0 || d.MaxBody > maxMaxBody {
		c.mistake("max_body", "want 1 to %d bytes, got %d", maxMaxBody, d.MaxBody)
	}
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
