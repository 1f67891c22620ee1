package chrome

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"golang.org/x/net/publicsuffix"

	"github.com/gengfu/gengfu/probes"
)

// Bounds of what one page may make the agent remember.
const (
	maxRequests  = 500
	maxOpen      = 2000 // requests whose end is awaited
	maxErrors    = 50
	maxConsole   = 100
	maxDialogs   = 10
	maxHeader    = 64
	stormDialogs = 50 // dialogs after which the page counts as unusable
	maxDocuments = 20 // main documents by navigation of the page itself, after which it counts as a loop
)

// document is one main document of the page.
type document struct {
	id        network.RequestID
	loader    cdp.LoaderID
	url       string
	start     float64 // browser's monotonic seconds, of the first request of its redirects
	reply     *network.Response
	got       float64 // when the reply's head was there
	end       float64 // when its body was complete; 0 before
	failed    string  // the browser's error text
	committed bool
	ready     bool // DOMContentLoaded
	loaded    bool // load
}

// entry is one request that the page made.
type entry struct {
	probes.Request
	start float64
}

// recorder collects a page's events. Its listen method runs on chromedp's
// reading goroutine and therefore only takes notes.
type recorder struct {
	frame cdp.FrameID // the main frame; fixed

	mu       sync.Mutex
	wake     chan struct{} // closed and replaced at every change that a waiter may want
	world    string        // the helper's execution context; empty between documents
	frames   map[string]cdp.FrameID
	anchor   time.Time // this process's clock …
	offset   float64   // … when the browser's monotonic clock stood here
	docs     int       // main documents begun since the action began
	cur      *document // the newest main document
	shown    *document // the newest that was committed
	first    *document // the one whose timings count
	open     map[network.RequestID]*entry
	list     []*entry
	quiet    time.Time // since when nothing is on its way; zero while something is
	requests int
	failures int
	bytes    float64
	thrown   int
	errors   []string
	console  []string
	consoleN int
	dialogs  int
	said     []string
	ask      chan bool     // dialogs to answer: whether to accept
	crashed  chan struct{} // closes when the renderer crashed
	last     string        // where the newest document was last sent, also when it came to nothing
	redact   *probes.Redactor
	asked    string // the address of the last open, for the page's own site
}

func newRecorder() *recorder {
	return &recorder{
		wake:   make(chan struct{}),
		frames: make(map[string]cdp.FrameID),
		open:   make(map[network.RequestID]*entry),
		quiet:  time.Now(),
		ask:    make(chan bool, 64),

		crashed: make(chan struct{}),
	}
}

// changed wakes the waiters. The lock is held.
func (r *recorder) changed() {
	close(r.wake)
	r.wake = make(chan struct{})
}

func (r *recorder) listen(ev any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		r.sent(ev)
	case *network.EventResponseReceived:
		r.received(ev)
	case *network.EventLoadingFinished:
		r.finished(ev)
	case *network.EventLoadingFailed:
		r.failed(ev)
	case *cdppage.EventLifecycleEvent:
		r.lifecycle(ev)
	case *cdppage.EventFrameNavigated:
		if ev.Frame.ParentID == "" && r.cur != nil && ev.Frame.LoaderID == r.cur.loader {
			r.cur.committed = true
			r.shown = r.cur
			r.changed()
		}
	case *cdppage.EventJavascriptDialogOpening:
		r.dialog(ev)
	case *runtime.EventExecutionContextCreated:
		r.contextCreated(ev.Context)
	case *runtime.EventExecutionContextDestroyed:
		delete(r.frames, ev.ExecutionContextUniqueID)
		if r.world == ev.ExecutionContextUniqueID {
			r.world = ""
		}
	case *runtime.EventExecutionContextsCleared:
		clear(r.frames)
		r.world = ""
	case *runtime.EventExceptionThrown:
		r.exception(ev.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		r.consoleCall(ev)
	case *log.EventEntryAdded:
		r.logEntry(ev.Entry)
	case *inspector.EventTargetCrashed:
		select {
		case <-r.crashed:
		default:
			close(r.crashed)
		}
	}
}

