package httpprobe

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gengfu/gengfu/probes"
)

// userAgent says plainly that a machine asks; the fleet's name follows.
const userAgent = "Mozilla/5.0 (compatible; Gengfu synthetic probe)"

// plan is a request as defined: all that is the same in every run is done once.
type plan struct {
	method  string
	url     template // as written, for messages
	path    template // of url up to "?"
	query   template // of url after it
	asked   bool     // url has a "?"
	fixed   *url.URL // the address when no reference stands in it
	address string   // and as text
	origin  string   // scheme and host of the address as written; empty when led
	led     bool     // a value that a reply gave says which host is asked
	host    template // a Host header that the definition sets
	fields  []line   // headers, in order of their names
	agent   bool     // fields has a User-Agent
	basic   *[2]template
	bearer  template
	cookies []line
	payload payload
	sign    *signer
	follow  int
}

// line is a header as defined.
type line struct {
	name    string // canonical
	value   template
	guarded bool // it holds a credential and stays at its origin
}

// field is a header of one request.
type field struct {
	name, value string
	guarded     bool
}

// usual are the headers of every request, beside User-Agent.
var usual = []field{
	{name: "Accept", value: "text/html,application/xhtml+xml,application/json,*/*;q=0.8"},
	{name: "Accept-Language", value: "zh-CN,zh;q=0.9"},
	{name: "Accept-Encoding", value: "gzip, br, zstd"},
}

// ask is one request of a run: one that is planned, or one that a redirect led to.
type ask struct {
	method  string
	url     *url.URL
	address string // url as text
	fields  []field
	host    string
	body    []byte
	private bool // the body holds a secret
	led     bool // a reply said where to
}

// ask fills the plan in. A *probes.Failure is about the service, which gave a
// value that does not fit; another error is this agent's fault.
func (p *plan) ask(s *session) (ask, error) {
	a := ask{method: p.method, url: p.fixed, address: p.address, led: p.led}
	if a.url == nil {
		if err := p.place(s, &a); err != nil {
			return ask{}, err
		}
	}
	body, contentType, err := p.payload.fill(&s.values)
	if err != nil {
		return ask{}, err
	}
	a.body, a.private = body, p.payload.private
	a.fields = make([]field, 0, len(usual)+len(p.fields)+4)
	if !p.agent {
		agent := userAgent
		if s.env.UserAgentSuffix != "" {
			agent += " " + s.env.UserAgentSuffix
		}
		a.fields = append(a.fields, field{name: "User-Agent", value: agent})
	}
	for _, f := range usual {
		if !slices.ContainsFunc(p.fields, func(l line) bool { return l.name == f.name }) {
			a.fields = append(a.fields, f)
		}
	}
	for _, l := range p.fields {
		value := l.value.fill(&s.values, nil)
		if !l.value.fixed() && !httpguts.ValidHeaderFieldValue(value) {
			return ask{}, fmt.Errorf("request.headers.%s: a secret holds a line break or another control character; set it anew", l.name)
		}
		a.fields = append(a.fields, field{l.name, value, l.guarded})
	}
	if contentType != "" && !a.has("Content-Type") {
		a.fields = append(a.fields, field{name: "Content-Type", value: contentType})
	}
	if err := p.credentials(s, &a); err != nil {
		return ask{}, err
	}
	a.host = p.host.fill(&s.values, nil)
	if !httpguts.ValidHostHeader(a.host) {
		return ask{}, fmt.Errorf("request.headers.Host: a secret makes no host; set it anew")
	}
	for _, c := range p.cookies {
		s.cookies(true).SetCookies(a.url, []*http.Cookie{{Name: c.name, Value: c.value.fill(&s.values, nil), Path: "/"}})
	}
	if p.sign != nil {
		if err := s.sign(p.sign, &a, time.Now()); err != nil {
			return ask{}, err
		}
	}
	return a, nil
}

