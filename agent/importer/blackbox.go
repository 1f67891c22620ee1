package importer

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The exporter's defaults.
const (
	defaultModule   = "http_2xx"
	blackboxTimeout = 10 * time.Second
	maxModule       = 200 // values; a module is read for each of its targets
	scrapeEvery     = time.Minute
)

// aim is one target with the module that probes it.
type aim struct {
	at      place
	module  string
	target  string
	job     string // the scrape job's name: the group
	name    string
	every   time.Duration
	everyAt place
	timeout time.Duration // of the scrape; 0 when none is set
}

// blackbox reads the modules of a blackbox.yml and the targets beside it.
func blackbox(j *job) error {
	root, err := readYAML(j.src.Name, j.src.Data)
	if err != nil {
		return err
	}
	modules := root.get("modules")
	if modules == nil || modules.shape != shapeMap {
		return &ReadError{j.src.Name, root.line, root.col, "want a blackbox configuration with modules, got none"}
	}
	if j.Targets == nil {
		return &ReadError{File: j.src.Name, Text: "modules say how, not what: give the targets by -targets, a prometheus.yml or a list of \"TARGET [MODULE]\" lines"}
	}
	aims, err := j.aims()
	if err != nil {
		return err
	}
	b := &box{job: j, modules: modules, used: map[string]bool{}, byTarget: map[string]*draft{}}
	for _, a := range aims {
		b.aim(a)
	}
	for _, p := range modules.pairs {
		if !b.used[p.key] {
			j.changed(j.at(p.line), "module "+p.key, "no target uses it; nothing came of it")
		}
	}
	for _, p := range root.pairs {
		if p.key != "modules" && !p.value.named && !strings.HasPrefix(p.key, "x-") {
			j.left(j.at(p.line), p.key, "the importer does not know this key")
		}
	}
	return nil
}

// box turns targets into services: one a target, with a probe for each module.
type box struct {
	*job
	modules  *value
	used     map[string]bool // modules
	byTarget map[string]*draft
}

func (b *box) aim(a aim) {
	module := b.modules.get(a.module)
	if module == nil || module.shape != shapeMap {
		b.left(a.at, "target "+bare(a.target), "its module %s is not in %s", clip(a.module), b.src.Name)
		return
	}
	b.used[a.module] = true
	if module.weight > maxModule {
		b.left(place{b.src.Name, module.line}, "module "+a.module, "want at most %d values in a module, got %d", maxModule, module.weight)
		return
	}
	if strings.Contains(a.target, own) || holds(module, own) {
		b.left(a.at, "target "+bare(a.target), "it holds a ${secret:…}, which would be filled in by agents")
		return
	}
	prober := module.get("prober").scalar()
	m := &boxModule{job: b.job, name: a.module, at: place{b.src.Name, module.line}, f: read(module)}
	m.f.take("prober")
	kind := prober
	switch {
	case prober == "":
		b.left(m.at, "module "+a.module, "it names no prober")
		return
	case prober == "tcp" && m.startsTLS():
		kind = "tls"
	case !slices.Contains([]string{"http", "tcp", "dns", "icmp"}, prober):
		b.left(a.at, "target "+bare(a.target), "the prober %s of its module has no counterpart here", clip(prober))
		return
	}
	if !b.known(kind, a.at, "target "+bare(a.target)+" by module "+a.module) {
		return
	}
	d := b.draft(a, prober)
	if d == nil {
		return
	}
	m.d, m.p = d, &probeDraft{at: a.at, id: freeID(d, slug(a.module), kind), kind: kind}
	d.probes = append(d.probes, m.p)
	m.schedule(a)
	switch prober {
	case "http":
		m.http(a)
	default:
		m.plain(kind, literal(a.target))
	}
	m.rest()
}

// draft returns the service of the target, the same for all its modules.
func (b *box) draft(a aim, prober string) *draft {
	if d := b.byTarget[a.target]; d != nil {
		return d
	}
	if !b.room(a.at) {
		return nil
	}
	target := a.target
	if prober == "http" {
		target = httpAddress(target)
	}
	name := a.name
	if name == "" {
		name = bare(target)
	}
	d := b.add(a.at, name, a.job, target)
	b.byTarget[a.target] = d
	return d
}

