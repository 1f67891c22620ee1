package httpprobe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/pagerules"
)

// maxEvidence bounds the excerpt of a body that is kept, in bytes.
const maxEvidence = 16 << 10

// page is a reply read as text, without secret values.
type page struct {
	decoded
	html    bool
	title   string
	visible string // the text of an HTML page, otherwise the body
	json    any
	jsonErr error
}

// judge makes the result, worst first: network, page, status, business code,
// charset, expectations.
func (r *run) judge(got *reply, failure *probes.Failure) probes.Result {
	p := r.read(got)
	res := probes.Result{
		Verdict: probes.Up, Timings: got.time, Status: got.status, URL: got.ask.url.String(), IP: got.ip,
		TLSUntil: got.tlsUntil, Steps: 1, Title: p.title,
		Measures: map[string]float64{"body_bytes": float64(len(got.body)), "redirects": float64(got.redirects)},
	}
	if got.cut {
		res.Measures["body_cut"] = 1
	}
	values := r.values(got, p)
	for _, e := range r.expect {
		res.Checks = append(res.Checks, e.Check(values, false))
	}
	for _, e := range r.warn {
		res.Checks = append(res.Checks, e.Check(values, true))
	}
	if failure != nil {
		res.Fail(failure.Finding(got.step))
	} else if !r.doubt(&res, got, p) {
		r.weigh(&res, got, p)
	}
	if res.Verdict != probes.Down && res.Class != probes.ClassBlocked && res.Class != probes.ClassChallenge && res.Class != probes.ClassWechatOnly {
		res.Passed = 1
	} else {
		res.Evidence = r.evidence(p)
	}
	return r.clean(res)
}

// doubt applies the page rules. It reports true when a firewall or a client
// check kept the probe out, which says nothing about the service.
func (r *run) doubt(res *probes.Result, got *reply, p page) bool {
	if !r.rules || !p.html && got.status < 400 {
		return false
	}
	seen := pagerules.Page{
		Status: got.status, Title: p.title, Text: p.visible, Header: got.header, URL: res.URL,
		Expected: r.foundExpectedText(res.Checks),
	}
	if p.html {
		seen.Source = p.text
	}
	rule, ok := pagerules.Match(seen, r.rulesOff...)
	if !ok {
		return false
	}
	verdict := rule.Verdict
	if rule.Class == probes.ClassWechatOnly && r.asWechat(got) {
		// It asked as WeChat does and was turned away, as the public would be.
		verdict = probes.Down
	}
	if verdict == probes.Down {
		res.Fail(rule.Finding(seen))
		return false
	}
	res.Verdict, res.Class = verdict, rule.Class
	res.Findings = []probes.Finding{rule.Finding(seen)}
	return true
}

// asWechat reports whether the request looked like WeChat's and the reply comes
// from a site that is not WeChat's own, which always sends machines away.
func (r *run) asWechat(got *reply) bool {
	host := got.ask.url.Hostname()
	own := host == "weixin.qq.com" || strings.HasSuffix(host, ".weixin.qq.com")
	return !own && strings.Contains(got.ask.headers.Get("User-Agent"), "MicroMessenger")
}

// foundExpectedText reports whether the definition expects certain text and the page has it.
func (r *run) foundExpectedText(checks []probes.Check) bool {
	found := false
	for i, e := range r.expect {
		if uses := e.Uses(); slices.Contains(uses, "text") || slices.Contains(uses, "body") {
			if !checks[i].OK {
				return false
			}
			found = true
		}
	}
	return found
}

// weigh adds what is wrong with a reply that did come.
func (r *run) weigh(res *probes.Result, got *reply, p page) {
	if got.status >= 400 && !r.asks("status") {
		res.Fail(probes.Finding{Class: probes.ClassStatus, Phrase: probes.PhraseStatus, Got: status(got.status)})
	}
	if r.business != nil || r.uses["json"] {
		r.weighJSON(res, got, p)
	}
	if p.wrong {
		res.Fail(probes.Finding{Class: probes.ClassEncoding, Phrase: probes.PhraseCharset, Want: probes.Excerpt(p.declared), Got: p.guess})
	}
	for i, e := range r.expect {
		if c := res.Checks[i]; !c.OK {
			res.Fail(failed(e, c, got.status))
		}
	}
	for i, e := range r.warn {
		if c := res.Checks[len(r.expect)+i]; !c.OK {
			res.Degrade(failed(e, c, got.status))
		}
	}
}

