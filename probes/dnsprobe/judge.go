package dnsprobe

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/reach"
)

// weigh compares a reply with what is due. Its error is the server's failure.
func (r *row) weigh() error {
	server := r.named(r.by)
	fail := func(phrase probes.Phrase, want, got string) error {
		return &probes.Failure{Class: probes.ClassDNS, Phrase: phrase, Want: probes.Excerpt(want), Got: probes.Excerpt(got)}
	}
	if !r.asks("rcode") {
		switch r.reply.rcode {
		case rcodeName(dns.RcodeSuccess):
		case rcodeName(dns.RcodeNameError):
			return fail(probes.PhraseDNSNoName, r.shownName(), server)
		case rcodeName(dns.RcodeServerFailure):
			return fail(probes.PhraseDNSServFail, r.question(), server)
		case rcodeName(dns.RcodeRefused):
			return fail(probes.PhraseDNSRefused, r.question(), server)
		default:
			return fail(probes.PhraseDNSCode, r.question(), server+" "+r.reply.rcode)
		}
		if len(r.reply.answers) == 0 && !r.asks("answers", "count") {
			return fail(probes.PhraseDNSNoRecord, r.question(), server)
		}
	}
	return r.due.weigh(r.reply.answers, fail)
}

// asks reports whether an expectation speaks of one of the fields, so that the
// check made without being asked is left to it.
func (p *prober) asks(fields ...string) bool { return reach.Asks(p.expect, fields...) }

func (d due) weigh(got []string, fail func(probes.Phrase, string, string) error) error {
	if len(d.exact) > 0 && !slices.Equal(d.exact, got) {
		return fail(probes.PhraseDNSExact, list(d.exact), list(got))
	}
	if missing := without(d.contains, got); len(missing) > 0 {
		return fail(probes.PhraseDNSMissing, list(missing), list(got))
	}
	if len(d.oneOf)+len(d.within) == 0 {
		return nil
	}
	outside := slices.DeleteFunc(without(got, d.oneOf), d.inside)
	if len(outside) > 0 || len(got) == 0 {
		return fail(probes.PhraseDNSOutside, list(append(slices.Clone(d.oneOf), prefixes(d.within)...)), list(outside))
	}
	return nil
}

func (d due) inside(answer string) bool {
	addr, err := netip.ParseAddr(answer)
	return err == nil && slices.ContainsFunc(d.within, func(n netip.Prefix) bool { return n.Contains(addr) })
}

func prefixes(nets []netip.Prefix) []string {
	var out []string
	for _, n := range nets {
		out = append(out, n.String())
	}
	return out
}

// without is what of all is not in some.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// list writes answers as a phrase's argument.
func list(answers []string) string {
	if len(answers) == 0 {
		return "-"
	}
	return strings.Join(answers, ", ")
}

// judged is a row with what its reply means.
type judged struct {
	*row
	checks   []probes.Check
	findings []probes.Finding // that make the row bad
	warnings []probes.Finding
}

// judge makes the result of all rows. Its error is about this agent.
func (p *prober) judge(rows []*row) (probes.Result, error) {
	all := make([]judged, 0, len(rows))
	good := 0
	var trouble error
	for _, r := range rows {
		j := r.judge()
		if r.err != nil && !errors.As(r.err, new(*probes.Failure)) {
			trouble = cmp.Or(trouble, r.err)
		}
		if len(j.findings) == 0 && r.err == nil {
			good++
		}
		all = append(all, j)
	}
	res := probes.Result{Verdict: probes.Up, Steps: len(rows), Passed: good, Measures: map[string]float64{}}
	need := p.need
	if trouble != nil && good < need {
		// Where this agent could not ask, the others alone may prove an outage.
		if bad := len(rows) - good; bad-troubled(all) <= len(rows)-need {
			return probes.Result{}, trouble
		}
	}
	blame := res.Fail
	if good >= need {
		blame = res.Degrade
	}
	for _, j := range all {
		for _, f := range j.findings {
			blame(f)
		}
	}
	p.agree(all, &res)
	for _, j := range all {
		for _, f := range j.warnings {
			res.Degrade(f)
		}
	}
	p.sum(all, &res)
	return res, nil
}

func troubled(all []judged) int {
	n := 0
	for _, j := range all {
		if j.err != nil && len(j.findings) == 0 {
			n++
		}
	}
	return n
}

// judge weighs one row.
func (r *row) judge() judged {
	j := judged{row: r}
	step := "query " + r.label
	var f *probes.Failure
	if errors.As(r.err, &f) {
		j.findings = append(j.findings, f.Finding(step))
	}
	failed := r.err != nil
	for _, part := range []struct {
		expected, warned []*expect.Expr
		to               *[]probes.Finding
	}{{r.expect, nil, &j.findings}, {nil, r.warn, &j.warnings}} {
		res := probes.Result{Verdict: probes.Up}
		reach.Weigh(&res, part.expected, part.warned, r.fields(), probes.ClassDNS, failed)
		j.checks = append(j.checks, res.Checks...)
		for _, finding := range res.Findings {
			finding.Step = step
			*part.to = append(*part.to, finding)
		}
	}
	return j
}

// agree compares the answers of the rows that are well with those that most of
// them give, the first of equally many.
func (p *prober) agree(all []judged, res *probes.Result) {
	if !p.compare {
		return
	}
	var well []judged
	for _, j := range all {
		if j.err == nil && len(j.findings) == 0 {
			well = append(well, j)
		}
	}
	var most judged
	votes := 0
	for _, j := range well {
		n := 0
		for _, o := range well {
			if slices.Equal(j.reply.answers, o.reply.answers) {
				n++
			}
		}
		if n > votes {
			most, votes = j, n
		}
	}
	res.Measures["agreed"] = float64(votes)
	blame := res.Fail
	if votes >= p.need {
		blame = res.Degrade
	}
	for _, j := range well {
		if !slices.Equal(j.reply.answers, most.reply.answers) {
			blame(probes.Finding{
				Class: probes.ClassDNS, Step: "query " + j.label, Phrase: probes.PhraseDNSDisagree,
				Want: told(most), Got: told(j),
			})
		}
	}
}

// told is what a server said.
func told(j judged) string { return probes.Excerpt(j.label + " → " + list(j.reply.answers)) }

// sum fills in times, numbers and checks. The times are those of the slowest row
// that answered, as a visitor may be sent to it; of the first row when none did.
func (p *prober) sum(all []judged, res *probes.Result) {
	shown := all[0]
	for _, j := range all {
		if j.err == nil && (shown.err != nil || j.Time.Total > shown.Time.Total) {
			shown = j
		}
		if len(all) > 1 {
			res.Measures["ms "+j.label] = float64(j.Time.Total.Microseconds()) / 1000
		}
		if j.stray > 0 {
			res.Measures["stray"] += float64(j.stray)
		}
		if j.tries > 1 {
			res.Measures["resent"] += float64(j.tries - 1)
		}
	}
	res.Timings, res.TLSUntil = shown.Time, shown.Until
	if shown.IP.IsValid() {
		res.IP = shown.IP.String()
	}
	if r := shown.reply; r != nil {
		res.Measures["answers"] = float64(r.count)
		if r.ttl >= 0 {
			res.Measures["ttl_s"] = float64(r.ttl)
		}
	}
	// Of every expectation the row that fails it is shown, else the one shown above.
	for i := range shown.checks {
		c := shown.checks[i]
		for _, j := range all {
			if j.err == nil && c.OK && !j.checks[i].OK {
				c = j.checks[i]
			}
		}
		res.Checks = append(res.Checks, c)
	}
}