// freeID is an id that no probe of the service has.
func freeID(d *draft, want, otherwise string) string {
	if want == "" {
		want = otherwise
	}
	taken := func(id string) bool {
		return slices.ContainsFunc(d.probes, func(p *probeDraft) bool { return p.id == id })
	}
	id := want
	for n := 2; taken(id); n++ {
		suffix := "-" + strconv.Itoa(n)
		id = strings.TrimRight(want[:min(len(want), maxID-len(suffix))], "-") + suffix
	}
	return id
}

// httpAddress is a target as the exporter's HTTP prober takes it.
func httpAddress(target string) string {
	if isWeb(target) {
		return target
	}
	return "http://" + target
}

// boxModule is one module at work on one target.
type boxModule struct {
	*job
	name string
	at   place
	f    *fields // of the module
	in   *fields // of its http:, tcp:, dns: or icmp:
	sni  string  // of tls_config, for a tcp probe
	d    *draft
	p    *probeDraft
}

func (m *boxModule) place(v *value) place { return place{m.src.Name, v.line} }

// what names a key of the module in notes.
func (m *boxModule) what(key string) string { return "module " + m.name + ": " + key }

func (m *boxModule) startsTLS() bool {
	tcp := m.f.of.get("tcp")
	return tcp.get("tls").true() && len(tcp.get("query_response").list()) == 0
}

func (m *boxModule) schedule(a aim) {
	timeout, at := blackboxTimeout, m.at
	if a.timeout > 0 {
		timeout, at = a.timeout, a.at
	}
	if t := m.f.take("timeout"); !t.empty() {
		d, ok := promDuration(t.scalar())
		switch {
		case !ok:
			m.left(m.place(t), m.what("timeout"), "want a duration such as 5s; %s was taken", short(timeout))
		case a.timeout == 0 || d < timeout:
			timeout, at = d, m.place(t)
		}
	}
	m.job.schedule(m.p, a.every, timeout, a.everyAt, at)
}

var promPart = regexp.MustCompile(`^([0-9]{1,9})(ms|s|m|h|d|w|y)`)

// promDuration reads a duration as Prometheus writes it: 1d, 1h30m, 500ms.
func promDuration(s string) (time.Duration, bool) {
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
	}
	var total time.Duration
	if s == "" {
		return 0, false
	}
	for s != "" {
		m := promPart.FindStringSubmatch(s)
		if m == nil {
			d, err := time.ParseDuration(s)
			return total + d, err == nil && total == 0
		}
		n, _ := strconv.Atoi(m[1])
		if total += min(time.Duration(n), 1e6) * min(units[m[2]], 24*time.Hour); total > 1<<60 {
			return 0, false
		}
		s = s[len(m[0]):]
	}
	return total, true
}

// http fills in a probe of the HTTP prober.
func (m *boxModule) http(a aim) {
	m.in = read(orMap(m.f.take("http")))
	in := m.in
	r := request{at: m.at, urlAt: a.at, methAt: m.at, bodyAt: place{m.src.Name, in.line("body")}, follow: -1}
	r.url = literal(httpAddress(a.target))
	r.method = in.text("method")
	r.body = literal(in.text("body"))
	if h := in.take("headers"); h != nil {
		for _, p := range h.pairs {
			r.headers = append(r.headers, header{p.key, literal(p.value.scalar()), place{m.src.Name, p.line}})
		}
	}
	m.authorization(&r)
	if in.take("no_follow_redirects").true() {
		r.follow = 0
	}
	if f := in.take("follow_redirects"); f != nil && !f.true() {
		r.follow = 0
	}
	m.web(m.d, m.p, r)
	m.status()
	m.matches()
	if in.take("fail_if_ssl").true() {
		m.expects(m.d, m.p, place{m.src.Name, in.line("fail_if_ssl")}, m.what("fail_if_ssl"), "url startsWith 'http://'")
	}
	if in.take("fail_if_not_ssl").true() {
		m.expects(m.d, m.p, place{m.src.Name, in.line("fail_if_not_ssl")}, m.what("fail_if_not_ssl"), "url startsWith 'https://'")
	}
	m.tls()
	m.family()
	m.protocol()
	if v := in.take("proxy_url"); !v.empty() {
		m.proxy(m.d, m.p, m.place(v), m.what("proxy_url"), literal(v.scalar()))
	}
}

