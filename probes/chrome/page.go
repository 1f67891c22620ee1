package chrome

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"golang.org/x/sync/errgroup"

	"github.com/gengfu/gengfu/probes"
)

//go:embed helper.js
var helperJS string

//go:embed page.js
var pageJS string

//go:embed wechat.js
var wechatJS string

// worldName names the isolated world of the helper script.
const worldName = "gengfu"

// page is one page in a browser context of its own. Its methods are for one
// goroutine at a time, as a run has one.
type page struct {
	pool   *Pool
	b      *process
	rec    *recorder
	target *chromedp.Target
	life   context.Context // ends with the page, the browser, or a crash of the renderer
	end    context.CancelCauseFunc
	free   func() // closes the page and disposes of its context
	device probes.Device

	secrets []string // values to be covered in pictures and taken out of texts
	redact  *probes.Redactor

	vitals    vitals // of the first document, as last seen
	closeOnce sync.Once
	closeErr  error
	tended    chan struct{} // closes when tend has ended
}

// vitals are the times of a document, in ms since its navigation began.
type vitals struct {
	TTFB float64 `json:"ttfb"`
	DOM  float64 `json:"dom"`
	Load float64 `json:"load"`
	FCP  float64 `json:"fcp"`
	LCP  float64 `json:"lcp"`
	CLS  float64 `json:"cls"`
}

var errCrashed = errors.New("the page's renderer process crashed")

// newPage opens a page in b. The caller holds one use of b and one slot, which
// Close gives back.
func newPage(ctx context.Context, p *Pool, b *process, d probes.Device) (*page, error) {
	rec := newRecorder()
	tctx, freePage := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(rec.listen))
	free := sync.OnceFunc(freePage)

	octx, cancel := context.WithTimeoutCause(ctx, openWithin, fmt.Errorf("no page within %s", openWithin))
	defer cancel()
	// The page lives as long as the context of its first call, so octx may end
	// that call only by ending the page.
	abandon := context.AfterFunc(octx, free)
	err := chromedp.Do(tctx)
	if !abandon() || err != nil {
		free()
		if octx.Err() != nil {
			err = context.Cause(octx)
		}
		return nil, fmt.Errorf("making a browser context: %w", err)
	}
	c := chromedp.FromContext(tctx)
	pg := &page{pool: p, b: b, rec: rec, target: c.Target, free: free, device: d, tended: make(chan struct{})}
	pg.life, pg.end = context.WithCancelCause(tctx)
	rec.mu.Lock()
	rec.frame = cdp.FrameID(c.Target.TargetID)
	rec.mu.Unlock()
	go pg.tend()
	if err := pg.setup(octx, c.BrowserContextID); err != nil {
		pg.end(err)
		<-pg.tended
		free()
		return nil, fmt.Errorf("setting up the page: %w", err)
	}
	return pg, nil
}

// setup makes the page the device. The calls are independent, so they travel together.
func (p *page) setup(ctx context.Context, id cdp.BrowserContextID) error {
	d := p.device
	g, ctx := errgroup.WithContext(ctx)
	call(ctx, g, p.target, emulation.SetUserAgentOverride, userAgent(d))
	if d.Width > 0 && d.Height > 0 {
		call(ctx, g, p.target, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: int64(d.Width), Height: int64(d.Height), DeviceScaleFactor: d.Scale, Mobile: d.Mobile,
			ScreenWidth: int64(d.Width), ScreenHeight: int64(d.Height),
		})
	}
	if d.Touch {
		call(ctx, g, p.target, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true, MaxTouchPoints: 5})
	}
	if d.TimeZone != "" {
		call(ctx, g, p.target, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: d.TimeZone})
	}
	if d.Language != "" {
		call(ctx, g, p.target, emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: d.Language})
	}
	if len(d.Headers) > 0 {
		h := make(network.Headers, len(d.Headers))
		for k, v := range d.Headers {
			h[k] = v
		}
		call(ctx, g, p.target, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: h})
	}
	call(ctx, g, p.b.session, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorDeny, BrowserContextID: id,
	})
	scripts := []string{pageJS}
	if d.Wechat {
		scripts = append(scripts, wechatJS)
	}
	for _, s := range append(scripts, d.Scripts...) {
		call(ctx, g, p.target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: s})
	}
	call(ctx, g, p.target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: helperJS, WorldName: worldName, RunImmediately: new(true),
	})
	// chromedp mirrors every document's tree; nothing here needs it, and a page
	// that floods it with changes could block the reading of events.
	call(ctx, g, p.target, css.Disable, cdp.Empty{})
	call(ctx, g, p.target, dom.Disable, cdp.Empty{})
	return g.Wait()
}

