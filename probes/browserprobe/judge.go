package browserprobe

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
		if !slices.ContainsFunc(res.Findings, func(g probes.Finding) bool { return g.Phrase == f.Phrase && g.Got == f.Got }) {
			res.Fail(f.Finding(f.step))
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
	seen := pagerules.Page{Status: o.Status, Title: o.Title, Text: o.Text, Header: headers(o.Header), URL: o.URL, Asked: r.meant(), Expected: r.sawText()}
	rule, ok := pagerules.MatchOwn(seen, r.own, r.rulesOff...)
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
		res.Findings = append(res.Findings, f.Finding(f.step))
	}
	return true
}

// meant is the address that the page should be at: the one opened last, unless
// the journey went on from there or an expectation says where it ends.
func (r *run) meant() string {
	if r.asks("url") || r.asks("title") {
		return ""
	}
	for _, s := range slices.Backward(r.ready) {
		switch s.op {
		case probes.OpOpen:
			return r.asked
		case probes.OpSee, probes.OpNotSee:
		default:
			return ""
		}
	}
	return ""
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
		res.Fail(probes.Finding{Class: probes.ClassStatus, Step: step, Phrase: probes.PhraseStatus, Got: statusText(o.Status)})
	}
	if share := garbled(o, failed); share != "" {
		res.Fail(probes.Finding{Class: probes.ClassEncoding, Phrase: probes.PhraseGarbled, Want: o.Charset, Got: share})
	}
	errs := int(o.Measures["script_errors"])
	switch few := utf8.RuneCountInString(strings.Join(strings.Fields(o.Text), "")) < nearlyBlank; {
	case errs > 0 && (o.Blank || failed && few):
		res.Fail(probes.Finding{Class: probes.ClassScriptError, Phrase: probes.PhraseBlankAfterError, Got: first(o.ScriptErrors)})
	case o.Blank:
		res.Fail(probes.Finding{Class: probes.ClassBlankPage, Phrase: probes.PhraseBlank})
	}
	if failed && r.failed.Class == probes.ClassStep {
		for _, q := range o.Requests {
			if q.Pending && q.Own && q.Took >= min(stuckFor, r.patience/2) && (q.Kind == "xhr" || q.Kind == "fetch" || q.Kind == "script" || q.Kind == "document") {
				res.Fail(probes.Finding{Class: probes.ClassTimeout, Step: r.failed.step, Phrase: probes.PhrasePending, Want: short(q.URL), Got: probes.Lasted(q.Took)})
				break
			}
		}
	}
}

// garbled says how many of a page's characters are unreadable because of its
// charset, as "unreadable/all", or nothing.
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
		return fmt.Sprintf("%d/%d", bad, all)
	}
	// Chinese bytes read as Western letters are readable, yet no text.
	if failed && strings.EqualFold(o.Charset, "windows-1252") && latin >= 20 && latin*5 >= all {
		return fmt.Sprintf("%d/%d", latin, all)
	}
	return ""
}

// weigh adds the expectations that failed.
func (r *run) weigh(res *probes.Result) {
	for i, e := range r.expect {
		if c := res.Checks[i]; !c.OK {
			res.Fail(failedCheck(e, c, res.Status))
		}
	}
	for i, e := range r.warn {
		if c := res.Checks[len(r.expect)+i]; !c.OK {
			res.Degrade(failedCheck(e, c, res.Status))
		}
	}
}

// blemishes adds what the public may not notice, or what helps to see why.
func (r *run) blemishes(res *probes.Result, o probes.Observation) {
	has := func(c probes.Class) bool {
		return slices.ContainsFunc(res.Findings, func(f probes.Finding) bool { return f.Class == c })
	}
	if n := int(o.Measures["script_errors"]); n > 0 && !has(probes.ClassScriptError) {
		res.Degrade(probes.Finding{Class: probes.ClassScriptError, Phrase: probes.PhraseScriptErrors, Got: first(o.ScriptErrors)})
	}
	named := 0
	for _, q := range o.Requests {
		if !q.Own || !matters(q) || named == maxNamed {
			continue
		}
		named++
		res.Degrade(resourceFailure(q).Finding(""))
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

// first is the first of a page's script errors; the browser may have counted
// one without telling its text.
func first(errs []string) string {
	if len(errs) == 0 {
		return "?"
	}
	return errs[0]
}

func statusText(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// resourceFailure says how a request that broke did so.
func resourceFailure(q probes.Request) *probes.Failure {
	return &probes.Failure{
		Class: probes.ClassResource, Phrase: probes.PhraseResource,
		Want: short(q.URL), Got: cmp.Or(strings.TrimPrefix(q.Failed, "net::"), statusText(q.Status)),
	}
}

// asks reports whether an expectation speaks of a field.
func (r *run) asks(field string) bool {
	return slices.ContainsFunc(r.expect, func(e *expect.Expr) bool { return slices.Contains(e.Uses(), field) })
}

// wants reports whether an expectation or a warning speaks of a field.
func (r *run) wants(field string) bool {
	return r.asks(field) || slices.ContainsFunc(r.warn, func(e *expect.Expr) bool { return slices.Contains(e.Uses(), field) })
}

// failedCheck says that an expectation failed; one about the status alone by the
// status.
func failedCheck(e *expect.Expr, c probes.Check, status int) probes.Finding {
	f := probes.Finding{Class: classOfCheck(e), Phrase: probes.PhraseCheck, Want: probes.Excerpt(c.Expr), Got: c.Saw}
	if status != 0 && slices.Equal(e.Uses(), []string{"status"}) {
		f.Phrase, f.Got = probes.PhraseStatus, statusText(status)
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
		f.Want, f.Got = probes.Excerpt(r.redact.Text(f.Want)), probes.Excerpt(r.redact.Text(f.Got))
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
