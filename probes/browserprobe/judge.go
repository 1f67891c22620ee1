package browserprobe

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/pagerules"
)

const (
	maxTitle    = 200             // bytes
	nearlyBlank = 20              // runes of text that a page which never came alive still shows
	stuckFor    = 3 * time.Second // an own request without an end: what a step waited for in vain
	maxNamed    = 5               // failed resources named in findings
)

// judge makes the result. What explains most comes first, a step's own finding
// after it.
func (r *run) judge() probes.Result {
	o := r.seen
	res := probes.Result{
		Verdict: probes.Up, Timings: o.Timings, Status: o.Status, URL: r.address(o), IP: o.IP, TLSUntil: o.TLSUntil,
		Steps: len(r.ready), Passed: r.passed, Title: o.Title, Measures: o.Measures,
	}
	values := r.values(o)
	for _, e := range r.expect {
		res.Checks = append(res.Checks, e.Check(values, false))
	}
	for _, e := range r.warn {
		res.Checks = append(res.Checks, e.Check(values, true))
	}
	there := o.Status != 0 && !strings.HasPrefix(o.URL, "chrome-error:")
	if there && r.doubt(&res, o) {
		return res
	}
	if there {
		r.explain(&res, o)
	}
	if f := r.failed; f != nil {
		if !slices.ContainsFunc(res.Findings, func(g probes.Finding) bool { return g.Class == f.Class && g.Got == f.Got }) {
			res.Fail(probes.Finding{Class: f.Class, Step: f.step, Want: f.Want, Got: f.Got})
		}
	} else {
		// Expectations are about the journey's end, which a failed step never saw.
		r.weigh(&res)
	}
	r.blemishes(&res, o)
	return res
}

// doubt applies the page rules. It reports true when a firewall or a client
// check kept the probe out, which says nothing about the service.
func (r *run) doubt(res *probes.Result, o probes.Observation) bool {
	if !r.rules {
		return false
	}
	seen := pagerules.Page{Status: o.Status, Title: o.Title, Text: o.Text, Header: headers(o.Header), URL: o.URL, Expected: r.sawText()}
	rule, ok := pagerules.Match(seen, r.rulesOff...)
	if !ok {
		return false
	}
	verdict := rule.Verdict
	if rule.Class == probes.ClassWechatOnly && r.device.Wechat && !wechatsOwn(hostOf(o.URL)) {
		// It came as WeChat does and was turned away, as the public would be.
		verdict = probes.Down
	}
	if verdict == probes.Down {
		res.Fail(rule.Finding(seen))
		return false
	}
	res.Verdict, res.Class = verdict, rule.Class
	res.Findings = []probes.Finding{rule.Finding(seen)}
	if f := r.failed; f != nil {
		res.Findings = append(res.Findings, probes.Finding{Class: f.Class, Step: f.step, Want: f.Want, Got: f.Got})
	}
	return true
}

func headers(h map[string]string) map[string][]string {
	out := make(map[string][]string, len(h))
	for k, v := range h {
		out[k] = []string{v}
	}
	return out
}

// wechatsOwn reports whether host is WeChat's, which always sends machines away.
func wechatsOwn(host string) bool {
	return host == "weixin.qq.com" || strings.HasSuffix(host, ".weixin.qq.com")
}

// sawText reports whether every text that the definition wants to see was seen.
func (r *run) sawText() bool {
	return r.failed == nil && slices.ContainsFunc(r.ready, func(s step) bool { return s.op == probes.OpSee })
}

// explain adds what is wrong with the page as a whole.
func (r *run) explain(res *probes.Result, o probes.Observation) {
	failed := r.failed != nil
	if o.Status >= http.StatusBadRequest && !r.asks("status") {
		step := ""
		if failed {
			step = r.failed.step
		}
		res.Fail(probes.Finding{Class: probes.ClassStatus, Step: step, Want: "a status below 400", Got: statusText(o.Status)})
	}
	if said := garbled(o, failed); said != "" {
		res.Fail(probes.Finding{Class: probes.ClassEncoding, Want: "readable text", Got: said})
	}
	errs := int(o.Measures["script_errors"])
	switch few := utf8.RuneCountInString(strings.Join(strings.Fields(o.Text), "")) < nearlyBlank; {
	case errs > 0 && (o.Blank || failed && few):
		res.Fail(probes.Finding{Class: probes.ClassScriptError, Want: "a page", Got: probes.Excerpt("a blank page after " + first(o.ScriptErrors))})
	case o.Blank:
		res.Fail(probes.Finding{Class: probes.ClassBlankPage, Want: "a page", Got: "nothing to be seen"})
	}
	if failed && r.failed.Class == probes.ClassStep {
		for _, q := range o.Requests {
			if q.Pending && q.Own && q.Took >= min(stuckFor, r.patience/2) && (q.Kind == "xhr" || q.Kind == "fetch" || q.Kind == "script" || q.Kind == "document") {
				res.Fail(probes.Finding{Class: probes.ClassTimeout, Step: r.failed.step, Want: "an answer to " + short(q.URL), Got: "none within " + q.Took.Round(100*time.Millisecond).String()})
				break
			}
		}
	}
}

// garbled says how a page is unreadable because of its charset, or nothing.
func garbled(o probes.Observation, failed bool) string {
	bad, latin, all := 0, 0, 0
	for _, c := range o.Title + o.Text {
		switch {
		case unicode.IsSpace(c):
			continue
		case c == utf8.RuneError:
			bad++
		case c >= 0xC0 && c <= 0xFF:
			latin++
		}
		all++
	}
	if bad >= 8 && bad*20 >= all {
		return fmt.Sprintf("%d unreadable characters of %d, read as %s", bad, all, o.Charset)
	}
	// Chinese bytes read as Western letters are readable, yet no text.
	if failed && strings.EqualFold(o.Charset, "windows-1252") && latin >= 20 && latin*5 >= all {
		return fmt.Sprintf("%d accented letters of %d characters, read as %s", latin, all, o.Charset)
	}
	return ""
}