// protocol reads the versions of HTTP that will do.
func (m *boxModule) protocol() {
	v := m.in.take("valid_http_versions")
	http2 := m.in.take("enable_http2")
	var one, two, other bool
	for _, version := range v.list() {
		switch version.scalar() {
		case "HTTP/1.1":
			one = true
		case "HTTP/2", "HTTP/2.0":
			two = true
		default:
			other = true
		}
	}
	want, what := "", m.what("valid_http_versions")
	var at place
	switch {
	case other:
		m.left(m.place(v), what, "HTTP/1.1 and HTTP/2 are understood")
		return
	case two && !one:
		want, at = "h2", m.place(v)
	case one && !two:
		want, at = "http/1.1", m.place(v)
	case http2 != nil && !http2.true():
		want, at, what = "http/1.1", m.place(http2), m.what("enable_http2")
	default:
		return
	}
	m.p.own.offer("protocol", want, at, what)
	m.p.own[len(m.p.own)-1].why = "the version of HTTP is not chosen here"
}

// authorization reads what the exporter offers beside headers.
func (m *boxModule) authorization(r *request) {
	in := m.in
	bearer := func(v *value, file *value, key string) {
		switch {
		case !v.empty():
			r.headers = append(r.headers, header{"Authorization", "Bearer " + literal(v.scalar()), m.place(v)})
		case !file.empty():
			ref := m.expected(m.place(file), m.what(key), m.d.id+"_"+key)
			r.headers = append(r.headers, header{"Authorization", "Bearer " + ref, m.place(file)})
		}
	}
	bearer(in.take("bearer_token"), in.take("bearer_token_file"), "bearer_token")
	if auth := in.take("authorization"); auth != nil && auth.shape == shapeMap {
		if t := auth.get("type").scalar(); t == "" || strings.EqualFold(t, "Bearer") {
			bearer(auth.get("credentials"), auth.get("credentials_file"), "credentials")
		} else {
			m.left(m.place(auth), m.what("authorization"), "a type beside Bearer is not carried over; write a header with ${secret:NAME}")
		}
	}
	basic := in.take("basic_auth")
	if basic == nil || basic.shape != shapeMap {
		return
	}
	r.passAt = m.place(basic)
	r.user, r.pass = literal(basic.get("username").scalar()), literal(basic.get("password").scalar())
	if f := basic.get("password_file"); r.pass == "" && !f.empty() {
		r.pass = m.expected(m.place(f), m.what("basic_auth.password_file"), m.d.id+"_password")
	}
	if f := basic.get("username_file"); r.user == "" && !f.empty() {
		r.user = m.expected(m.place(f), m.what("basic_auth.username_file"), m.d.id+"_user")
	}
}

func (m *boxModule) status() {
	v := m.in.take("valid_status_codes")
	at := m.at
	if v != nil {
		at = m.place(v)
	}
	if v := m.in.take("accept_any_response"); v.true() {
		m.expects(m.d, m.p, m.place(v), m.what("accept_any_response"), "status > 0")
		return
	}
	var codes []string
	for _, c := range v.list() {
		codes = append(codes, c.scalar())
	}
	if len(codes) == 0 {
		codes = []string{"2xx"}
	}
	expr, ok := statusIn(codes)
	if !ok {
		m.left(at, m.what("valid_status_codes"), "want codes such as 200")
		return
	}
	m.expects(m.d, m.p, at, m.what("valid_status_codes"), expr)
}

// matches reads the regular expressions over body and headers.
func (m *boxModule) matches() {
	for _, key := range []string{"fail_if_body_matches_regexp", "fail_if_body_not_matches_regexp"} {
		for _, re := range m.in.take(key).list() {
			expr := "body matches " + text(re.scalar())
			if key == "fail_if_body_matches_regexp" {
				expr = "not (" + expr + ")"
			}
			m.expects(m.d, m.p, m.place(re), m.what(key), expr)
		}
	}
	for _, key := range []string{"fail_if_header_matches", "fail_if_header_not_matches"} {
		for _, h := range m.in.take(key).list() {
			field := "header(" + text(h.get("header").scalar()) + ")"
			expr := field + " matches " + text(h.get("regexp").scalar())
			missing := h.get("allow_missing").true()
			if key == "fail_if_header_matches" {
				expr = "not (" + expr + ")"
				if !missing {
					expr = field + " != '' and " + expr
				}
			}
			if missing {
				expr = field + " == '' or " + expr
			}
			m.expects(m.d, m.p, m.place(h), m.what(key), expr)
		}
	}
}

