package browserprobe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

const (
	maxResources = 50                     // spans
	renderWithin = 5 * time.Second        // a page that is blank while its requests are under way
	paintWithin  = 2 * time.Second        // the browser to report a paint that an expectation asks for
	lookEvery    = 200 * time.Millisecond // meanwhile
	lastWords    = 3 * time.Second        // at most kept of the timeout for the picture
)

// run is one run: the definition with its secrets filled in.
type run struct {
	*prober
	env    probes.Env
	ready  []step // with secrets
	secret []string
	redact *probes.Redactor

	seen   probes.Observation
	asked  string // the address opened last
	passed int
	failed *failure // the step that failed, if one did
}

// failure is what went wrong in a step.
type failure struct {
	probes.Failure
	step string
	op   probes.Op
}

// prepare fills the secrets in. Its errors are this agent's fault.
func (p *prober) prepare(env probes.Env) (*run, error) {
	r := &run{prober: p, env: env}
	for i, s := range p.steps {
		filled := step{name: s.name, op: s.op, actions: slices.Clone(s.actions)}
		for k := range filled.actions {
			if err := r.fill(&filled.actions[k]); err != nil {
				return nil, fmt.Errorf("steps[%d]: %w", i, err)
			}
		}
		r.ready = append(r.ready, filled)
	}
	r.redact = probes.NewRedactor(r.secret)
	return r, nil
}

func (r *run) fill(a *probes.Action) error {
	before := len(r.secret)
	var err error
	if a.Op == probes.OpOpen {
		a.Value, err = r.expandURL(a.Value)
	} else {
		a.Value, err = r.expand(a.Value)
	}
	if err != nil {
		return err
	}
	a.Secret = len(r.secret) > before
	if a.Selector, err = r.expand(a.Selector); err != nil {
		return err
	}
	if part := a.Extra["url"]; part != "" {
		if part, err = r.expand(part); err != nil {
			return err
		}
		a.Extra = map[string]string{"url": part}
	}
	a.Secrets = slices.Clone(r.secret[before:])
	return nil
}

// expand fills secrets in and remembers their values.
func (r *run) expand(s string) (string, error) {
	return probes.Expand(s, func(name string) (string, error) {
		value, err := r.env.Secret(name)
		if err == nil {
			r.secret = append(r.secret, value)
		}
		return value, err
	})
}

// expandURL fills secrets in, each escaped for where it stands.
func (r *run) expandURL(address string) (string, error) {
	escaped := func(s string, escape func(string) string) (string, error) {
		return probes.Expand(s, func(name string) (string, error) {
			value, err := r.expand("${secret:" + name + "}")
			return escape(value), err
		})
	}
	path, query, asked := strings.Cut(address, "?")
	path, err := escaped(path, url.PathEscape)
	if err != nil || !asked {
		return path, err
	}
	query, err = escaped(query, url.QueryEscape)
	return path + "?" + query, err
}

// dressed is the device with what this run adds to every request.
func (r *run) dressed(ctx context.Context) probes.Device {
	d := r.device
	d.UserAgent = strings.TrimSpace(d.UserAgent + " " + r.env.UserAgentSuffix)
	if r.env.Traceparent != nil {
		if tp := r.env.Traceparent(ctx); tp != "" {
			h := maps.Clone(d.Headers)
			if h == nil {
				h = make(map[string]string, 1)
			}
			h["traceparent"] = tp
			d.Headers = h
		}
	}
	return d
}

// walk takes the steps and judges what was seen.
func (r *run) walk(ctx context.Context, page probes.Page) (probes.Result, error) {
	// The steps end a little early, so that a failure can still be looked at.
	steps := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		steps, cancel = context.WithDeadline(ctx, end.Add(-min(lastWords, time.Until(end)/6)))
		defer cancel()
	}
	for _, s := range r.ready {
		err := r.env.Record.Step(steps, s.name, func(ctx context.Context) error { return r.take(ctx, page, s) })
		var f *probes.Failure
		if errors.As(err, &f) {
			r.failed = &failure{Failure: *f, step: s.name, op: s.op}
			break
		}
		if err != nil {
			return probes.Result{}, fmt.Errorf("%s: %w", s.name, err)
		}
		r.passed++
	}
	if err := r.look(ctx, page); err != nil {
		return probes.Result{}, err
	}
	r.resources(ctx)
	res := r.judge()
	if res.Verdict != probes.Up {
		r.picture(ctx, page, &res)
	}
	return r.clean(res), nil
}

// take performs one step. Its error is free of secrets, as it goes into a span.
func (r *run) take(ctx context.Context, page probes.Page, s step) error {
	r.env.Record.Annotate(ctx, probes.Attr{Key: "gengfu.step.op", Value: string(s.op)})
	for _, a := range s.actions {
		if a.Op == probes.OpOpen {
			r.asked = a.Value
		} else {
			a.Timeout = r.patience
		}
		o, err := page.Do(ctx, a)
		r.seen = o
		if a.Op == probes.OpOpen {
			r.navigation(ctx, o)
		}
		var f *probes.Failure
		switch {
		case errors.As(err, &f):
			return f.Clean(func(s string) string { return probes.Excerpt(r.redact.Text(s)) })
		case err != nil:
			return errors.New(r.redact.Text(err.Error()))
		case a.Op == probes.OpOpen && o.Status >= http.StatusBadRequest && !r.asks("status"):
			return &probes.Failure{Class: probes.ClassStatus, Phrase: probes.PhraseStatus, Got: statusText(o.Status)}
		}
	}
	return nil
}