// call adds one command to g.
func call[P, R any](ctx context.Context, g *errgroup.Group, s cdp.Session, cmd cdp.Command[P, R], params P) {
	g.Go(func() error {
		if _, err := cdp.Call(ctx, s, cmd, params); err != nil {
			return fmt.Errorf("%s: %w", cmd.Method, err)
		}
		return nil
	})
}

func userAgent(d probes.Device) emulation.SetUserAgentOverrideParams {
	p := emulation.SetUserAgentOverrideParams{UserAgent: d.UserAgent, Platform: d.Platform}
	if d.Language != "" {
		p.AcceptLanguage = d.Language
		if base, _, ok := strings.Cut(d.Language, "-"); ok {
			p.AcceptLanguage += "," + base
		}
	}
	if len(d.ClientHints) == 0 {
		return p
	}
	m := &emulation.UserAgentMetadata{Mobile: d.Mobile, Platform: "Linux", Architecture: "x86", Bitness: "64"}
	switch {
	case strings.Contains(d.UserAgent, "Android"):
		m.Platform, m.PlatformVersion, m.Architecture, m.Bitness = "Android", "14.0.0", "", ""
	case strings.Contains(d.UserAgent, "Windows"):
		m.Platform, m.PlatformVersion = "Windows", "15.0.0"
	}
	for _, b := range d.ClientHints {
		full := b.Version
		if !strings.Contains(full, ".") {
			full += ".0.0.0"
		}
		major, _, _ := strings.Cut(b.Version, ".")
		m.Brands = append(m.Brands, &emulation.UserAgentBrandVersion{Brand: b.Name, Version: major})
		m.FullVersionList = append(m.FullVersionList, &emulation.UserAgentBrandVersion{Brand: b.Name, Version: full})
	}
	p.UserAgentMetadata = m
	return p
}

// tend dismisses the dialogs that would block the page until somebody clicks,
// and ends the page when its renderer crashes.
func (p *page) tend() {
	defer close(p.tended)
	var ending errgroup.Group
	ending.SetLimit(1)
	defer func() { _ = ending.Wait() }() // ends with the page; a script that ended by itself is fine
	for {
		select {
		case <-p.life.Done():
			return
		case <-p.rec.crashed:
			p.end(errCrashed) // no call would ever be answered
			return
		case accept := <-p.rec.ask:
			ctx, cancel := context.WithTimeout(p.life, openWithin)
			if p.rec.stormy() {
				// A script that asks without end never lets the page answer anything
				// else. The call is heard between two dialogs, so it must not be waited for.
				ending.TryGo(func() error {
					_, err := cdp.Call(p.life, p.target, runtime.TerminateExecution, cdp.Empty{})
					return err
				})
			}
			// An error means that the dialog is gone, or the page is.
			_, _ = cdp.Call(ctx, p.target, cdppage.HandleJavaScriptDialog, cdppage.HandleJavaScriptDialogParams{Accept: accept})
			cancel()
		}
	}
}

// within derives a context that also ends with the page, and says why.
func (p *page) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.life, func() { cancel(fmt.Errorf("the page is gone: %w", context.Cause(p.life))) })
	return ctx, func() { stop(); cancel(nil) }
}

// errNoWorld says that the document went away under the helper.
var errNoWorld = errors.New("the document was replaced")

// helper evaluates an expression of the helper script into out. It returns
// errNoWorld when a navigation got in between: the caller asks again.
func (p *page) helper(ctx context.Context, out any, fn string, args ...any) error {
	world, err := p.world(ctx)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("gengfu." + fn + "(")
	for i, a := range args {
		if i > 0 {
			b.WriteByte(',')
		}
		j, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("encoding for the page: %w", err)
		}
		b.Write(j)
	}
	b.WriteString(")")
	res, err := cdp.Call(ctx, p.target, runtime.Evaluate, runtime.EvaluateParams{
		Expression: b.String(), UniqueContextID: world, Silent: new(true),
		ReturnByValue: new(true), AwaitPromise: new(true),
	})
	if err != nil {
		if ctx.Err() == nil && replaced(err) {
			p.rec.mu.Lock()
			if p.rec.world == world {
				p.rec.world = ""
			}
			p.rec.mu.Unlock()
			return errNoWorld
		}
		return err
	}
	if x := res.ExceptionDetails; x != nil {
		return &scriptError{text: thrown(x)}
	}
	if out == nil || len(res.Result.Value) == 0 {
		return nil
	}
	if err := json.Unmarshal(res.Result.Value, out); err != nil {
		return fmt.Errorf("reading the page's answer: %w", err)
	}
	return nil
}

// scriptError is an exception of the helper, e.g. a selector that is none.
type scriptError struct{ text string }

