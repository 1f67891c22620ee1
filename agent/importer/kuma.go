package importer

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// kumaEvery is the interval of a monitor that names none.
const kumaEvery = time.Minute

// kuma reads a JSON backup of Uptime Kuma, or a list of its monitors.
func kuma(j *job) error {
	root, err := readJSON(j.src.Name, j.src.Data)
	if err != nil {
		return err
	}
	monitors := root
	if root.shape == shapeMap {
		monitors = root.get("monitorList")
	}
	list := monitors.list()
	if monitors != nil && monitors.shape == shapeMap { // by id, as the server tells them to its pages
		list = nil
		for _, p := range monitors.pairs {
			list = append(list, p.value)
		}
	}
	if monitors == nil || monitors.shape == shapeScalar || monitors.shape == shapeNull {
		return &ReadError{j.src.Name, root.line, root.col, "want a backup with monitorList, got none"}
	}
	groups, proxies := kumaGroups(list), map[string]*value{}
	for _, p := range root.get("proxyList").list() {
		proxies[p.get("id").scalar()] = p
	}
	for _, v := range list {
		if v.shape != shapeMap {
			j.left(j.at(v.line), "monitor", "want a map, got %s", v.found())
			continue
		}
		if v.get("type").scalar() == "group" {
			continue
		}
		if !j.room(j.at(v.line)) {
			break
		}
		m := &kumaMonitor{job: j, f: read(v), at: j.at(v.line), groups: groups, proxies: proxies}
		m.carry()
	}
	if root.shape == shapeMap {
		kumaTop(j, root)
	}
	return nil
}

func kumaTop(j *job, root *value) {
	for _, p := range root.pairs {
		switch p.key {
		case "monitorList", "version":
		case "notificationList":
			for _, n := range p.value.list() {
				j.left(j.at(n.line), "notification "+n.get("name").scalar(), "write where alerts go into routes.yaml; its secrets are not taken over")
			}
		case "proxyList": // read by the monitors that go through one
		default:
			if !p.value.empty() {
				j.left(j.at(p.line), p.key, "the importer does not know this key")
			}
		}
	}
}

// kumaGroups are the names of monitors that only group others, by id.
func kumaGroups(list []*value) map[string]string {
	out := map[string]string{}
	for _, v := range list {
		if id := v.get("id").scalar(); id != "" && v.get("type").scalar() == "group" {
			out[id] = v.get("name").scalar()
		}
	}
	return out
}

// kumaMonitor is one monitor.
type kumaMonitor struct {
	*job
	f       *fields
	at      place
	groups  map[string]string
	proxies map[string]*value // by id
	d       *draft
	p       *probeDraft
	title   string
}

func (m *kumaMonitor) line(key string) place { return place{m.src.Name, m.f.line(key)} }

// kumaKinds are the kinds of probes that do what a type of monitor does.
var kumaKinds = map[string]string{
	"http": "http", "keyword": "http", "json-query": "http", "port": "tcp", "ping": "icmp", "dns": "dns", "real-browser": "browser",
	"websocket-upgrade": "websocket",
}