// navigation records the phases of the document that was opened.
func (r *run) navigation(ctx context.Context, o probes.Observation) {
	attrs := []probes.Attr{{Key: "url.full", Value: r.redact.Text(r.address(o))}}
	if o.Status != 0 {
		attrs = append(attrs, probes.Attr{Key: "http.response.status_code", Value: o.Status})
	}
	if o.IP != "" {
		attrs = append(attrs, probes.Attr{Key: "network.peer.address", Value: o.IP})
	}
	r.env.Record.Annotate(ctx, attrs...)
	for _, p := range o.Phases {
		switch {
		case p.Name == "tls" && !o.TLSUntil.IsZero():
			p.Attrs = append(p.Attrs, probes.Attr{Key: "tls.server.not_after", Value: o.TLSUntil.UTC().Format(time.RFC3339)})
		case p.Name == "first_byte" && o.Status != 0:
			p.Attrs = append(p.Attrs, probes.Attr{Key: "http.response.status_code", Value: o.Status})
		}
		r.env.Record.Phase(ctx, p)
	}
}

// address is where the page is, or was to be when it never got anywhere.
func (r *run) address(o probes.Observation) string {
	if o.URL == "" || o.URL == "about:blank" || strings.HasPrefix(o.URL, "chrome-error:") {
		return r.asked
	}
	return o.URL
}

// look sees the page as it finally is. A page that is blank while its own
// requests are under way, and a paint not reported yet, get a little longer.
func (r *run) look(ctx context.Context, page probes.Page) error {
	start := time.Now()
	for {
		o, err := page.Observe(ctx)
		var f *probes.Failure
		if errors.As(err, &f) {
			// The page cannot say more: what the step saw has to do.
			o.Text, o.Blank = "", false
			if r.failed == nil {
				r.failed = &failure{Failure: *f, step: r.ready[len(r.ready)-1].name, op: r.ready[len(r.ready)-1].op}
			}
			r.seen = o
			return nil
		}
		if err != nil {
			return fmt.Errorf("observing the page: %w", err)
		}
		r.seen = o
		waited := time.Since(start)
		rendering := o.Blank && r.failed == nil && waited < renderWithin && slices.ContainsFunc(o.Requests, func(q probes.Request) bool { return q.Pending && q.Own })
		painting := !o.Blank && r.failed == nil && waited < paintWithin && (r.wants("lcp") && o.Measures["lcp_ms"] == 0 || r.wants("fcp") && o.Measures["fcp_ms"] == 0)
		if !rendering && !painting {
			return nil
		}
		t := time.NewTimer(lookEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// resources records the requests of the page as spans: what failed first, then
// the slowest, in the order in which they began.
func (r *run) resources(ctx context.Context) {
	list := slices.Clone(r.seen.Requests)
	if len(list) > maxResources {
		slices.SortStableFunc(list, func(a, b probes.Request) int {
			if fa, fb := broken(a), broken(b); fa != fb {
				if fa {
					return -1
				}
				return 1
			}
			return int(b.Took.Milliseconds() - a.Took.Milliseconds())
		})
		r.env.Record.Annotate(ctx, probes.Attr{Key: "gengfu.resources.dropped", Value: len(list) - maxResources})
		list = list[:maxResources]
		slices.SortStableFunc(list, func(a, b probes.Request) int { return a.Start.Compare(b.Start) })
	}
	for _, q := range list {
		p := probes.Phase{Name: "resource", Start: q.Start, End: q.Start.Add(q.Took), Attrs: []probes.Attr{
			{Key: "url.full", Value: r.redact.Text(short(q.URL))},
			{Key: "gengfu.resource.kind", Value: q.Kind},
			{Key: "gengfu.resource.own", Value: q.Own},
			{Key: "http.response.body.size", Value: q.Bytes},
		}}
		if q.Status != 0 {
			p.Attrs = append(p.Attrs, probes.Attr{Key: "http.response.status_code", Value: q.Status})
		}
		switch {
		case broken(q):
			p.Class, p.Err = probes.ClassResource, resourceFailure(q).Clean(r.redact.Text)
		case q.Pending:
			pending := probes.Failure{Class: probes.ClassTimeout, Phrase: probes.PhrasePending, Want: short(q.URL), Got: probes.Lasted(q.Took)}
			p.Class, p.Err = probes.ClassTimeout, pending.Clean(r.redact.Text)
		}
		r.env.Record.Phase(ctx, p)
	}
}

func broken(q probes.Request) bool { return q.Failed != "" || q.Status >= http.StatusBadRequest }

// short keeps an address readable in a span.
func short(address string) string {
	if len(address) <= 500 {
		return address
	}
	return strings.ToValidUTF8(address[:500], "") + "…"
}

// picture keeps what the page looked like. Without one the findings must do.
func (r *run) picture(ctx context.Context, page probes.Page, res *probes.Result) {
	if r.seen.URL == "" || r.seen.URL == "about:blank" {
		return // there was nothing to see yet
	}
	data, err := page.Screenshot(ctx)
	if err != nil {
		r.env.Record.Annotate(ctx, probes.Attr{Key: "gengfu.screenshot.error", Value: probes.Excerpt(r.redact.Text(err.Error()))})
		return
	}
	res.Evidence = append(res.Evidence, probes.Evidence{Kind: "screenshot", MIME: "image/jpeg", Size: len(data), Data: data})
}