func (e *scriptError) Error() string { return e.text }

func thrown(x *runtime.ExceptionDetails) string {
	if x.Exception != nil && x.Exception.Description != "" {
		first, _, _ := strings.Cut(x.Exception.Description, "\n")
		return first
	}
	if x.Exception != nil && len(x.Exception.Value) > 0 {
		return x.Text + " " + plain(x.Exception.Value)
	}
	return x.Text
}

// plain is a JSON value as people read it: the browser escapes whatever is not
// ASCII, which would also hide secrets from redaction.
func plain(v []byte) string {
	var x any
	if err := json.Unmarshal(v, &x); err != nil {
		return string(v)
	}
	if s, ok := x.(string); ok {
		return s
	}
	return compact(x)
}

// compact encodes x as JSON without escapes.
func compact(x any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(x); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// replaced recognises the browser's words for a context that is no more.
func replaced(err error) bool {
	s := err.Error()
	for _, part := range []string{
		"uniqueContextId not found", "Cannot find context", "Execution context was destroyed",
		"navigated or closed", "Promise was collected", "Cannot find execution context",
	} {
		if strings.Contains(s, part) && !errors.Is(err, chromedp.ErrTargetDetached) {
			return true
		}
	}
	return false
}

// world waits for the helper's world in the current document.
func (p *page) world(ctx context.Context) (string, error) {
	for {
		p.rec.mu.Lock()
		world, wake := p.rec.world, p.rec.wake
		p.rec.mu.Unlock()
		if world != "" {
			return world, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// Observe says what the page has seen and done so far.
func (p *page) Observe(ctx context.Context) (probes.Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, observeWithin)
	defer cancel()
	ctx, end := p.within(ctx)
	defer end()
	o, err := p.look(ctx, true)
	o.Requests = p.rec.copies()
	if err != nil {
		return o, p.blame(ctx, err, "observing the page")
	}
	return o, nil
}

// look asks the page for its address, title and times; full adds what it shows.
func (p *page) look(ctx context.Context, full bool) (probes.Observation, error) {
	o := probes.Observation{Measures: make(map[string]float64)}
	var r struct {
		vitals
		URL     string   `json:"url"`
		Title   string   `json:"title"`
		Charset string   `json:"charset"`
		Text    string   `json:"text"`
		Blank   bool     `json:"blank"`
		Bridge  []string `json:"bridge"`
	}
	var err error
	p.rec.mu.Lock()
	shown := p.rec.shown != nil
	p.rec.mu.Unlock()
	for range 5 { // a page that keeps replacing itself is seen as it last was
		if !shown {
			break // nothing is there yet that could be asked
		}
		if err = p.helper(ctx, &r, "look", full); !errors.Is(err, errNoWorld) {
			break
		}
	}
	p.rec.mu.Lock()
	first := p.rec.cur == nil || p.rec.cur == p.rec.first
	begun := time.Duration(0)
	if p.rec.first != nil {
		begun = time.Since(p.rec.at(p.rec.first.start))
	}
	p.rec.mu.Unlock()
	if err == nil && shown {
		o.URL, o.Title, o.Charset, o.Text, o.Blank, o.Bridge = withoutUser(r.URL), r.Title, r.Charset, r.Text, r.Blank, r.Bridge
		if first && !strings.HasPrefix(r.URL, "chrome-error:") && r.URL != "about:blank" {
			p.vitals = r.vitals
		}
	}
	p.rec.fill(&o)
	v := p.vitals
	for name, ms := range map[string]float64{"ttfb_ms": v.TTFB, "dom_ms": v.DOM, "load_ms": v.Load, "fcp_ms": v.FCP, "lcp_ms": v.LCP} {
		if ms > 0 {
			o.Measures[name] = ms
		}
	}
	if v.TTFB > 0 {
		o.Measures["cls"] = v.CLS
	}
	switch { // what a user waited: until the page was there, or until now
	case v.Load > 0:
		o.Timings.Total = seconds(v.Load / 1000)
	default:
		o.Timings.Total = max(begun, 0)
	}
	return o, err
}

// Close closes the page and disposes of its context, within a bound.
func (p *page) Close() error {
	p.closeOnce.Do(func() {
		defer p.pool.returned(p.b)
		p.end(errors.New("the page was closed"))
		<-p.tended
		freed := make(chan struct{})
		go func() { // chromedp bounds its own closing calls
			defer close(freed)
			p.free()
		}()
		select {
		case <-freed:
		case <-time.After(closeWithin):
			p.closeErr = errors.New("the browser does not close a page; it is replaced")
			p.pool.checkup(p.b)
			p.b.stop()
			<-freed // nothing holds it once the browser's connection is gone
		}
	})
	return p.closeErr
}