func (m *kumaMonitor) carry() {
	name, kind := m.f.text("name"), m.f.text("type")
	m.title = "monitor " + name
	if holds(m.f.of, own) {
		m.left(m.at, m.title, "it holds a ${secret:…}, which would be filled in by agents")
		return
	}
	ours := kumaKinds[kind]
	switch {
	case kind == "push":
		m.left(m.line("type"), m.title, "results that others push are not taken; probe it, or leave it where it is")
		return
	case ours == "":
		m.left(m.line("type"), m.title, "monitors of type %s have no counterpart here", clip(kind))
		return
	case m.f.take("upsideDown").true():
		m.left(m.line("upsideDown"), m.title, "what must not work (upside down) is not probed here")
		return
	case !m.known(ours, m.line("type"), m.title):
		return
	}
	address := m.f.of.get("url").scalar()
	target := address
	if ours != "http" && ours != "browser" && ours != "websocket" {
		target = m.f.of.get("hostname").scalar()
		if port := m.f.of.get("port").scalar(); port != "" && kind == "port" {
			target += ":" + port
		}
	}
	if target == "" || target == "https://" {
		m.left(m.at, m.title, "it has no address")
		return
	}
	group := m.groups[m.f.text("parent")]
	m.d = m.add(m.at, name, group, target)
	m.p = &probeDraft{at: m.at, id: ours, kind: ours}
	m.d.probes = append(m.d.probes, m.p)
	m.common()
	switch ours {
	case "http":
		m.http(kind, address)
		m.through()
	case "browser":
		m.browser(address)
	default:
		m.plain(kind, target)
	}
	if family := map[string]int{"ipv4": 4, "ipv6": 6}[m.f.text("ipFamily")]; family != 0 {
		m.p.own.ip(family, m.line("ipFamily"), m.title+": ipFamily")
	}
	m.rest()
}

// seconds reads a number of seconds.
func (m *kumaMonitor) seconds(key string, otherwise time.Duration) time.Duration {
	v := m.f.take(key)
	if v.empty() {
		return otherwise
	}
	n, err := strconv.ParseFloat(v.scalar(), 64)
	if err != nil || n < 0 || n > 1e7 {
		m.left(m.line(key), m.title+": "+key, "want a number of seconds; %s was taken", short(otherwise))
		return otherwise
	}
	return time.Duration(n * float64(time.Second))
}

// common reads what all monitors have.
func (m *kumaMonitor) common() {
	every := m.seconds("interval", kumaEvery)
	timeout := m.seconds("timeout", every*8/10)
	m.schedule(m.p, every, timeout, m.line("interval"), m.line("timeout"))
	if a := m.f.take("active"); a != nil && !a.true() {
		m.d.retired = true
		m.changed(m.line("active"), m.title+", which is paused", "imported as \"life: retired\"; write published to have it probed")
	}
	if r := m.f.take("maxretries"); !r.empty() {
		m.changed(m.line("maxretries"), m.title+": maxretries "+r.scalar(), "agents of other sites confirm a failure at once instead; see quorum")
	}
	m.f.take("retryInterval")
	if s := m.f.text("description"); s != "" {
		m.d.comment = append(m.d.comment, s)
	}
}

// contentTypes are those of httpBodyEncoding.
var contentTypes = map[string]string{"": "application/json", "json": "application/json", "form": "application/x-www-form-urlencoded", "xml": "text/xml; charset=utf-8"}

func (m *kumaMonitor) http(kind, address string) {
	r := request{at: m.line("maxredirects"), urlAt: m.line("url"), methAt: m.line("method"), bodyAt: m.line("body"), passAt: m.line("basic_auth_pass"), follow: -1}
	m.f.take("url")
	r.url, r.method, r.body = literal(address), m.f.text("method"), literal(m.f.text("body"))
	r.kind = contentTypes[m.f.text("httpBodyEncoding")]
	m.headers(&r)
	m.authorization(&r)
	if v := m.f.take("maxredirects"); v != nil && v.shape == shapeScalar {
		if n, err := strconv.Atoi(v.text); err == nil && n >= 0 && n != 10 {
			r.follow = n
		}
	}
	m.web(m.d, m.p, r)
	m.status()
	m.keyword(kind)
	m.query(kind)
	m.certificate(address)
}

// headers reads the headers, a JSON object inside a text.
func (m *kumaMonitor) headers(r *request) {
	v := m.f.take("headers")
	if v.empty() {
		return
	}
	at := m.line("headers")
	inner := v
	if v.shape == shapeScalar {
		var err error
		if inner, err = readJSON(m.src.Name, []byte(v.text)); err != nil {
			m.left(at, m.title+": headers", "they are not JSON; write them into the definition")
			return
		}
	}
	for _, p := range inner.pairs {
		r.headers = append(r.headers, header{p.key, literal(p.value.scalar()), at})
	}
}

