package runner

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// cleaner hides secrets: those known from the start and those that the run asks for.
type cleaner struct {
	redactor atomic.Pointer[probes.Redactor]

	mu     sync.Mutex // protects values
	values []string
}

func newCleaner(known *mask) *cleaner {
	c := &cleaner{values: known.values}
	c.redactor.Store(known.redactor)
	return c
}

// mask is the values known from the start, with what hides them. Whoever adds one
// makes another.
type mask struct {
	values   []string
	redactor *probes.Redactor
	asked    time.Time
}

// maskFor is how long the values known are taken for known: asking costs a walk
// through the environment and a folder. One that is new within it is hidden all
// the same in the runs that use it.
const maskFor = time.Second

// mask is that of the values known now. They seldom change and are costly to
// prepare, so the last one is kept.
func (r *Runner) mask(now time.Time) *mask {
	last := r.last.Load()
	if last != nil && now.Sub(last.asked) < maskFor && !now.Before(last.asked) {
		return last
	}
	values := r.o.Secrets()
	m := &mask{values: slices.Clip(slices.Clone(values)), asked: now}
	if last != nil && slices.Equal(last.values, values) {
		m.redactor = last.redactor
	} else {
		m.redactor = probes.NewRedactor(values)
	}
	r.last.Store(m)
	return m
}

// hide adds a value from now on.
func (c *cleaner) hide(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values = append(c.values, value)
	c.redactor.Store(probes.NewRedactor(c.values))
}

func (c *cleaner) text(s string) string { return c.redactor.Load().Text(s) }

// result hides secrets in every string of res, whose slices and measures it changes.
func (c *cleaner) result(res probes.Result) probes.Result {
	res.Class = probes.Class(c.text(string(res.Class)))
	for i := range res.Findings {
		f := &res.Findings[i]
		f.Step, f.Want, f.Got = c.text(f.Step), c.text(f.Want), c.text(f.Got)
	}
	for i := range res.Checks {
		res.Checks[i].Expr, res.Checks[i].Saw = c.text(res.Checks[i].Expr), c.text(res.Checks[i].Saw)
	}
	res.URL, res.Title, res.IP = c.text(withoutUser(res.URL)), c.text(res.Title), c.text(res.IP)
	for i := range res.Parts {
		p := &res.Parts[i]
		p.Name, p.IP = c.text(p.Name), c.text(p.IP)
	}
	for name, v := range res.Measures {
		if clean := c.text(name); clean != name {
			delete(res.Measures, name)
			res.Measures[clean] = v
		}
	}
	for i := range res.Evidence {
		if e := &res.Evidence[i]; len(e.Data) <= maxPiece && isText(e.MIME) {
			e.Data = []byte(c.text(string(e.Data)))
		}
	}
	return res
}

func isText(mime string) bool {
	return strings.HasPrefix(mime, "text/") || strings.Contains(mime, "json") || strings.Contains(mime, "xml")
}

func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

// err is error e as a trace may hold it.
func (c *cleaner) err(e error) error {
	if e == nil {
		return nil
	}
	var f *probes.Failure
	if errors.As(e, &f) {
		return f.Clean(c.text)
	}
	text := e.Error()
	clean := c.text(text)
	if clean == text {
		return e
	}
	return redacted{clean, e}
}

// redacted is an error with another text: its class is still to be told.
type redacted struct {
	text string
	of   error
}

func (r redacted) Error() string { return r.text }
func (r redacted) Unwrap() error { return r.of }

// attrs is attrs as a trace may hold them: the same where nothing is to be hidden.
func (c *cleaner) attrs(attrs []probes.Attr) []probes.Attr {
	own := false
	for i, a := range attrs {
		var value any
		switch v := a.Value.(type) {
		case string:
			clean := c.text(v)
			if clean == v {
				continue
			}
			value = clean
		case []string:
			texts := make([]string, len(v))
			for j, s := range v {
				texts[j] = c.text(s)
			}
			if slices.Equal(texts, v) {
				continue
			}
			value = texts
		default:
			continue
		}
		if !own {
			attrs, own = slices.Clone(attrs), true
		}
		attrs[i].Value = value
	}
	return attrs
}

// recorder stands between a prober and its trace: it hides secrets, and after
// the run's end it keeps a straggler from writing on.
type recorder struct {
	to    Trace
	clean *cleaner

	mu     sync.RWMutex // held for reading while the trace is written to
	closed bool
}

func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// write calls f unless the run is over, and says whether it did.
func (r *recorder) write(f func()) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return false
	}
	f()
	return true
}

func (r *recorder) over() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.closed
}

// Step gives the trace a redacted error, and the prober its own.
func (r *recorder) Step(ctx context.Context, name string, do func(ctx context.Context) error) error {
	if r.over() {
		return do(ctx)
	}
	var own error
	ran := false
	err := r.to.Step(ctx, r.clean.text(name), func(ctx context.Context) error {
		ran = true
		own = do(ctx)
		return r.clean.err(own)
	})
	if ran {
		return own
	}
	return err
}

func (r *recorder) Phase(ctx context.Context, p probes.Phase) {
	p.Name, p.Err, p.Attrs = r.clean.text(p.Name), r.clean.err(p.Err), r.clean.attrs(p.Attrs)
	r.write(func() { r.to.Phase(ctx, p) })
}

func (r *recorder) Annotate(ctx context.Context, attrs ...probes.Attr) {
	attrs = r.clean.attrs(attrs)
	r.write(func() { r.to.Annotate(ctx, attrs...) })
}
