package importer

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"
)

// The source's defaults.
const (
	gatusEvery   = time.Minute
	gatusTimeout = 10 * time.Second
)

// gatusAside are keys at the top that say nothing of what is watched.
var gatusAside = map[string]bool{
	"storage": true, "ui": true, "web": true, "metrics": true, "debug": true, "concurrency": true, "disable-monitoring-lock": true,
	"skip-invalid-config-update": true, "announcements": true,
}

// gatusTop says why a key at the top is not carried over.
var gatusTop = map[string]string{
	"alerting":     "write where alerts go into routes.yaml; its secrets are not taken over",
	"security":     "the coordinator has a password of its own, COORDINATOR_PASSWORD",
	"maintenance":  "maintenance that returns every day or week has no place; write each approved window into calendar.yaml",
	"connectivity": "each agent watches its own line by itself; see AGENT_REFERENCE_TARGETS in agent -help",
	"remote":       "other instances are agents of the fleet here",
}

// gatus reads a Gatus configuration.
func gatus(j *job) error {
	root, err := readYAML(j.src.Name, j.src.Data)
	if err != nil {
		return err
	}
	top := read(root)
	endpoints := top.take("endpoints")
	if endpoints == nil {
		endpoints = top.take("services") // its name until version 2
	}
	if root.shape != shapeMap || endpoints == nil && root.get("suites") == nil && root.get("external-endpoints") == nil {
		return &ReadError{j.src.Name, root.line, root.col, "want a Gatus configuration with endpoints, got none"}
	}
	for _, e := range endpoints.list() {
		if e.shape != shapeMap {
			j.left(j.at(e.line), "endpoint", "want a map, got %s", e.found())
			continue
		}
		if !j.room(j.at(e.line)) {
			break
		}
		g := &gatusEndpoint{job: j, f: read(e), at: j.at(e.line)}
		g.carry()
	}
	for _, s := range top.take("external-endpoints").list() {
		j.left(j.at(s.line), "external endpoint "+s.get("name").scalar(), "results that others push are not taken; probe it, or leave it where it is")
	}
	for _, s := range top.take("suites").list() {
		j.left(j.at(s.line), "suite "+s.get("name").scalar(), "requests that build on each other are not carried over; write them as steps of one http probe, with save")
	}
	for _, p := range top.rest() {
		if why := gatusTop[p.key]; why != "" {
			j.left(j.at(p.line), p.key, "%s", why)
		} else if !gatusAside[p.key] && !p.value.named && !strings.HasPrefix(p.key, "x-") {
			j.left(j.at(p.line), p.key, "the importer does not know this key")
		}
	}
	return nil
}

// gatusEndpoint is one entry of endpoints.
type gatusEndpoint struct {
	*job
	f     *fields
	at    place
	d     *draft
	p     *probeDraft
	title string
}

func (g *gatusEndpoint) line(key string) place { return place{g.src.Name, g.f.line(key)} }

// refuse notes that the whole endpoint is not carried over.
func (g *gatusEndpoint) refuse(at place, why string, args ...any) {
	g.left(at, g.title, why, args...)
}

func (g *gatusEndpoint) carry() {
	name, group := g.f.text("name"), g.f.text("group")
	g.title = "endpoint " + name
	raw := g.f.text("url")
	if raw == "" {
		g.refuse(g.at, "it has no url")
		return
	}
	for _, p := range g.f.of.pairs {
		if holds(p.value, own) {
			g.refuse(place{g.src.Name, p.line}, "%s: it holds a ${secret:…}, which would be filled in by agents", p.key)
			return
		}
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case g.f.of.get("dns") != nil:
		scheme = "dns"
	case g.f.of.get("ssh") != nil || g.f.of.get("grpc") != nil:
		g.refuse(g.line("url"), "SSH and gRPC are not probed here; a tcp probe sees whether the port is open")
		return
	case !ok:
		g.refuse(g.line("url"), "the address has no scheme such as https://")
		return
	}
	kind := map[string]string{
		"http": "http", "https": "http", "tcp": "tcp", "dns": "dns", "icmp": "icmp", "tls": "tls", "ws": "websocket", "wss": "websocket",
	}[scheme]
	switch {
	case scheme == "starttls":
		g.refuse(g.line("url"), "STARTTLS is not spoken here; a tcp probe sees whether the server greets")
		return
	case kind == "":
		g.refuse(g.line("url"), "addresses of %s:// are not probed here", clip(scheme))
		return
	case !g.known(kind, g.at, g.title):
		return
	}
	target := raw
	if kind != "http" {
		target = rest
	}
	if scheme == "dns" {
		target = g.f.of.get("dns").get("query-name").scalar()
	}
	g.d = g.add(g.at, name, group, g.dollars("", target))
	g.p = &probeDraft{at: g.at, id: kind, kind: kind}
	g.d.probes = append(g.d.probes, g.p)
	if e := g.f.take("enabled"); e != nil && !e.true() {
		g.d.retired = true
		g.changed(g.line("enabled"), g.title+", which is not enabled", "imported as \"life: retired\"; write published to have it probed")
	}
	g.schedule()
	w := g.target(scheme, raw, rest)
	g.conditions(w)
	g.rest()
}