func (m *kumaMonitor) authorization(r *request) {
	switch way := m.f.text("authMethod"); way {
	case "", "null", "basic":
		r.user, r.pass = literal(m.f.text("basic_auth_user")), literal(m.f.text("basic_auth_pass"))
	case "mtls":
		cert, key := m.f.text("tlsCert"), m.f.text("tlsKey")
		if cert == "" || key == "" {
			m.left(m.line("authMethod"), m.title+": authMethod mtls", "a certificate goes with its key, one of which is missing")
			return
		}
		cert = m.hide(m.d, m.line("tlsCert"), m.title+": tlsCert", "cert", cert)
		m.clientCert(m.p, m.line("tlsCert"), m.title+": tlsCert", cert, m.hide(m.d, m.line("tlsKey"), m.title+": tlsKey", "key", key))
		if v := m.f.take("tlsCa"); !v.empty() {
			m.left(m.line("tlsCa"), m.title+": tlsCa", "write it into a file on the agents, and its path as ca_file")
		}
	default:
		m.left(m.line("authMethod"), m.title+": authMethod "+way, "only basic authentication is carried over; put a token into a header as ${secret:NAME}")
		m.f.take("basic_auth_user")
		m.f.take("basic_auth_pass")
	}
}

func (m *kumaMonitor) status() {
	at, what := m.line("accepted_statuscodes"), m.title+": accepted_statuscodes"
	codes := []string{"200-299"}
	if list := m.f.take("accepted_statuscodes").list(); len(list) > 0 {
		codes = nil
		for _, c := range list {
			codes = append(codes, c.scalar())
		}
	}
	expr, ok := statusIn(codes)
	if !ok {
		m.left(at, what, "want codes such as 200 or 200-299")
		return
	}
	m.expects(m.d, m.p, at, what, expr)
}

func (m *kumaMonitor) keyword(kind string) {
	word, inverted := m.f.text("keyword"), m.f.take("invertKeyword").true()
	if kind != "keyword" || word == "" {
		return
	}
	expr := "body contains " + text(word)
	if inverted {
		expr = "not (" + expr + ")"
	}
	m.expects(m.d, m.p, m.line("keyword"), m.title+": keyword", expr)
}

// query reads the JSON query of a monitor: a plain path and a value.
func (m *kumaMonitor) query(kind string) {
	path, want, op := m.f.text("jsonPath"), m.f.text("expectedValue"), m.f.text("jsonPathOperator")
	if kind != "json-query" {
		return
	}
	at, what := m.line("jsonPath"), m.title+": jsonPath "+path
	expr, ok := jsonPath(path, false)
	if !ok {
		m.left(at, what, "a path such as $.data.status is understood; write the query as an expectation over json")
		return
	}
	switch op {
	case "", "==", "!=":
		if op == "" {
			op = "=="
		}
		expr = equals(expr, op, want)
	case "contains":
		expr = "string(" + expr + ") contains " + text(want)
	case "<", "<=", ">", ">=":
		if !numeric(want) {
			m.left(m.line("expectedValue"), what, "want a number to compare with")
			return
		}
		expr = "float(" + expr + ") " + op + " " + number(want)
	default:
		m.left(m.line("jsonPathOperator"), what, "the operator %s is not understood", clip(op))
		return
	}
	m.expects(m.d, m.p, at, what, expr)
}

// warnDays is when the source first speaks of a certificate that runs out.
const warnDays = "21"

