package chrome

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp/kb"

	"github.com/gengfu/gengfu/probes"
)

const (
	loadWithin    = 10 * time.Second       // a document that is ready but does not finish loading
	quietFor      = 300 * time.Millisecond // nothing on its way for so long: the page has settled
	settleWithin  = 2 * time.Second        // and a page that never rests is taken as it is
	reactWithin   = 80 * time.Millisecond  // a tap that leads to another page begins to do so
	answerMargin  = 200 * time.Millisecond // before the deadline, for the page's last words
	askEvery      = time.Second            // one question to the page; navigation may cut it short
	maxFillLength = 10_000                 // bytes
)

// Do performs one action. A *probes.Failure is about the page, any other error
// about this agent or the definition.
func (p *page) Do(ctx context.Context, a probes.Action) (probes.Observation, error) {
	run := ctx
	ctx, cancel := p.within(ctx)
	defer cancel()
	if a.Timeout > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, a.Timeout)
		defer done()
	}
	p.keep(a)
	p.rec.mu.Lock()
	p.rec.docs, p.rec.redact = 0, p.redact
	p.rec.mu.Unlock()
	result, err := p.perform(ctx, a)
	if err != nil {
		err = p.blame(ctx, err, string(a.Op))
		// What the page was is worth a moment also when the time is up.
		bound, cancel := context.WithTimeout(context.WithoutCancel(run), aliveWithin)
		defer cancel()
		bound, end := p.within(bound)
		defer end()
		o, _ := p.look(bound, false)
		return o, err
	}
	o, err := p.look(ctx, false)
	o.Result = result
	if err != nil {
		return o, p.blame(ctx, err, string(a.Op))
	}
	return o, nil
}

func (p *page) perform(ctx context.Context, a probes.Action) (string, error) {
	switch a.Op {
	case probes.OpOpen:
		return "", p.navigate(ctx, a.Value)
	case probes.OpSee:
		if a.Selector != "" {
			return "", p.await(ctx, probes.PhraseElementMissing, a.Selector, "visible", a.Selector)
		}
		return "", p.await(ctx, probes.PhraseTextMissing, shown(a), "see", a.Value)
	case probes.OpNotSee:
		if err := p.settle(ctx); err != nil {
			return "", err
		}
		if a.Selector != "" {
			return "", p.await(ctx, probes.PhraseElementShown, a.Selector, "not_visible", a.Selector)
		}
		return "", p.await(ctx, probes.PhraseTextShown, shown(a), "not_see", a.Value)
	case probes.OpTap:
		return "", p.tap(ctx, a.Selector)
	case probes.OpFill:
		return "", p.fill(ctx, a)
	case probes.OpSelect:
		err := p.await(ctx, probes.PhraseElementMissing, a.Selector, "choose", a.Selector, a.Value)
		var f *probes.Failure
		if errors.As(err, &f) && f.Phrase == probes.PhraseNoChoice {
			f.Want = shown(a)
		}
		return "", err
	case probes.OpPress:
		return "", p.press(ctx, a.Value)
	case probes.OpWait:
		switch {
		case a.Selector != "":
			return "", p.await(ctx, probes.PhraseElementMissing, a.Selector, "visible", a.Selector)
		case a.Extra["url"] != "":
			return "", p.await(ctx, probes.PhraseAddress, a.Extra["url"], "url", a.Extra["url"])
		}
		return "", p.await(ctx, probes.PhraseTextMissing, shown(a), "see", a.Value)
	case probes.OpRun:
		return p.run(ctx, a.Value)
	}
	return "", fmt.Errorf("the browser knows no operation %q", a.Op)
}

// keep remembers the secrets of a, before the page learns of them.
func (p *page) keep(a probes.Action) {
	secrets := a.Secrets
	if a.Op == probes.OpFill && a.Secret {
		secrets = append(secrets[:len(secrets):len(secrets)], a.Value)
	}
	for _, s := range secrets {
		if s != "" && !slices.Contains(p.secrets, s) {
			p.secrets = append(p.secrets, s)
		}
	}
	p.redact = probes.NewRedactor(p.secrets)
}

// shown is the value of a as a finding may hold it.
func shown(a probes.Action) string {
	if a.Secret {
		return probes.Masked
	}
	return a.Value
}

