package httpprobe

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/pagerules"
)

// judge makes the part of a result that one reply decides, worst first: network,
// page, status, business code, charset, expectations.
func (s *session) judge(got *reply, failure *probes.Failure) probes.Result {
	var p page
	if got.status != 0 {
		p = s.readPage(got)
		got.read = &p
	}
	res := probes.Result{
		Verdict: probes.Up, Status: got.status, URL: got.ask.address, IP: got.ip, TLSUntil: got.tlsUntil, Title: p.title,
		Measures: map[string]float64{"body_bytes": float64(len(got.body)), "redirects": float64(got.redirects)},
	}
	if got.cut {
		res.Measures["body_cut"] = 1
	}
	st := got.of
	if len(st.expect)+len(st.warn) > 0 {
		res.Checks = evaluate(st.expect, st.warn, s.seen(got, p, got.time, st.uses))
	}
	if failure != nil {
		res.Fail(failure.Finding(got.span))
	} else if !s.doubt(&res, got, p) {
		s.weigh(&res, got, p)
	}
	return res
}

// evaluate checks every expectation, whatever the others say.
func evaluate(expected, warned []*expect.Expr, values map[string]any) []probes.Check {
	checks := make([]probes.Check, 0, len(expected)+len(warned))
	for _, e := range expected {
		checks = append(checks, e.Check(values, false))
	}
	for _, e := range warned {
		checks = append(checks, e.Check(values, true))
	}
	return checks
}

// blame adds a finding for every check that failed.
func blame(res *probes.Result, expected, warned []*expect.Expr, checks []probes.Check, status int) {
	for i, e := range expected {
		if c := checks[i]; !c.OK {
			res.Fail(failed(e, c, status))
		}
	}
	for i, e := range warned {
		if c := checks[len(expected)+i]; !c.OK {
			res.Degrade(failed(e, c, status))
		}
	}
}

// doubt applies the page rules. It reports true when a firewall or a client
// check kept the probe out, which says nothing about the service.
func (s *session) doubt(res *probes.Result, got *reply, p page) bool {
	if !s.rules || !p.html && got.status < 400 {
		return false
	}
	seen := pagerules.Page{
		Status: got.status, Title: p.title, Text: p.visible, Header: got.header, URL: res.URL,
		Asked: got.begun, Expected: got.of.foundText(res.Checks),
	}
	if s.flow || got.of.asks("url") || got.of.asks("title") || got.of.asks("redirects") {
		seen.Asked = "" // the definition says where it leads
	}
	if p.html {
		seen.Source = p.text
	}
	rule, ok := pagerules.MatchOwn(seen, s.own, s.rulesOff...)
	if !ok {
		return false
	}
	verdict := rule.Verdict
	if rule.Class == probes.ClassWechatOnly && s.asWechat(got) {
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
func (s *session) asWechat(got *reply) bool {
	host := got.ask.url.Hostname()
	own := host == "weixin.qq.com" || strings.HasSuffix(host, ".weixin.qq.com")
	return !own && strings.Contains(got.ask.get("User-Agent"), "MicroMessenger")
}

// foundText reports whether the definition expects certain text and the page has it.
func (s *step) foundText(checks []probes.Check) bool {
	found := false
	for i, e := range s.expect {
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
func (s *session) weigh(res *probes.Result, got *reply, p page) {
	st := got.of
	if got.status >= 400 && !st.asks("status") && !(st == s.steps[len(s.steps)-1] && s.uses["status"]) {
		res.Fail(probes.Finding{Class: probes.ClassStatus, Phrase: probes.PhraseStatus, Got: status(got.status)})
	}
	if s.readsJSON(st) {
		s.weighJSON(res, got, p)
	}
	if st.schema != nil && p.jsonErr == nil && !p.html && !got.cut {
		follows(res, st.schema, p.json)
	}
	if st.content != nil && got.status < 400 {
		if changed := st.content.check(got.body, p); changed != nil {
			res.Fail(changed.Finding(""))
		}
	}
	if p.wrong {
		res.Fail(probes.Finding{Class: probes.ClassEncoding, Phrase: probes.PhraseCharset, Want: probes.Excerpt(p.declared), Got: p.guess})
	}
	blame(res, st.expect, st.warn, res.Checks, got.status)
	if len(st.save) > 0 && !over(*res) {
		if missing := s.save(got, p); missing != nil {
			res.Fail(missing.Finding(""))
		}
	}
}

// asks reports whether an expectation speaks of a field.
func (s *step) asks(field string) bool {
	return slices.ContainsFunc(s.expect, func(e *expect.Expr) bool { return slices.Contains(e.Uses(), field) })
}

func status(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

func (s *session) weighJSON(res *probes.Result, got *reply, p page) {
	fail := func(phrase probes.Phrase, want, got string) {
		res.Fail(probes.Finding{Class: probes.ClassContent, Phrase: phrase, Want: want, Got: probes.Excerpt(got)})
	}
	head := p.text[:min(len(p.text), 200)]
	switch {
	case p.html:
		fail(probes.PhraseHTMLNotJSON, "", p.title)
		return
	case got.cut:
		fail(probes.PhraseJSONLong, strconv.FormatInt(s.maxBody, 10), "")
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
	case got.of.business == nil:
		return
	}
	b := got.of.business
	code, found := at(p.json, strings.Split(b.path, "."))
	said := saidBy(p.json, b.path)
	switch {
	case !found:
		res.Fail(probes.Finding{Class: probes.ClassBusinessCode, Phrase: probes.PhraseBusinessMissing, Want: b.path, Got: probes.Excerpt(said)})
	case !slices.Contains(b.ok, plain(code)):
		shown := b.path + " = " + plain(code)
		if said != "" {
			shown += ": " + said
		}
		res.Fail(probes.Finding{Class: probes.ClassBusinessCode, Phrase: probes.PhraseBusiness, Want: strings.Join(b.ok, ", "), Got: probes.Excerpt(shown)})
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

// saidBy is the text beside the code, or at the envelope's top.
func saidBy(v any, path string) string {
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
