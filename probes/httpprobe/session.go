package httpprobe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// session is one pass through a definition's steps: what its requests share.
type session struct {
	*prober
	env    probes.Env
	lane   lane
	roots  *x509.CertPool    // nil means the host's
	certs  []tls.Certificate // that a server may ask for
	values values
	jar    *cookiejar.Jar   // nil until there is a cookie
	hidden []string         // values not to be shown
	redact *probes.Redactor // hides them; nil when there are none
	region region           // of the address that the first request went to
	at     *url.URL         // the address of the last reply
	spent  probes.Timings   // of the steps that are over
}

// errStopped says that the run was called off, which is nobody's failure.
var errStopped = errors.New("the run was stopped before it ended")

// open begins a session. Its errors are this agent's fault.
func (p *prober) open(env probes.Env, secrets map[string]string, l lane) (*session, error) {
	s := &session{prober: p, env: env, lane: l, roots: env.Roots, values: values{secrets: secrets}}
	for _, v := range secrets {
		s.hidden = append(s.hidden, v)
	}
	if len(s.hidden) > 0 {
		s.redact = probes.NewRedactor(s.hidden)
	}
	if p.caFile != "" {
		var err error
		if s.roots, err = withFile(env.Roots, p.caFile); err != nil {
			return nil, err
		}
	}
	if p.cert != nil {
		pair, err := tls.X509KeyPair([]byte(p.cert[0].fill(&s.values, nil)), []byte(p.cert[1].fill(&s.values, nil)))
		if err != nil {
			return nil, fmt.Errorf("reading client_cert: %w", err)
		}
		s.certs = []tls.Certificate{pair}
	}
	return s, nil
}

// hide keeps a value from being shown from now on.
func (s *session) hide(value string) {
	s.hidden = append(s.hidden, value)
	s.redact = probes.NewRedactor(s.hidden)
}

// cookies is the run's jar, made when it is needed; else nil. Without a list of
// public suffixes no site shares a cookie beyond its own domain's hosts.
func (s *session) cookies(needed bool) http.CookieJar {
	if s.jar == nil {
		if !needed {
			return noCookies{}
		}
		s.jar, _ = cookiejar.New(nil) // without options it cannot fail
	}
	return s.jar
}

// noCookies is a jar that nothing was put into.
type noCookies struct{}

func (noCookies) SetCookies(*url.URL, []*http.Cookie) {}
func (noCookies) Cookies(*url.URL) []*http.Cookie     { return nil }

// run goes through the steps until one fails.
func (s *session) run(ctx context.Context) (probes.Result, error) {
	res := probes.Result{Verdict: probes.Up}
	began := time.Now()
	var got *reply
	passed := 0
	for _, st := range s.steps {
		part, reply, err := s.step(ctx, st)
		if err != nil {
			return probes.Result{}, err
		}
		got, res = reply, join(res, part)
		if over(part) {
			break
		}
		passed++
	}
	took := time.Since(began)
	if s.flow {
		s.overall(&res, got)
	}
	res.Steps, res.Passed, res.Timings = len(s.steps), passed, s.spent
	res.Measures["own_ms"] = float64(max(0, took-s.spent.Total).Microseconds()) / 1000
	if over(res) {
		res.Evidence = s.evidence(got.page())
	}
	return s.clean(res), nil
}

// over reports whether a result ends the flow: what follows would only fail for
// the same reason.
func over(r probes.Result) bool { return r.Verdict == probes.Down || r.Verdict == probes.Unknown }

// join adds the next step's part to what the steps before it came to, which did
// not end the flow.
func join(before, part probes.Result) probes.Result {
	if before.Checks == nil && before.Findings == nil {
		return part
	}
	part.Checks = append(before.Checks, part.Checks...)
	if over(part) {
		part.Findings = append(part.Findings, before.Findings...)
		return part
	}
	part.Findings = append(before.Findings, part.Findings...)
	if len(part.Findings) > 0 {
		part.Verdict, part.Class = probes.Degraded, part.Findings[0].Class
	}
	return part
}

// step performs one request with its redirects and judges the reply.
func (s *session) step(ctx context.Context, st *step) (res probes.Result, got *reply, err error) {
	do := func(ctx context.Context) error {
		var failure *probes.Failure
		if got, failure, err = s.exchange(ctx, st); err != nil {
			return err
		}
		res = s.judge(got, failure)
		return nil
	}
	if !s.flow {
		err = do(ctx)
		return res, got, err
	}
	_ = s.env.Record.Step(ctx, st.name, func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		for i := range res.Findings {
			res.Findings[i].Step = st.name
		}
		if !over(res) {
			return nil
		}
		f := res.Findings[0]
		return (&probes.Failure{Class: f.Class, Phrase: f.Phrase, Want: f.Want, Got: f.Got}).Clean(s.redact.Text)
	})
	return res, got, err
}

// overall checks what is expected of a flow as a whole: its last reply, and the
// times of all its steps.
func (s *session) overall(res *probes.Result, got *reply) {
	if len(s.expect)+len(s.warn) == 0 {
		return
	}
	checks := evaluate(s.expect, s.warn, s.seen(got, got.page(), s.spent, s.uses))
	res.Checks = append(res.Checks, checks...)
	if !over(*res) {
		blame(res, s.expect, s.warn, checks, got.status)
	}
}

// withFile adds the certificates of a file to the roots.
func withFile(roots *x509.CertPool, path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading ca_file: %w", err)
	}
	if roots == nil {
		if roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("reading the host's certificates: %w", err)
		}
	}
	roots = roots.Clone()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s holds no PEM certificate", path)
	}
	return roots, nil
}