// asks reports whether an expectation speaks of a field.
func (r *run) asks(field string) bool {
	return slices.ContainsFunc(r.expect, func(e *expect.Expr) bool { return slices.Contains(e.Uses(), field) })
}

func status(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

func (r *run) weighJSON(res *probes.Result, got *reply, p page) {
	fail := func(phrase probes.Phrase, want, got string) {
		res.Fail(probes.Finding{Class: probes.ClassContent, Phrase: phrase, Want: want, Got: probes.Excerpt(got)})
	}
	head := p.text[:min(len(p.text), 200)]
	switch {
	case p.html:
		fail(probes.PhraseHTMLNotJSON, "", p.title)
		return
	case got.cut:
		fail(probes.PhraseJSONLong, strconv.FormatInt(r.maxBody, 10), "")
		return
	case errors.Is(p.jsonErr, errEmptyBody):
		fail(probes.PhraseJSONEmpty, "", "")
		return
	case errors.Is(p.jsonErr, errMoreThanJSON):
		fail(probes.PhraseJSONMore, "", head)
		return
	case p.jsonErr != nil:
		fail(probes.PhraseJSONBroken, "", head)
		return
	case r.business == nil:
		return
	}
	path := r.business.path
	code, found := at(p.json, strings.Split(path, "."))
	said := message(p.json, path)
	switch {
	case !found:
		res.Fail(probes.Finding{Class: probes.ClassBusinessCode, Phrase: probes.PhraseBusinessMissing, Want: path, Got: probes.Excerpt(said)})
	case !slices.Contains(r.business.ok, plain(code)):
		got := path + " = " + plain(code)
		if said != "" {
			got += ": " + said
		}
		res.Fail(probes.Finding{Class: probes.ClassBusinessCode, Phrase: probes.PhraseBusiness, Want: strings.Join(r.business.ok, ", "), Got: probes.Excerpt(got)})
	}
}

// at follows a dotted path into decoded JSON.
func at(v any, path []string) (any, bool) {
	for _, name := range path {
		switch in := v.(type) {
		case map[string]any:
			member, ok := in[name]
			if !ok {
				return nil, false
			}
			v = member
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// plain writes a code as text, so that 0 and "0" compare alike.
func plain(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return "null"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// messages are the names under which envelopes carry their text.
var messages = []string{"msg", "message", "errmsg", "errMsg", "errorMsg", "resultMsg", "rtnMsg", "error", "info", "desc"}

// message is the text beside the code, or at the envelope's top.
func message(v any, path string) string {
	beside := strings.Split(path, ".")
	for _, place := range [][]string{beside[:len(beside)-1], nil} {
		for _, name := range messages {
			if m, ok := at(v, slices.Concat(place, []string{name})); ok {
				if s, ok := m.(string); ok && s != "" {
					return s
				}
			}
		}
	}
	return ""
}

// failed says that an expectation did; one about the status alone by the status.
func failed(e *expect.Expr, c probes.Check, code int) probes.Finding {
	f := probes.Finding{Class: classOfCheck(e), Phrase: probes.PhraseCheck, Want: probes.Excerpt(c.Expr), Got: c.Saw}
	if code != 0 && slices.Equal(e.Uses(), []string{"status"}) {
		f.Phrase, f.Got = probes.PhraseStatus, status(code)
	}
	return f
}

// classOfCheck is the failure class of an expectation, by what it speaks of.
func classOfCheck(e *expect.Expr) probes.Class {
	uses := e.Uses()
	only := func(names ...string) bool {
		return len(uses) > 0 && !slices.ContainsFunc(uses, func(u string) bool { return !slices.Contains(names, u) })
	}
	switch {
	case slices.Contains(uses, "status"):
		return probes.ClassStatus
	case slices.Contains(uses, "json"):
		return probes.ClassBusinessCode
	case only("latency", "dns", "connect", "tls", "ttfb"):
		return probes.ClassLatency
	case only("cert"):
		return probes.ClassTLS
	case only("charset"):
		return probes.ClassEncoding
	case only("url", "redirects"):
		return probes.ClassRedirect
	}
	return probes.ClassContent
}

// values are what the expectations see. A field that is not known is missing.
func (r *run) values(got *reply, p page) map[string]any {
	v := map[string]any{
		"latency": got.time.Total, "dns": got.time.DNS, "connect": got.time.Connect, "tls": got.time.TLS,
		"redirects": got.redirects, "url": r.redact.Secrets(got.ask.url.String()),
	}
	if got.ip != "" {
		v["ip"] = got.ip
	}
	if !got.tlsUntil.IsZero() {
		v["cert"] = map[string]any{"days_left": time.Until(got.tlsUntil).Hours() / 24}
	}
	if got.status == 0 {
		return v
	}
	v["status"], v["ttfb"] = got.status, got.time.FirstByte
	v["body"], v["body_bytes"], v["text"], v["title"], v["charset"] = p.text, len(got.body), p.visible, p.title, p.charset
	v["header"] = func(name string) string { return r.redact.Secrets(strings.Join(got.header.Values(name), ", ")) }
	if p.json != nil {
		v["json"] = p.json
	}
	return v
}

// read makes a reply text. Secret values that a site echoes are taken out here,
// before anything is cut, so that no half of one is left either.
func (r *run) read(got *reply) page {
	contentType := got.header.Get("Content-Type")
	declared := r.charset
	if declared == "" {
		declared = declaredCharset(contentType, got.body, isHTML(contentType, string(got.body[:min(len(got.body), prescan)])))
	}
	if isJSON(contentType) && utf8.Valid(got.body) && r.charset == "" {
		// JSON is UTF-8, and is read as such, whatever the label says.
		declared = ""
	}
	p := page{decoded: decodeText(got.body, declared, got.cut)}
	if r.uses["json"] || r.business != nil {
		p.json, p.jsonErr = r.decodeJSON(p.text)
	}
	p.text = r.redact.Secrets(p.text)
	p.html = isHTML(contentType, p.text)
	p.visible = p.text
	if p.html {
		p.title, p.visible = readHTML(p.text)
	}
	return p
}

func isJSON(contentType string) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")
}

var (
	errEmptyBody    = errors.New("an empty body")
	errNotJSON      = errors.New("not JSON")
	errMoreThanJSON = errors.New("more after the JSON")
)

func (r *run) decodeJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(strings.TrimLeft(text, "\ufeff \t\r\n")))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errEmptyBody
		}
		return nil, errNotJSON
	}
	if d.More() {
		return nil, errMoreThanJSON
	}
	return r.tidy(v), nil
}