// at turns the browser's monotonic seconds into this process's clock.
func (r *recorder) at(mono float64) time.Time {
	if r.anchor.IsZero() {
		return time.Now()
	}
	return r.anchor.Add(seconds(mono - r.offset))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (r *recorder) sent(ev *network.EventRequestWillBeSent) {
	mono := ev.Timestamp.Float64()
	if r.anchor.IsZero() {
		// Both clocks are this host's: the wall time of the event places it.
		now := time.Now()
		wall := time.Duration(ev.WallTime.Float64()*1e9) - time.Duration(now.UnixNano())
		r.anchor, r.offset = now.Add(wall), mono
	}
	main := ev.Type == network.ResourceTypeDocument && ev.FrameID == r.frame && string(ev.RequestID) == string(ev.LoaderID)
	if main && (r.cur == nil || r.cur.id != ev.RequestID) {
		r.docs++
		r.cur = &document{id: ev.RequestID, loader: ev.LoaderID, start: mono}
		if r.first == nil {
			r.first = r.cur
		}
		r.changed()
	}
	if main {
		r.cur.url, r.last = ev.Request.URL, ev.Request.URL
	}
	if e := r.open[ev.RequestID]; e != nil && ev.RedirectResponse != nil {
		e.Status = int(ev.RedirectResponse.Status)
		r.close(ev.RequestID, e, mono, ev.RedirectResponse.EncodedDataLength)
	}
	if strings.HasPrefix(ev.Request.URL, "data:") || strings.HasPrefix(ev.Request.URL, "blob:") {
		return // inside the page, not on the network
	}
	r.requests++
	if len(r.open) >= maxOpen {
		return
	}
	e := &entry{start: mono}
	e.Request = probes.Request{URL: ev.Request.URL, Kind: strings.ToLower(string(ev.Type)), Start: r.at(mono), Own: r.own(ev.Request.URL)}
	if len(r.list) < maxRequests {
		r.list = append(r.list, e)
	}
	r.open[ev.RequestID] = e
	if e.busy() {
		r.quiet = time.Time{}
	}
}

// busy reports whether the page is not finished while e is open. Streams
// never end, and a ping is nobody's wait.
func (e *entry) busy() bool {
	switch e.Kind {
	case "eventsource", "websocket", "ping", "media", "cspviolationreport", "preflight":
		return false
	}
	return true
}

func (r *recorder) received(ev *network.EventResponseReceived) {
	if r.cur != nil && ev.RequestID == r.cur.id {
		r.cur.reply = ev.Response
		r.cur.got = ev.Timestamp.Float64()
		r.changed()
	}
	if e := r.open[ev.RequestID]; e != nil {
		e.Status = int(ev.Response.Status)
		if t := strings.ToLower(string(ev.Type)); t != "" {
			e.Kind = t
		}
	}
}

func (r *recorder) finished(ev *network.EventLoadingFinished) {
	if r.cur != nil && ev.RequestID == r.cur.id {
		r.cur.end = ev.Timestamp.Float64()
		r.changed()
	}
	if e := r.open[ev.RequestID]; e != nil {
		r.close(ev.RequestID, e, ev.Timestamp.Float64(), ev.EncodedDataLength)
	}
}

func (r *recorder) failed(ev *network.EventLoadingFailed) {
	if r.cur != nil && ev.RequestID == r.cur.id {
		if ev.Canceled || ev.ErrorText == "net::ERR_ABORTED" {
			// A download, or given up for another: what was shown stays.
			if r.shown != nil && !r.cur.committed {
				r.cur = r.shown
			}
		} else {
			r.cur.failed = ev.ErrorText
		}
		r.changed()
	}
	e := r.open[ev.RequestID]
	if e == nil {
		return
	}
	e.Failed = ev.ErrorText
	if ev.BlockedReason != "" {
		e.Failed = "blocked: " + string(ev.BlockedReason)
	}
	if ev.Canceled || ev.ErrorText == "net::ERR_ABORTED" {
		e.Failed = "" // the page, or the browser on its behalf, wanted it no more
	}
	r.close(ev.RequestID, e, ev.Timestamp.Float64(), 0)
}

// close ends the entry of one request.
func (r *recorder) close(id network.RequestID, e *entry, mono, bytes float64) {
	delete(r.open, id)
	e.Took = max(0, seconds(mono-e.start))
	e.Bytes = int64(bytes)
	r.bytes += bytes
	if e.Failed != "" || e.Status >= http.StatusBadRequest {
		r.failures++
	}
	for _, o := range r.open {
		if o.busy() {
			return
		}
	}
	r.quiet = time.Now()
	r.changed()
}

func (r *recorder) lifecycle(ev *cdppage.EventLifecycleEvent) {
	if ev.FrameID != r.frame || r.cur == nil || ev.LoaderID != r.cur.loader {
		return
	}
	switch ev.Name {
	case "commit":
		r.cur.committed = true
		r.shown = r.cur
	case "DOMContentLoaded":
		r.cur.ready = true
	case "load":
		r.cur.ready, r.cur.loaded = true, true
	default:
		return
	}
	r.changed()
}

func (r *recorder) contextCreated(c *runtime.ExecutionContextDescription) {
	if c.Name != worldName || !strings.Contains(string(c.AuxData), string(r.frame)) {
		return
	}
	r.world = c.UniqueID
	r.changed()
}

// stormy reports whether the page asked more often than anybody would answer.
func (r *recorder) stormy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dialogs >= stormDialogs
}

