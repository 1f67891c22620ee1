package importer

import (
	"regexp"
	"strconv"
	"strings"
)

// This file fills in probes that are no HTTP requests. Their keys are those of
// the kinds tcp, tls, icmp, dns and websocket.

// unverified are the checks of a tls probe that a source without verification
// does not make.
var unverified = []string{"untrusted", "name"}

// reply is what stands for a peer's whole reply in the conditions of a source.
const reply = "trim(text)"

// plain fills in a probe of a host or a port.
func (g *gatusEndpoint) plain(scheme, rest string) words {
	at := g.line("url")
	host, _, _ := strings.Cut(rest, "/")
	g.p.own.set("target", g.dollarsAt(at, "url", host))
	body := g.dollarsAt(g.line("body"), "body", g.f.text("body"))
	switch {
	case scheme == "tls":
		if body != "" {
			g.left(g.line("body"), g.title+": body", "a tls probe sends nothing")
		}
		return words{days: "cert.days_left"}
	case scheme == "icmp":
		return words{}
	case body != "":
		g.ask(body)
	}
	return words{body: reply}
}

func (g *gatusEndpoint) dns(raw string) words {
	q := read(orMap(g.f.take("dns")))
	name, of := q.text("query-name"), q.text("query-type")
	g.question(g.p, place{g.src.Name, q.of.line}, g.dollarsAt(g.line("url"), "url", raw), literal(name), of, "")
	for _, p := range q.rest() {
		g.left(place{g.src.Name, p.line}, g.title+": dns."+p.key, "the importer does not know this key")
	}
	return words{list: "answers", rcode: "rcode"}
}

// question fills in what a name server is asked.
func (j *job) question(p *probeDraft, at place, server, name, of, transport string) {
	p.own.set("query", strings.TrimSuffix(name, "."))
	if of != "" {
		p.own.offer("type", strings.ToUpper(of), at, "the record's type "+of)
	}
	if transport != "" && transport != "udp" {
		server = transport + "://" + server
	}
	if server != "" {
		p.own.set("servers", []string{server})
	}
}

// websocket fills in a probe that opens a socket and, where the source has a
// body, sends it and waits for what comes back.
func (g *gatusEndpoint) websocket(raw string) words {
	g.socket(g.d, g.p, g.line("url"), g.dollarsAt(g.line("url"), "url", raw), g.title)
	var headers table
	for _, p := range orMap(g.f.take("headers")).pairs {
		at := place{g.src.Name, p.line}
		headers.offer(p.key, g.header(g.d, at, p.key, g.dollarsAt(at, "header "+p.key, p.value.scalar())), at, "header "+p.key)
	}
	if len(headers) > 0 {
		g.p.own.set("headers", headers)
	}
	if body := g.dollarsAt(g.line("body"), "body", g.f.text("body")); body != "" {
		g.ask(body)
	}
	return words{body: reply, json: true, days: "cert.days_left"}
}

// ask sends the body and waits for any reply.
func (g *gatusEndpoint) ask(body string) {
	g.p.own.set("dialogue", []table{{{key: "send", value: g.body(g.d, g.line("body"), body)}, {key: "until", value: table{{key: "any", value: true}}}}})
}

// socket sets the address of a WebSocket, secrets taken out.
func (j *job) socket(d *draft, p *probeDraft, at place, raw, title string) {
	a := j.address(d, at, raw)
	if a.user != "" {
		j.left(at, title+": the address's user", "write it as a header Authorization with ${secret:NAME}")
	}
	p.own.set("url", a.request)
}

// plain fills in a probe of the exporter's other probers.
func (m *boxModule) plain(kind, target string) {
	prober := m.f.of.get("prober").scalar()
	m.in = read(orMap(m.f.take(prober)))
	switch prober {
	case "dns":
		m.dns(target)
	default:
		m.p.own.set("target", target)
	}
	m.tls()
	if v := m.in.of.get("payload_size"); prober == "icmp" && !v.empty() {
		m.in.take("payload_size")
		m.p.own.size(v, m.place(v), m.what("payload_size"))
	}
	if prober == "tcp" {
		m.in.take("tls")
		m.dialogue(kind)
	}
	m.family()
}

// replyGroup is a part of what a peer said, sent back to it.
var replyGroup = regexp.MustCompile(`\$\{?[0-9]`)

// signOn is a line that carries a password in the protocols people probe so.
var signOn = regexp.MustCompile(`(?i)^\s*(?:PASS|AUTH(?: PLAIN| LOGIN)?|PASSWORD|LOGIN \S+)\s+(\S+)`)