// tidy makes numbers int where they are whole and takes secrets out of texts.
func (r *run) tidy(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.Atoi(v.String()); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case string:
		return r.redact.Secrets(v)
	case []any:
		for i := range v {
			v[i] = r.tidy(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = r.tidy(v[k])
		}
	}
	return v
}

// evidence keeps the head of a text body.
func (r *run) evidence(p page) []probes.Evidence {
	head := p.text[:min(len(p.text), 1024)]
	if strings.TrimSpace(p.text) == "" || strings.ContainsRune(head, 0) {
		return nil
	}
	text := clip(r.redact.Text(clip(p.text, 2*maxEvidence)), maxEvidence)
	return []probes.Evidence{{Kind: "body", MIME: "text/plain; charset=utf-8", Size: len(text), Data: []byte(text)}}
}

// clean takes secrets and people's numbers out of every text of a result.
func (r *run) clean(res probes.Result) probes.Result {
	res.URL = r.redact.Text(res.URL)
	res.Title = clip(r.redact.Text(res.Title), maxTitle)
	for i := range res.Findings {
		f := &res.Findings[i]
		f.Want, f.Got = probes.Excerpt(r.redact.Text(f.Want)), probes.Excerpt(r.redact.Text(f.Got))
	}
	for i := range res.Checks {
		res.Checks[i].Saw = probes.Excerpt(r.redact.Text(res.Checks[i].Saw))
	}
	return res
}