// holds reports whether a text below v contains s.
func holds(v *value, s string) bool {
	if strings.Contains(v.text, s) {
		return true
	}
	for _, item := range v.items {
		if holds(item, s) {
			return true
		}
	}
	for _, p := range v.pairs {
		if strings.Contains(p.key, s) || holds(p.value, s) {
			return true
		}
	}
	return false
}

// target fills in what is probed.
func (g *gatusEndpoint) target(scheme, raw, rest string) words {
	switch scheme {
	case "http", "https":
		return g.web(raw)
	case "dns":
		return g.dns(raw)
	case "ws", "wss":
		return g.websocket(raw)
	}
	return g.plain(scheme, rest)
}

func (g *gatusEndpoint) schedule() {
	client := g.f.of.get("client")
	every := g.duration(g.f.take("interval"), g.line("interval"), "interval", gatusEvery)
	timeout := gatusTimeout
	timeoutAt := g.at
	if t := client.get("timeout"); t != nil {
		timeoutAt = place{g.src.Name, t.line}
		timeout = g.duration(t, timeoutAt, "client.timeout", gatusTimeout)
	}
	g.job.schedule(g.p, every, timeout, g.line("interval"), timeoutAt)
}

// duration reads a length of time; one that cannot be read becomes the default.
func (j *job) duration(v *value, at place, what string, otherwise time.Duration) time.Duration {
	if v == nil || v.shape == shapeNull {
		return otherwise
	}
	d, err := time.ParseDuration(v.scalar())
	if err != nil {
		j.left(at, what, "want a duration such as 30s; %s was taken", short(otherwise))
		return otherwise
	}
	return d
}

// variable matches an environment variable that the source fills in.
var variable = regexp.MustCompile(`(?:^|[^$])(?:\$\$)*\$\{?[A-Za-z_]`)