// blame decides who is at fault for err: a deadline that passed is the page's
// fault only while the browser itself still answers.
func (p *page) blame(ctx context.Context, err error, doing string) error {
	var f *probes.Failure
	errors.As(err, &f)
	switch {
	case timeUp(ctx):
	case f != nil:
		return err
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
	if !p.pool.checkup(p.b) {
		return &probes.Trouble{
			Phrase: probes.PhraseBrowser,
			Err:    fmt.Errorf("%s: the browser did not answer within %s and was stopped: %s", doing, aliveWithin, err.Error()),
		}
	}
	if f != nil {
		return err
	}
	return &probes.Failure{Class: probes.ClassTimeout, Phrase: probes.PhraseSilent}
}

// timeUp reports whether ctx ended by its deadline, not by being cancelled.
func timeUp(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), context.DeadlineExceeded)
}

// reply is the helper's answer to wait.
type reply struct {
	OK    bool    `json:"ok"`
	Never bool    `json:"never"` // waiting longer is no use
	Why   string  `json:"why"`   // why it is not so, one of whys; empty when there is nothing to add
	By    string  `json:"by"`    // what more there is to say about Why
	Title string  `json:"title"`
	Text  string  `json:"text"`
	URL   string  `json:"url"`
	X     float64 `json:"x"`
	Y     float64 `json:"y"`
	Set   bool    `json:"set"`
	Empty bool    `json:"empty"`
}

// whys are the helper's reasons.
var whys = map[string]probes.Phrase{
	"missing": probes.PhraseElementMissing, "hidden": probes.PhraseElementHidden, "disabled": probes.PhraseElementDisabled,
	"read-only": probes.PhraseElementReadOnly, "moving": probes.PhraseElementMoving, "outside": probes.PhraseElementOutside,
	"covered": probes.PhraseElementCovered, "not a field": probes.PhraseNotAField, "field type": probes.PhraseFieldType,
	"not a list": probes.PhraseNotAList, "no choice": probes.PhraseNoChoice,
}

func (p *page) await(ctx context.Context, otherwise probes.Phrase, want, need string, args ...any) error {
	_, err := p.ask(ctx, otherwise, want, need, args...)
	return err
}

// ask asks the page again and again until need holds. It gives up shortly
// before ctx ends, with what the page showed instead: otherwise says what that
// means unless the page gives a reason.
func (p *page) ask(ctx context.Context, otherwise probes.Phrase, want, need string, args ...any) (reply, error) {
	var last reply
	answered := false
	for {
		if err := p.broken(); err != nil {
			return reply{}, err
		}
		budget := askEvery
		if end, ok := ctx.Deadline(); ok {
			budget = min(budget, time.Until(end)-answerMargin)
		}
		if budget <= 0 && answered {
			return reply{}, p.unmet(otherwise, want, last)
		}
		var r reply
		err := p.helper(ctx, &r, "wait", need, args, max(budget, 0).Milliseconds())
		var bad *scriptError
		switch {
		case errors.Is(err, errNoWorld):
			if ctx.Err() == nil {
				continue
			}
		case errors.As(err, &bad):
			return reply{}, fmt.Errorf("asking the page for %s: %w", want, err)
		case err == nil && r.OK:
			return r, nil
		case err == nil && r.Never:
			return reply{}, p.unmet(otherwise, want, r)
		case err == nil:
			last, answered = r, true
			continue
		}
		if ctx.Err() == nil {
			return reply{}, err
		}
		if !timeUp(ctx) {
			return reply{}, context.Cause(ctx)
		}
		if answered {
			return reply{}, p.unmet(otherwise, want, last)
		}
		return reply{}, &probes.Failure{Class: probes.ClassStep, Phrase: probes.PhraseSilent}
	}
}

// unmet says what was there instead of what was wanted.
func (p *page) unmet(otherwise probes.Phrase, want string, r reply) *probes.Failure {
	f := &probes.Failure{Class: probes.ClassStep, Phrase: cmp.Or(whys[r.Why], otherwise), Want: want}
	switch f.Phrase {
	case probes.PhraseAddress:
		f.Got = withoutUser(r.URL)
	case probes.PhraseElementMissing, probes.PhraseElementHidden, probes.PhraseElementShown, probes.PhraseTextMissing, probes.PhraseTextShown:
		// Secrets and people's numbers go before anything is cut.
		f.Got = probes.Shown(p.redact.Text(r.Title), p.redact.Text(r.Text))
	default:
		f.Got = r.By
	}
	f.Got = probes.Excerpt(p.redact.Secrets(f.Got))
	return f
}