// place fills in where to, each value escaped for where it stands, so that none
// ends a parameter or begins another. A value that begins the address is an
// address itself, as a reply gave it.
func (p *plan) place(s *session, a *ask) error {
	first := true
	text := p.path.fill(&s.values, func(v string) string {
		if first && p.led {
			first = false
			return v
		}
		return url.PathEscape(v)
	})
	if p.asked {
		joint := "?"
		if p.led && strings.Contains(text, "?") {
			joint = "&"
		}
		text += joint + p.query.fill(&s.values, url.QueryEscape)
	}
	var err error
	if p.led && s.at != nil {
		if a.url, err = s.at.Parse(text); err == nil {
			a.url.User, a.url.Fragment, a.url.RawFragment = nil, "", ""
			a.url, err = fit(a.url)
		}
	} else {
		a.url, err = parse(text)
	}
	if err != nil && p.led {
		return &probes.Failure{Class: probes.ClassRedirect, Phrase: probes.PhraseRedirectBad, Got: probes.Excerpt(s.redact.Text(text))}
	}
	if err != nil {
		return fmt.Errorf("request.url %s does not make an address once its secrets are filled in: %w", p.url.raw, err)
	}
	a.address = a.url.String()
	return nil
}

func (p *plan) credentials(s *session, a *ask) error {
	switch {
	case p.basic != nil:
		user, password := p.basic[0].fill(&s.values, nil), p.basic[1].fill(&s.values, nil)
		token := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		s.hide(token)
		a.set("Authorization", "Basic "+token, true)
	case p.bearer.raw != "":
		token := p.bearer.fill(&s.values, nil)
		if !httpguts.ValidHeaderFieldValue(token) {
			return fmt.Errorf("request.bearer: a secret holds a line break or another control character; set it anew")
		}
		s.hide(token)
		a.set("Authorization", "Bearer "+token, true)
	}
	return nil
}

// hostHeader is what the request says as its Host.
func (a *ask) hostHeader() string { return cmp.Or(a.host, a.url.Host) }

func (a *ask) has(name string) bool {
	return slices.ContainsFunc(a.fields, func(f field) bool { return f.name == name })
}

func (a *ask) get(name string) string {
	for _, f := range a.fields {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

func (a *ask) set(name, value string, guarded bool) {
	a.fields = slices.DeleteFunc(a.fields, func(f field) bool { return f.name == name })
	a.fields = append(a.fields, field{name, value, guarded})
}

// guarded reports whether the request holds what must not reach another origin.
func (a *ask) guarded() bool {
	return a.private || slices.ContainsFunc(a.fields, func(f field) bool { return f.guarded })
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// next makes the request that a reply's Location asks for, or says why it is
// not to be followed.
func (s *session) next(a ask, status int, location string) (ask, probes.Phrase) {
	target, err := a.url.Parse(location)
	if err != nil {
		return ask{}, probes.PhraseRedirectBad
	}
	target.User = nil
	if target, err = fit(target); err != nil {
		return ask{}, probes.PhraseRedirectBad
	}
	if a.url.Scheme == "https" && target.Scheme == "http" {
		return ask{}, probes.PhraseRedirectPlain
	}
	out := a
	out.url, out.address, out.led = target, target.String(), true
	keeps := status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect
	if !keeps && a.method != http.MethodGet && a.method != http.MethodHead {
		out.method, out.body, out.private = http.MethodGet, nil, false
		out.fields = slices.DeleteFunc(slices.Clone(out.fields), func(f field) bool { return f.name == "Content-Type" })
	}
	if origin(target) != origin(a.url) {
		out.host = ""
		out.fields = slices.DeleteFunc(slices.Clone(out.fields), func(f field) bool { return f.guarded })
		switch {
		case len(out.body) > 0 && a.private:
			return ask{}, probes.PhraseRedirectSecret
		case len(out.body) > 0 && !s.allow.host(target.Hostname()):
			return ask{}, probes.PhraseRedirectBody
		}
	}
	return out, ""
}

// port is where the request goes to.
func (a *ask) port() string {
	return cmp.Or(a.url.Port(), map[string]string{"https": "443", "http": "80"}[a.url.Scheme])
}

// reader makes the body's reader anew for each request.
func (a *ask) reader() io.Reader {
	if a.body == nil {
		return http.NoBody
	}
	return bytes.NewReader(a.body)
}