// dialogue reads query_response: the source waits and then sends, we send and
// then wait.
func (m *boxModule) dialogue(kind string) {
	if kind != "tcp" {
		m.in.take("query_response")
		return
	}
	if m.in.of.get("tls").true() {
		if m.sni != "" {
			m.p.own.set("tls", table{{key: "sni", value: m.sni}})
		} else {
			m.p.own.set("tls", true)
		}
	}
	var turns []table
	waits := true // the last turn has its until, so that the next needs one of its own
	for _, v := range m.in.take("query_response").list() {
		at, what := m.place(v), m.what("query_response")
		if v.get("starttls").true() {
			m.left(at, what, "STARTTLS is not spoken here; what comes after it was left out")
			break
		}
		if re := v.get("expect"); !re.empty() {
			until := &entry{key: "until", value: table{{key: "regexp", value: literal(lineRegexp(re.scalar()))}}}
			if waits {
				turns = append(turns, table{until})
			} else {
				turns[len(turns)-1] = append(turns[len(turns)-1], until)
			}
			waits = true
		}
		if send := v.get("send"); !send.empty() {
			if replyGroup.MatchString(send.scalar()) {
				m.left(m.place(send), what, "parts of a reply are not sent back here; what comes after it was left out")
				break
			}
			turns = append(turns, table{{key: "send", value: m.line(send) + "\n"}})
			waits = false
		}
	}
	if len(turns) > 0 {
		m.p.own.set("dialogue", turns)
	}
}

// line is a line to send, without the passwords of those who sign on.
func (m *boxModule) line(send *value) string {
	s := m.body(m.d, m.place(send), literal(send.scalar()))
	at := signOn.FindStringSubmatchIndex(s)
	if at == nil || strings.Contains(s[at[2]:at[3]], own) {
		return s
	}
	return s[:at[2]] + m.hide(m.d, m.place(send), m.what("query_response: send"), "password", s[at[2]:at[3]]) + s[at[3]:]
}

// lineRegexp makes an expression over one line, as the source has it, one over
// all that came.
func lineRegexp(s string) string {
	if strings.HasSuffix(s, "$") && !strings.HasSuffix(s, `\$`) {
		s = strings.TrimSuffix(s, "$") + `\r?$`
	}
	return "(?m)" + s
}

// dns reads what is asked and what may be answered.
func (m *boxModule) dns(target string) {
	transport := m.in.text("transport_protocol")
	if m.in.take("dns_over_tls").true() {
		transport = "tls"
	}
	m.question(m.p, m.at, target, literal(m.in.text("query_name")), m.in.text("query_type"), transport)
	if codes := m.in.take("valid_rcodes").list(); len(codes) > 0 {
		var list []string
		for _, c := range codes {
			list = append(list, text(c.scalar()))
		}
		m.expects(m.d, m.p, m.place(codes[0]), m.what("valid_rcodes"), "rcode in ["+strings.Join(list, ", ")+"]")
	}
	for _, part := range []string{"validate_answer_rrs", "validate_authority_rrs", "validate_additional_rrs"} {
		rules := m.in.take(part)
		switch {
		case rules.empty() || rules.shape != shapeMap:
		case part != "validate_answer_rrs":
			m.left(m.place(rules), m.what(part), "the answers alone are looked at")
		default:
			m.answers(rules)
		}
	}
}

// loops are the ways in which the rules of the exporter fail.
var loops = map[string]string{
	"fail_if_matches_regexp": "none(answers, # matches %)", "fail_if_all_match_regexp": "not all(answers, # matches %)",
	"fail_if_not_matches_regexp": "all(answers, # matches %)", "fail_if_none_matches_regexp": "any(answers, # matches %)",
}

func (m *boxModule) answers(rules *value) {
	for _, p := range rules.pairs {
		for _, re := range p.value.list() {
			at, what := m.place(re), m.what("validate_answer_rrs."+p.key)
			switch loop, known := loops[p.key]; {
			case !known:
				m.left(at, what, "the importer does not know this key")
			case strings.ContainsAny(re.scalar(), "\t^$") || strings.Contains(re.scalar(), `\t`):
				m.left(at, what, "an expression over a whole record is not carried over; answers are what the record says alone, such as an address")
			default:
				m.expects(m.d, m.p, at, what, strings.Replace(loop, "%", text(re.scalar()), 1))
			}
		}
	}
}

// plain fills in a probe of a host or a port.
func (m *kumaMonitor) plain(kind, target string) {
	m.f.take("hostname")
	m.f.take("port")
	switch kind {
	case "dns":
		server := m.f.text("dns_resolve_server")
		if port := m.f.of.get("port").scalar(); port != "" && port != "53" && server != "" {
			server += ":" + port
		}
		m.question(m.p, m.line("dns_resolve_server"), literal(server), literal(target), m.f.text("dns_resolve_type"), "")
	case "websocket-upgrade":
		m.f.take("url")
		m.socket(m.d, m.p, m.line("url"), literal(target), m.title)
		if offered := strings.FieldsFunc(m.f.text("wsSubprotocol"), func(r rune) bool { return r == ',' || r == ' ' }); len(offered) > 0 {
			m.p.own.offer("protocols", offered, m.line("wsSubprotocol"), m.title+": wsSubprotocol")
		}
	default:
		m.p.own.set("target", literal(target))
	}
	if v := m.f.take("packetSize"); kind == "ping" && !v.empty() && v.scalar() != "56" {
		m.p.own.size(v, m.line("packetSize"), m.title+": packetSize")
	}
}

// size sets how many bytes a packet carries.
func (t *table) size(v *value, at place, what string) {
	if n, err := strconv.Atoi(v.scalar()); err == nil {
		t.offer("size", n, at, what)
	} else {
		t.offer("size", v.scalar(), at, what) // the compiler says what is wrong with it
	}
}