// broken reports what makes further waiting useless: a document that failed to
// load, a storm of dialogs, a page that reloads itself without end.
func (p *page) broken() error {
	r := p.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.cur != nil && r.cur.failed != "":
		return netError(r.cur.failed, r.cur.url, r.status())
	case r.dialogs >= stormDialogs:
		return &probes.Failure{Class: probes.ClassStep, Phrase: probes.PhraseDialogs, Got: r.said[0]}
	case r.docs >= maxDocuments:
		return &probes.Failure{Class: probes.ClassRedirect, Phrase: probes.PhraseReloads, Got: r.clip(withoutUser(r.cur.url))}
	}
	return nil
}

// navigate opens address and waits until the document is ready, has loaded (or
// had time to), and the network is quiet.
func (p *page) navigate(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("only http and https addresses are opened")
	}
	p.rec.mu.Lock()
	p.rec.asked = address
	p.rec.mu.Unlock()
	start := time.Now()
	res, err := cdp.Call(ctx, p.target, cdppage.Navigate, cdppage.NavigateParams{URL: address})
	if err != nil {
		if timeUp(ctx) {
			return probes.TimedOut("first_byte", u.Hostname(), time.Since(start))
		}
		return err
	}
	if res.ErrorText != "" {
		p.rec.mu.Lock()
		defer p.rec.mu.Unlock()
		return netError(res.ErrorText, cmp.Or(p.rec.last, address), p.rec.status())
	}
	if res.IsDownload {
		return netError("net::ERR_ABORTED", address, 0)
	}
	if res.LoaderID == "" {
		return nil // within the same document
	}
	if err := p.ready(ctx, start); err != nil {
		return err
	}
	return p.settle(ctx)
}

// ready waits until the newest document is ready.
func (p *page) ready(ctx context.Context, start time.Time) error {
	err := p.until(ctx, func(r *recorder) bool { return r.cur == nil || r.cur.ready })
	if err != nil && timeUp(ctx) {
		p.rec.mu.Lock()
		host, replied := "", false
		if d := p.rec.cur; d != nil {
			host, replied = hostOf(d.url), d.reply != nil
		}
		p.rec.mu.Unlock()
		if replied {
			return probes.TimedOut("body", host, time.Since(start))
		}
		return probes.TimedOut("first_byte", host, time.Since(start))
	}
	return err
}