var dollar = regexp.MustCompile(`\$\$|\$([A-Za-z_][A-Za-z0-9_]*)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// dollars is a text as a definition takes it: the source fills environment
// variables in, which become secrets here. Without what, nothing is noted.
func (g *gatusEndpoint) dollars(what, s string) string {
	return g.dollarsAt(g.at, what, s)
}

func (g *gatusEndpoint) dollarsAt(at place, what, s string) string {
	var b strings.Builder
	end := 0
	for _, m := range dollar.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(literal(s[end:m[0]]))
		end = m[1]
		name := ""
		for _, i := range []int{2, 4} {
			if m[i] >= 0 {
				name = s[m[i]:m[i+1]]
			}
		}
		switch {
		case name == "":
			if strings.HasPrefix(s[end:], "{") {
				b.WriteByte('$')
			}
			b.WriteByte('$')
		case what == "":
			b.WriteString(name)
		default:
			ref := g.expected(at, what+": the environment variable "+name, name)
			if before, ok := strings.CutSuffix(b.String(), "$"); ok {
				// Definitions take "$${" for a literal "${".
				g.left(at, what+": a $ right before the environment variable "+name, "it cannot be written and was left out; make it part of the secret")
				b.Reset()
				b.WriteString(before)
			}
			b.WriteString(ref)
		}
	}
	b.WriteString(literal(s[end:]))
	return b.String()
}

// web fills in an HTTP request.
func (g *gatusEndpoint) web(raw string) words {
	w := words{body: "trim(body)", json: true, days: "cert.days_left"}
	r := request{at: g.at, urlAt: g.line("url"), methAt: g.line("method"), bodyAt: g.line("body"), follow: -1, method: g.f.text("method")}
	r.url = g.dollarsAt(r.urlAt, "url", raw)
	if headers := g.f.take("headers"); headers != nil {
		for _, p := range headers.pairs {
			at := place{g.src.Name, p.line}
			r.headers = append(r.headers, header{p.key, g.dollarsAt(at, "header "+p.key, p.value.scalar()), at})
		}
	}
	body := g.f.text("body")
	body = strings.NewReplacer("[ENDPOINT_NAME]", g.f.text("name"), "[ENDPOINT_GROUP]", g.f.text("group"), "[ENDPOINT_URL]", raw).Replace(body)
	for _, p := range []string{"[LOCAL_ADDRESS]", "[RANDOM_STRING_", "[CONTEXT]"} {
		if strings.Contains(body, p) {
			g.left(r.bodyAt, "body: "+p, "it is not filled in here; the body is sent with it as it stands")
		}
	}
	r.body = g.dollarsAt(r.bodyAt, "body", body)
	if q := g.f.take("graphql"); q != nil && q.true() {
		r.body = graphql(r.body)
		r.kind = "application/json"
	}
	if strings.EqualFold(g.f.of.get("client").get("ignore-redirect").scalar(), "true") {
		r.follow = 0
	}
	g.job.web(g.d, g.p, r)
	return w
}

// graphql wraps a query in the JSON that carries it.
func graphql(query string) string {
	b, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		return query
	}
	return string(b)
}

// rest says what of the endpoint is not carried over.
func (g *gatusEndpoint) rest() {
	g.client()
	if a := g.f.take("alerts"); !a.empty() {
		g.left(g.line("alerts"), g.title+": alerts", "alerts go by routes.yaml, for whole channels; when a failure counts is decided by the sites that confirm it")
	}
	for _, w := range g.f.take("maintenance-windows").list() {
		g.left(place{g.src.Name, w.line}, g.title+": maintenance window", "windows that return have no place; write each approved one into calendar.yaml")
	}
	for _, p := range g.f.rest() {
		switch {
		case p.key == "ui" || p.value.empty():
		case p.key == "extra-labels":
			g.left(place{g.src.Name, p.line}, g.title+": extra-labels", "services carry no free labels")
		case p.key == "store" || p.key == "always-run":
			g.left(place{g.src.Name, p.line}, g.title+": "+p.key, "it means something in suites alone")
		default:
			g.left(place{g.src.Name, p.line}, g.title+": "+p.key, "the importer does not know this key")
		}
	}
}

// gatusClient says why a key of client is not carried over.
var gatusClient = map[string]string{
	"insecure":             trustInstead,
	"dns-resolver":         "names are resolved by the agent's own host",
	"oauth2":               "tokens are not fetched; put one into a header as ${secret:NAME}",
	"identity-aware-proxy": "tokens are not fetched; put one into a header as ${secret:NAME}",
	"tunnel":               "probes go out directly; put an agent behind the tunnel",
}

func (g *gatusEndpoint) client() {
	client := g.f.take("client")
	if client == nil || client.shape != shapeMap {
		return
	}
	for _, p := range client.pairs {
		at, what := place{g.src.Name, p.line}, g.title+": client."+p.key
		switch why := gatusClient[p.key]; {
		case p.key == "timeout", p.key == "ignore-redirect", p.value.empty():
		case p.key == "network":
			if family := map[string]int{"ip4": 4, "ip6": 6}[p.value.scalar()]; family != 0 {
				g.p.own.ip(family, at, what)
			}
		case p.key == "proxy-url":
			g.proxy(g.d, g.p, at, what, g.dollarsAt(at, "client.proxy-url", p.value.scalar()))
		case p.key == "tls":
			g.certificate(p.value, at, what)
		case p.key == "insecure" && g.p.kind == "tls":
			g.p.own.offer("ignore", unverified, at, what)
		case why != "":
			g.left(at, what, "%s", why)
		default:
			g.left(at, what, "the importer does not know this key")
		}
	}
}

// certificate reads which certificate the source shows. Its files are not read.
func (g *gatusEndpoint) certificate(v *value, at place, what string) {
	if v.get("certificate-file").empty() || v.get("private-key-file").empty() {
		g.left(at, what, "certificate-file and private-key-file are understood")
		return
	}
	cert := g.expected(at, what+".certificate-file", g.d.id+"_cert")
	g.clientCert(g.p, at, what, cert, g.expected(at, what+".private-key-file", g.d.id+"_key"))
}

func (g *gatusEndpoint) conditions(w words) {
	status := false
	for _, c := range g.f.take("conditions").list() {
		at, src := place{g.src.Name, c.line}, c.scalar()
		what := "condition " + src
		if variable.MatchString(src) {
			g.left(at, what, "environment variables are not filled in in expectations; write the value out")
			continue
		}
		status = status || strings.Contains(src, "[STATUS]")
		expr, why := gatusCondition(strings.ReplaceAll(src, "$$", "$"), w)
		switch {
		case why == comparesSecret:
			left, _, _ := strings.Cut(src, " ")
			g.left(at, "condition on "+left, comparesSecret)
		case why != "":
			g.left(at, what, "%s", why)
		case expr != "":
			g.expects(g.d, g.p, at, what, expr)
		}
	}
	if !status && g.p.kind == "http" {
		g.changed(g.line("conditions"), g.title+" without a condition on [STATUS]", "a status of 400 or more fails it here; expect \"status > 0\" to take any")
	}
}