// through reads the proxy of a monitor.
func (m *kumaMonitor) through() {
	id := m.f.take("proxyId")
	if id.empty() {
		return
	}
	at, what := m.line("proxyId"), m.title+": proxyId"
	p := m.proxies[id.scalar()]
	if p == nil {
		m.left(at, what, "the file does not hold the proxy")
		return
	}
	address := p.get("protocol").scalar() + "://"
	if p.get("auth").true() {
		address += url.UserPassword(p.get("username").scalar(), p.get("password").scalar()).String() + "@"
	}
	m.proxy(m.d, m.p, at, what, literal(address+p.get("host").scalar()+":"+p.get("port").scalar()))
}

func (m *kumaMonitor) certificate(address string) {
	if m.f.take("expiryNotification").true() && strings.HasPrefix(strings.ToLower(address), "https:") {
		m.p.warns(m.line("expiryNotification"), m.title+": expiryNotification", "cert.days_left > "+warnDays)
	}
	if m.f.take("ignoreTls").true() {
		m.left(m.line("ignoreTls"), m.title+": ignoreTls", trustInstead)
	}
}

// browser opens the page in a real browser.
func (m *kumaMonitor) browser(address string) {
	m.f.take("url")
	a := m.address(m.d, m.line("url"), literal(address))
	m.d.url = a.service
	if a.user != "" {
		m.left(m.line("url"), m.title+": the address's user", "a browser probe signs in by its steps")
	}
	open := "${service.url}"
	if m.d.url != a.request {
		open = a.request
	}
	m.p.own.set("steps", []table{{{key: "open", value: open}}})
	m.status()
}

// kumaAside are keys that say nothing of what is watched, or that only monitors
// of other types read.
var kumaAside = map[string]bool{
	"id": true, "weight": true, "pathName": true, "path": true, "childrenIDs": true, "forceInactive": true, "dns_last_result": true, "maintenance": true,
	"includeSensitiveData": true, "resendInterval": true, "screenshot": true, "conditions": true, "game": true, "gamedigGivenPortOnly": true,
	"docker_container": true, "docker_host": true, "pushToken": true, "databaseConnectionString": true, "databaseQuery": true, "jsonPath": true,
	"expectedValue": true, "jsonPathOperator": true, "keyword": true, "invertKeyword": true, "method": true, "httpBodyEncoding": true, "packetSize": true,
	"accepted_statuscodes": true, "maxredirects": true, "url": true, "hostname": true, "port": true, "expiryNotification": true, "ignoreTls": true,
	"headers": true, "body": true, "basic_auth_user": true, "basic_auth_pass": true, "authMethod": true, "authDomain": true, "authWorkstation": true,
	"user_id": true, "created_date": true, "cacheBust": true, "remote_browser": true, "manual_status": true, "smtpSecurity": true, "system_service_name": true,
	"wsIgnoreSecWebsocketAcceptHeader": true, "wsSubprotocol": true, "subtype": true, "location": true, "protocol": true, "ipFamily": true,
	"domainExpiryNotification": true,
}

// kumaOther begin the keys of monitors of other types.
var kumaOther = []string{"mqtt", "grpc", "radius", "kafka", "rabbitmq", "snmp", "oauth_", "tls", "ping_", "dns_", "response_", "save", "retry", "expectedTls"}

func (m *kumaMonitor) rest() {
	for _, p := range m.f.rest() {
		at, what := place{m.src.Name, p.line}, m.title+": "+p.key
		switch {
		case p.value.empty() || kumaAside[p.key]:
		case p.key == "tags":
			for _, t := range p.value.list() {
				m.left(place{m.src.Name, t.line}, m.title+": tag "+t.get("name").scalar(), "services carry no free labels")
			}
		case p.key == "notificationIDList":
			m.left(at, m.title+": notifications", "alerts go by routes.yaml, for whole channels")
		case p.key == "proxyId":
			m.left(at, what, "probes of this kind go out directly")
		default:
			if !other(p.key) {
				m.left(at, what, "the importer does not know this key")
			}
		}
	}
}

func other(key string) bool {
	for _, prefix := range kumaOther {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