func (r *recorder) dialog(ev *cdppage.EventJavascriptDialogOpening) {
	r.dialogs++
	if len(r.said) < maxDialogs {
		r.said = append(r.said, string(ev.Type)+": "+r.clip(ev.Message))
	}
	// Leaving a page is what the run wants; everything else is declined.
	select {
	case r.ask <- ev.Type == cdppage.DialogTypeBeforeunload:
	default: // the browser shows one dialog at a time, so this cannot fill up
	}
	r.changed()
}

// clip makes a page's text fit to keep: secrets go before anything is cut.
func (r *recorder) clip(s string) string {
	return probes.Excerpt(r.redact.Secrets(s[:min(len(s), 16<<10)]))
}

func (r *recorder) exception(d *runtime.ExceptionDetails) {
	r.thrown++
	if len(r.errors) >= maxErrors {
		return
	}
	text := d.Text
	if d.Exception != nil && d.Exception.Description != "" {
		text, _, _ = strings.Cut(d.Exception.Description, "\n")
	} else if d.Exception != nil && len(d.Exception.Value) > 0 {
		text += " " + plain(d.Exception.Value)
	}
	if d.URL != "" {
		text += fmt.Sprintf(" (%s:%d)", withoutUser(d.URL), d.LineNumber+1)
	}
	r.errors = append(r.errors, r.clip(text))
}

func (r *recorder) consoleCall(ev *runtime.EventConsoleAPICalled) {
	switch ev.Type {
	case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeAssert:
		r.consoleN++
	case runtime.ConsoleAPICalledTypeWarning:
	default:
		return
	}
	if len(r.console) >= maxConsole {
		return
	}
	var b strings.Builder
	for _, a := range ev.Args {
		if b.Len() > 4<<10 {
			break
		}
		switch {
		case a.Description != "":
			b.WriteString(a.Description)
		default:
			b.WriteString(plain(a.Value))
		}
		b.WriteByte(' ')
	}
	r.console = append(r.console, string(ev.Type)+": "+r.clip(b.String()))
}

func (r *recorder) logEntry(e *log.Entry) {
	if e.Level != log.EntryLevelError && e.Level != log.EntryLevelWarning {
		return
	}
	// Failed requests are counted as such, not twice.
	if e.Level == log.EntryLevelError && e.Source != log.EntrySourceNetwork {
		r.consoleN++
	}
	if len(r.console) < maxConsole {
		r.console = append(r.console, string(e.Level)+": "+r.clip(e.Text+" "+withoutUser(e.URL)))
	}
}