// weigh adds the expectations that failed.
func (r *run) weigh(res *probes.Result) {
	for i, e := range r.expect {
		if c := res.Checks[i]; !c.OK {
			res.Fail(probes.Finding{Class: classOfCheck(e), Want: c.Expr, Got: c.Saw})
		}
	}
	for i, e := range r.warn {
		if c := res.Checks[len(r.expect)+i]; !c.OK {
			res.Degrade(probes.Finding{Class: classOfCheck(e), Want: c.Expr, Got: c.Saw})
		}
	}
}

// blemishes adds what the public may not notice, or what helps to see why.
func (r *run) blemishes(res *probes.Result, o probes.Observation) {
	has := func(c probes.Class) bool {
		return slices.ContainsFunc(res.Findings, func(f probes.Finding) bool { return f.Class == c })
	}
	if n := int(o.Measures["script_errors"]); n > 0 && !has(probes.ClassScriptError) {
		res.Degrade(probes.Finding{Class: probes.ClassScriptError, Want: "no uncaught script error", Got: probes.Excerpt(fmt.Sprintf("%d, first %s", n, first(o.ScriptErrors)))})
	}
	named := 0
	for _, q := range o.Requests {
		if !q.Own || !matters(q) || named == maxNamed {
			continue
		}
		named++
		got := q.Failed
		if got == "" {
			got = statusText(q.Status)
		}
		res.Degrade(probes.Finding{Class: probes.ClassResource, Want: short(q.URL), Got: got})
	}
}

// matters reports whether a failed request takes something from the page. A
// page may ask its interfaces for what need not exist; a broken one is another matter.
func matters(q probes.Request) bool {
	switch q.Kind {
	case "document", "ping", "preflight", "websocket", "eventsource", "manifest", "cspviolationreport":
		return false
	case "xhr", "fetch":
		return q.Failed != "" || q.Status >= http.StatusInternalServerError
	}
	return broken(q)
}

func first(errs []string) string {
	if len(errs) == 0 {
		return "a script error"
	}
	return errs[0]
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", code, http.StatusText(code)))
}

// asks reports whether an expectation speaks of a field.
func (r *run) asks(field string) bool {
	return slices.ContainsFunc(r.expect, func(e *expect.Expr) bool { return slices.Contains(e.Uses(), field) })
}

// wants reports whether an expectation or a warning speaks of a field.
func (r *run) wants(field string) bool {
	return r.asks(field) || slices.ContainsFunc(r.warn, func(e *expect.Expr) bool { return slices.Contains(e.Uses(), field) })
}

// classOfCheck is the failure class of an expectation, by what it speaks of.
func classOfCheck(e *expect.Expr) probes.Class {
	uses := e.Uses()
	only := func(names ...string) bool {
		return len(uses) > 0 && !slices.ContainsFunc(uses, func(u string) bool { return !slices.Contains(names, u) })
	}
	switch {
	case slices.Contains(uses, "script_errors"):
		return probes.ClassScriptError
	case slices.Contains(uses, "status"):
		return probes.ClassStatus
	case only("latency", "ttfb", "fcp", "lcp", "load"):
		return probes.ClassLatency
	case only("failed_requests"):
		return probes.ClassResource
	case only("cert"):
		return probes.ClassTLS
	case only("charset"):
		return probes.ClassEncoding
	case only("url"):
		return probes.ClassRedirect
	}
	return probes.ClassContent
}

// values are what the expectations see. A field that is not known is missing.
func (r *run) values(o probes.Observation) map[string]any {
	v := map[string]any{
		"latency": o.Timings.Total, "url": r.redact.Secrets(r.address(o)),
		"title": r.redact.Secrets(o.Title), "text": r.redact.Secrets(o.Text),
	}
	for field, name := range map[string]string{"ttfb": "ttfb_ms", "fcp": "fcp_ms", "lcp": "lcp_ms", "load": "load_ms"} {
		if ms, ok := o.Measures[name]; ok {
			v[field] = time.Duration(ms * float64(time.Millisecond))
		}
	}
	for _, name := range []string{"script_errors", "console_errors", "failed_requests", "requests", "bytes", "dialogs"} {
		if n, ok := o.Measures[name]; ok {
			v[name] = int(n)
		}
	}
	if cls, ok := o.Measures["cls"]; ok {
		v["cls"] = cls
	}
	if o.Status != 0 {
		v["status"] = o.Status
	}
	if o.IP != "" {
		v["ip"] = o.IP
	}
	if o.Charset != "" {
		v["charset"] = o.Charset
	}
	if !o.TLSUntil.IsZero() {
		v["cert"] = map[string]any{"days_left": time.Until(o.TLSUntil).Hours() / 24}
	}
	return v
}

// clean takes secrets and people's numbers out of every text of a result.
func (r *run) clean(res probes.Result) probes.Result {
	res.URL = r.redact.Text(res.URL)
	res.Title = r.redact.Text(res.Title)
	if len(res.Title) > maxTitle {
		res.Title = strings.ToValidUTF8(res.Title[:maxTitle-len("…")], "") + "…"
	}
	for i := range res.Findings {
		f := &res.Findings[i]
		f.Want, f.Got = r.redact.Text(f.Want), probes.Excerpt(r.redact.Text(f.Got))
	}
	for i := range res.Checks {
		res.Checks[i].Saw = probes.Excerpt(r.redact.Text(res.Checks[i].Saw))
	}
	return res
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