// settle waits for the load event and a quiet network, neither without bound:
// a page that never rests is judged as it stands.
func (p *page) settle(ctx context.Context) error {
	lctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	err := p.until(lctx, func(r *recorder) bool { return r.cur == nil || r.cur.loaded })
	if err != nil && lctx.Err() == nil {
		return err
	}
	qctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for qctx.Err() == nil {
		p.rec.mu.Lock()
		quiet := p.rec.quiet
		p.rec.mu.Unlock()
		rest := quietFor
		if !quiet.IsZero() {
			if rest = quietFor - time.Since(quiet); rest <= 0 {
				break
			}
		}
		pause(qctx, rest)
	}
	if err := p.broken(); err != nil {
		return err
	}
	// A script may have led on to another document meanwhile.
	if err := p.ready(ctx, time.Now()); err != nil {
		return err
	}
	if ctx.Err() != nil && !timeUp(ctx) {
		return context.Cause(ctx)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// until waits for cond, which is called with the recorder's lock held.
func (p *page) until(ctx context.Context, cond func(*recorder) bool) error {
	for {
		p.rec.mu.Lock()
		ok, wake := cond(p.rec), p.rec.wake
		p.rec.mu.Unlock()
		if err := p.broken(); err != nil {
			return err
		}
		if ok {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// react gives an input time to lead to another document, and waits for that.
func (p *page) react(ctx context.Context) error {
	rctx, cancel := context.WithTimeout(ctx, reactWithin)
	defer cancel()
	err := p.until(rctx, func(r *recorder) bool { return r.docs > 0 })
	if err == nil {
		return p.ready(ctx, time.Now())
	}
	if rctx.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

func (p *page) tap(ctx context.Context, selector string) error {
	r, err := p.ask(ctx, probes.PhraseElementMissing, selector, "tap", selector)
	if err != nil {
		return err
	}
	if p.device.Touch {
		touch := input.DispatchTouchEventParams{
			Type:        input.DispatchTouchEventTypeTouchStart,
			TouchPoints: []*input.TouchPoint{{X: r.X, Y: r.Y, Force: new(1.0), ID: new(0.0)}},
		}
		if _, err := cdp.Call(ctx, p.target, input.DispatchTouchEvent, touch); err != nil {
			return err
		}
		touch.Type, touch.TouchPoints = input.DispatchTouchEventTypeTouchEnd, []*input.TouchPoint{}
		if _, err := cdp.Call(ctx, p.target, input.DispatchTouchEvent, touch); err != nil {
			return err
		}
		return p.react(ctx)
	}
	mouse := input.DispatchMouseEventParams{
		Type: input.DispatchMouseEventTypeMousePressed, X: r.X, Y: r.Y,
		Button: input.MouseButtonLeft, ClickCount: 1,
	}
	if _, err := cdp.Call(ctx, p.target, input.DispatchMouseEvent, mouse); err != nil {
		return err
	}
	mouse.Type = input.DispatchMouseEventTypeMouseReleased
	if _, err := cdp.Call(ctx, p.target, input.DispatchMouseEvent, mouse); err != nil {
		return err
	}
	return p.react(ctx)
}

func (p *page) fill(ctx context.Context, a probes.Action) error {
	if len(a.Value) > maxFillLength {
		return fmt.Errorf("a value of %d bytes is too long to fill in", len(a.Value))
	}
	r, err := p.ask(ctx, probes.PhraseElementMissing, a.Selector, "edit", a.Selector, a.Secret)
	if err != nil {
		return err
	}
	var value any // null: what was typed is there already
	if r.Set || a.Value == "" {
		value = a.Value
	} else if _, err := cdp.Call(ctx, p.target, input.InsertText, input.InsertTextParams{Text: a.Value}); err != nil {
		return err
	}
	var done reply
	if err := p.helper(ctx, &done, "commit", value); err != nil && !errors.Is(err, errNoWorld) {
		return err
	}
	if !done.OK {
		return &probes.Failure{Class: probes.ClassStep, Phrase: probes.PhraseFieldReplaced, Want: a.Selector}
	}
	if done.Empty && a.Value != "" {
		return &probes.Failure{Class: probes.ClassStep, Phrase: probes.PhraseFieldEmpty, Want: a.Selector}
	}
	return nil
}

var keys = map[string]string{
	"Enter": kb.Enter, "Tab": kb.Tab, "Escape": kb.Escape, "Backspace": kb.Backspace, "Delete": kb.Delete, "Space": " ",
	"ArrowUp": kb.ArrowUp, "ArrowDown": kb.ArrowDown, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight,
	"Home": kb.Home, "End": kb.End, "PageUp": kb.PageUp, "PageDown": kb.PageDown,
}

func (p *page) press(ctx context.Context, name string) error {
	text, ok := keys[name]
	if !ok {
		if !probes.KnownKey(name) {
			return fmt.Errorf("the browser knows no key %q", name)
		}
		text = name
	}
	r, _ := utf8.DecodeRuneInString(text)
	for _, ev := range kb.Encode(r) {
		if _, err := cdp.Call(ctx, p.target, input.DispatchKeyEvent, *ev); err != nil {
			return err
		}
	}
	return p.react(ctx)
}

// run evaluates a JavaScript expression in the page's own world.
func (p *page) run(ctx context.Context, script string) (string, error) {
	res, err := cdp.Call(ctx, p.target, runtime.Evaluate, runtime.EvaluateParams{
		Expression: script, Silent: new(true), ReturnByValue: new(true), AwaitPromise: new(true), UserGesture: new(true),
	})
	no := func(phrase probes.Phrase, got string) error {
		return &probes.Failure{Class: probes.ClassStep, Phrase: phrase, Got: got}
	}
	switch {
	case err != nil && ctx.Err() == nil && replaced(err):
		return "", p.react(ctx) // it led to another document
	case err != nil && timeUp(ctx):
		return "", no(probes.PhraseScriptEndless, "")
	case err != nil:
		return "", err
	case res.ExceptionDetails != nil:
		return "", no(probes.PhraseScriptThrew, probes.Excerpt(p.redact.Secrets(thrown(res.ExceptionDetails))))
	}
	raw := []byte(res.Result.Value)
	if u := res.Result.UnserializableValue; u != "" {
		raw = []byte(strconv.Quote(string(u)))
		if u == "NaN" || u == "-0" || u == "0n" {
			return "", no(probes.PhraseScriptNo, string(u))
		}
	}
	var value any // nil for undefined, too
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &value); err != nil {
			return "", fmt.Errorf("reading the script's result: %w", err)
		}
	}
	text := probes.Excerpt(p.redact.Secrets(compact(value)))
	switch value {
	case nil, false, 0.0, "":
		return text, no(probes.PhraseScriptNo, text)
	}
	return text, p.react(ctx)
}
