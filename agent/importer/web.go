package importer

import "strings"

// trustInstead is said where a source does without verification.
const trustInstead = "certificates are always verified; give the agents the issuer by ca_file or AGENT_CA_FILE"

// request is an HTTP request as all sources have it. Its texts are those of a
// definition: "${" of the source is doubled, secrets are still in them.
type request struct {
	at      place
	url     string
	urlAt   place
	method  string
	methAt  place
	headers []header
	body    string
	bodyAt  place
	kind    string // of the body, when no header says it
	user    string
	pass    string
	passAt  place
	follow  int // how many redirects; -1 is the default
}

type header struct {
	name, value string
	at          place
}

// maxFollow is the most redirects a definition may follow.
const maxFollow = 20

// web fills a probe with the request, secrets taken out of it, and gives the
// service its address.
func (j *job) web(d *draft, p *probeDraft, r request) {
	a := j.address(d, r.urlAt, r.url)
	var req table
	if d.url == "" {
		d.url = a.service
	}
	switch {
	case d.url == a.request:
		req.set("url", "${service.url}")
	default:
		req.set("url", a.request)
	}
	method := strings.ToUpper(r.method)
	body := r.body
	if body != "" && (method == "" || method == "GET" || method == "HEAD") {
		j.left(r.bodyAt, "body", "a request of method GET or HEAD carries none here")
		body = ""
	}
	if method != "" && (method != "GET" || body != "") {
		req.set("method", method)
	}
	var headers table
	typed := false
	for _, h := range r.headers {
		typed = typed || strings.EqualFold(h.name, "Content-Type")
		headers.offer(h.name, j.header(d, h.at, h.name, h.value), h.at, "header "+h.name)
	}
	if body != "" && !typed && r.kind != "" {
		headers.set("Content-Type", r.kind)
	}
	if len(headers) > 0 {
		req.set("headers", headers)
	}
	if body != "" {
		req.set("body", j.body(d, r.bodyAt, body))
	}
	j.basic(d, &req, r, a)
	if r.follow >= 0 {
		j.follow(&req, r)
	}
	if len(req) == 1 {
		p.own.set("request", req[0].value)
		return
	}
	p.own.set("request", req)
}

func (j *job) basic(d *draft, req *table, r request, a address) {
	user, pass := a.user, a.password
	if r.user != "" {
		user, pass = r.user, r.pass
		if pass != "" && !strings.HasPrefix(pass, own) {
			pass = j.hide(d, r.passAt, "basic authentication of "+user, "password", pass)
		}
	}
	if user != "" {
		req.set("basic", table{{key: "user", value: user}, {key: "password", value: pass}})
	}
}

func (j *job) follow(req *table, r request) {
	switch {
	case r.follow == 0:
		req.set("follow", false)
	case r.follow > maxFollow:
		j.changed(r.at, "redirects", "set to %d, the most", maxFollow)
		req.set("follow", maxFollow)
	default:
		req.set("follow", r.follow)
	}
}

// proxy sends a probe through a proxy where its kind can.
func (j *job) proxy(d *draft, p *probeDraft, at place, what, raw string) {
	a := j.address(d, at, raw)
	var v any = strings.TrimSuffix(a.request, "/")
	if a.user != "" {
		v = table{{key: "url", value: v}, {key: "user", value: a.user}, {key: "password", value: a.password}}
	}
	p.own.offer("proxy", v, at, what)
	p.own[len(p.own)-1].why = "probes go out directly"
}

// clientCert names the certificate that a probe shows where its kind can.
func (j *job) clientCert(p *probeDraft, at place, what, cert, key string) {
	p.own.offer("client_cert", table{{key: "cert", value: cert}, {key: "key", value: key}}, at, what)
	p.own[len(p.own)-1].why = "client certificates are not sent"
}
