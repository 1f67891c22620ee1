package reach

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
)

// Times are the fields that speak of how long something took.
var Times = []string{"latency", "dns", "connect", "tls", "upgrade"}

// Weigh evaluates every expectation over values. Where failed is true the run
// already ended with something worse, and they explain but do not count. A
// failed one about times alone is of class latency, one about the certificate
// alone of class tls, any other of class other.
func Weigh(res *probes.Result, expected, warned []*expect.Expr, values map[string]any, other probes.Class, failed bool) {
	weigh := func(e *expect.Expr, warn bool, blame func(probes.Finding)) {
		c := e.Check(values, warn)
		res.Checks = append(res.Checks, c)
		if !c.OK && !failed {
			blame(probes.Finding{Class: classOf(e, other), Phrase: probes.PhraseCheck, Want: probes.Excerpt(c.Expr), Got: c.Saw})
		}
	}
	for _, e := range expected {
		weigh(e, false, res.Fail)
	}
	for _, e := range warned {
		weigh(e, true, res.Degrade)
	}
}

func classOf(e *expect.Expr, other probes.Class) probes.Class {
	uses := e.Uses()
	only := func(names []string) bool {
		return len(uses) > 0 && !slices.ContainsFunc(uses, func(u string) bool { return !slices.Contains(names, u) })
	}
	switch {
	case only(Times):
		return probes.ClassLatency
	case only([]string{"cert"}):
		return probes.ClassTLS
	}
	return other
}

// Secrets asks for every secret before anything is sent, with what hides them.
// Its error is this agent's fault.
func Secrets(env probes.Env, names []string) (map[string]string, *probes.Redactor, error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	values := make(map[string]string, len(names))
	var hidden []string
	for _, name := range names {
		value, err := env.Secret(name)
		if err != nil {
			return nil, nil, fmt.Errorf("expanding ${secret:%s}: %w", name, err)
		}
		values[name] = value
		hidden = append(hidden, value)
	}
	return values, probes.NewRedactor(hidden), nil
}

// Clean takes secrets and people's numbers out of every text of a result.
func Clean(res *probes.Result, redact *probes.Redactor) {
	for i := range res.Findings {
		f := &res.Findings[i]
		f.Want, f.Got = probes.Excerpt(redact.Text(f.Want)), probes.Excerpt(redact.Text(f.Got))
	}
	for i := range res.Checks {
		res.Checks[i].Saw = probes.Excerpt(redact.Text(res.Checks[i].Saw))
	}
}

// maxEvidence bounds a text kept beside a run, in bytes.
const maxEvidence = 4 << 10

// Evidence keeps the head of what a peer said, with people's numbers masked; nil
// where there is nothing to read. Secrets are the caller's to take out before,
// where no half of one can be left.
func Evidence(text string) []probes.Evidence {
	text = (*probes.Redactor)(nil).Text(head(text, maxEvidence))
	if text == "" || slices.Contains([]byte(text), 0) {
		return nil
	}
	return []probes.Evidence{{Kind: "body", MIME: "text/plain; charset=utf-8", Size: len(text), Data: []byte(text)}}
}

// head cuts s to n bytes and makes it valid UTF-8.
func head(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "\uFFFD")
}