// own reports whether address belongs to the site that was opened: the same
// registrable domain, or the same IP address.
func (r *recorder) own(address string) bool {
	a, b := hostOf(address), hostOf(r.asked)
	if r.shown != nil {
		if c := hostOf(r.shown.url); sameSite(a, c) {
			return true
		}
	}
	return sameSite(a, b)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

func sameSite(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if a == b {
		return true
	}
	if net.ParseIP(a) != nil || net.ParseIP(b) != nil {
		return false
	}
	da, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil {
		return false
	}
	db, err := publicsuffix.EffectiveTLDPlusOne(b)
	return err == nil && da == db
}

// withoutUser drops user and password from an address.
func withoutUser(address string) string {
	if !strings.Contains(address, "@") {
		return address
	}
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

// fill copies what was collected into o.
func (r *recorder) fill(o *probes.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.ScriptErrors = append([]string(nil), r.errors...)
	o.Console = append([]string(nil), r.console...)
	o.Dialogs = append([]string(nil), r.said...)
	set := func(name string, v float64) { o.Measures[name] = v }
	set("requests", float64(r.requests))
	set("failed_requests", float64(r.failures))
	set("bytes", r.bytes)
	set("script_errors", float64(r.thrown))
	set("console_errors", float64(r.consoleN))
	set("dialogs", float64(r.dialogs))
	if d := r.current(); d != nil && d.reply != nil {
		o.Status = int(d.reply.Status)
		o.IP = strings.Trim(d.reply.RemoteIPAddress, "[]")
		o.Header = headerOf(d.reply.Headers)
		if s := d.reply.SecurityDetails; s != nil {
			o.TLSUntil = time.Unix(int64(s.ValidTo.Float64()), 0).UTC()
		}
	}
	if r.first != nil {
		o.Timings, o.Phases = r.phases(r.first)
	}
}

// current is the document that the public would be looking at: the newest,
// unless it never came to be shown. The lock is held.
func (r *recorder) current() *document {
	if r.cur != nil && (r.cur.committed || r.cur.reply != nil || r.shown == nil) {
		return r.cur
	}
	return r.shown
}

// status is the newest document's, 0 without a reply. The lock is held.
func (r *recorder) status() int {
	if r.cur == nil || r.cur.reply == nil {
		return 0
	}
	return int(r.cur.reply.Status)
}

func headerOf(h network.Headers) map[string]string {
	out := make(map[string]string, min(len(h), maxHeader))
	for k, v := range maps.All(h) {
		if len(out) >= maxHeader {
			break
		}
		out[strings.ToLower(k)] = probes.Excerpt(fmt.Sprint(v))
	}
	return out
}

// copies lists the requests, with what is still on its way.
func (r *recorder) copies() []probes.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	pending := make(map[*entry]bool, len(r.open))
	for _, e := range r.open {
		pending[e] = true
	}
	out := make([]probes.Request, 0, len(r.list))
	for _, e := range r.list {
		q := e.Request
		q.URL = withoutUser(q.URL)
		if pending[e] {
			q.Pending, q.Took = true, max(0, time.Since(q.Start))
		}
		out = append(out, q)
	}
	return out
}

// phases makes the phases of d out of the browser's timing.
func (r *recorder) phases(d *document) (probes.Timings, []probes.Phase) {
	var t probes.Timings
	if d.reply == nil || d.reply.Timing == nil {
		return t, nil
	}
	g := d.reply.Timing
	base := g.RequestTime
	var out []probes.Phase
	span := func(name string, from, to float64) time.Duration {
		if from < 0 || to < from {
			return 0
		}
		p := probes.Phase{Name: name, Start: r.at(base + from/1000), End: r.at(base + to/1000)}
		out = append(out, p)
		return p.End.Sub(p.Start)
	}
	t.DNS = span("dns", g.DNSStart, g.DNSEnd)
	connectEnd := g.ConnectEnd
	if g.SslStart >= 0 {
		connectEnd = g.SslStart
	}
	t.Connect = span("connect", g.ConnectStart, connectEnd)
	t.TLS = span("tls", g.SslStart, g.SslEnd)
	span("request", g.SendStart, g.SendEnd)
	head := g.ReceiveHeadersStart
	if head <= 0 {
		head = g.ReceiveHeadersEnd
	}
	t.FirstByte = span("first_byte", g.SendEnd, head)
	if d.end > 0 {
		t.Body = span("body", head, (d.end-base)*1000)
	}
	return t, out
}