// family reads which addresses the exporter prefers, or insists on.
func (m *boxModule) family() {
	v := m.in.take("preferred_ip_protocol")
	fallback := m.in.take("ip_protocol_fallback")
	family := map[string]int{"ip4": 4, "ip6": 6}[v.scalar()]
	switch {
	case family == 0:
	case fallback != nil && !fallback.true():
		m.p.own.ip(family, m.place(v), m.what("preferred_ip_protocol"))
	default:
		m.changed(m.place(v), m.what("preferred_ip_protocol"), "a preference alone: the addresses of a name are tried in the agent's own order")
	}
}

// tls reads tls_config, which all probers have.
func (m *boxModule) tls() {
	c := m.in.take("tls_config")
	if c == nil || c.shape != shapeMap {
		return
	}
	m.certificate(c)
	for _, p := range c.pairs {
		at, what := place{m.src.Name, p.line}, m.what("tls_config."+p.key)
		switch {
		case p.value.empty() || m.p.kind == "http" && certFiles[p.key]:
		case p.key == "ca_file":
			m.p.own.offer("ca_file", literal(p.value.scalar()), at, what)
			m.changed(at, what, "carried over; the file must be on every agent that runs the probe")
		case p.key == "server_name" && m.p.kind == "tls":
			m.p.own.offer("sni", literal(p.value.scalar()), at, what)
		case p.key == "server_name" && m.p.kind == "tcp":
			m.sni = literal(p.value.scalar())
		case p.key == "insecure_skip_verify" && m.p.kind == "tls":
			if p.value.true() {
				m.p.own.offer("ignore", unverified, at, what)
			}
		case p.key == "insecure_skip_verify":
			if p.value.true() {
				m.left(at, what, trustInstead)
			}
		default:
			m.left(at, what, "client certificates, other names and versions are not chosen here")
		}
	}
}

// certFiles are the keys of tls_config that name a client certificate.
var certFiles = map[string]bool{"cert_file": true, "key_file": true, "cert": true, "key": true}

// certificate reads which certificate an HTTP module shows. Its files are not read.
func (m *boxModule) certificate(c *value) {
	part := func(inline, file string) (string, *value) {
		if v := c.get(inline); !v.empty() {
			return m.hide(m.d, m.place(v), m.what("tls_config."+inline), inline, v.scalar()), v
		}
		if v := c.get(file); !v.empty() {
			return m.expected(m.place(v), m.what("tls_config."+file), m.d.id+"_"+inline), v
		}
		return "", nil
	}
	if m.p.kind != "http" {
		return
	}
	cert, v := part("cert", "cert_file")
	key, _ := part("key", "key_file")
	switch {
	case cert != "" && key != "":
		m.clientCert(m.p, m.place(v), m.what("tls_config"), cert, key)
	case cert != "" || key != "":
		m.left(m.place(c), m.what("tls_config"), "a certificate goes with its key, one of which is missing")
	}
}

// boxWhy says why a key of a prober is not carried over; "" when it changes
// nothing of what is seen.
var boxWhy = map[string]string{
	"enable_http3":                      "HTTP/3 is not spoken here",
	"body_file":                         "the file is not read; write its text as body",
	"fail_if_body_json_matches_cel":     "write it as an expectation over json",
	"fail_if_body_json_not_matches_cel": "write it as an expectation over json",
	"compression":                       "",
	"body_size_limit":                   "",
	"oauth2":                            "tokens are not fetched; put one into a header as ${secret:NAME}",
	"proxy_from_environment":            "probes go out directly",
	"proxy_connect_header":              "probes go out directly",
	"no_proxy":                          "",
	"skip_resolve_phase_with_proxy":     "",
	"source_ip_address":                 "the agent's own address is used",
	"dont_fragment":                     "packets are sent as the host sends them",
	"ttl":                               "packets have the host's lifetime",
}

func (m *boxModule) rest() {
	for _, f := range []*fields{m.f, m.in} {
		if f == nil {
			continue
		}
		for _, p := range f.rest() {
			why, known := boxWhy[p.key]
			switch {
			case p.value.empty() || known && why == "":
			case known:
				m.left(place{m.src.Name, p.line}, m.what(p.key), "%s", why)
			default:
				m.left(place{m.src.Name, p.line}, m.what(p.key), "the importer does not know this key")
			}
		}
	}
}

// orMap is v, or an empty map where v is none.
func orMap(v *value) *value {
	if v == nil || v.shape != shapeMap {
		return &value{shape: shapeMap}
	}
	return v
}
