// Package chrome drives Chromium for browser probes, and is the only importer
// of chromedp. A Pool keeps one warm browser process; every run gets a browser
// context of its own in it, so that runs share neither cookies nor cache. The
// process is replaced when it dies, hangs, or has served enough.
package chrome

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Options configures a Pool. The zero value of each field is a good default.
type Options struct {
	Exec         string        // the browser's program; "" looks for one, see Find
	Dir          string        // where profiles live; "" is a folder of this user below os.TempDir
	MaxPages     int           // pages open at the same time; 0 is one a CPU, at most 4
	RecycleAfter int           // a process is replaced after so many pages; 0 is 500
	MaxAge       time.Duration // and after so long; 0 is 6 hours
	HostRules    string        // --host-resolver-rules, e.g. "MAP *.example 127.0.0.1:8081"
	ExtraFlags   []string      // further command line flags, e.g. "--proxy-server=10.0.0.1:3128"
	Logger       *slog.Logger  // nil is slog.Default
}

// ErrClosed is returned by Open after Close.
var ErrClosed = errors.New("the browser pool is closed")

const (
	startWithin   = 45 * time.Second // a cold start on a busy machine
	openWithin    = 15 * time.Second // a fresh context with its page
	aliveWithin   = 2 * time.Second  // a well browser answers a trivial question by then
	observeWithin = 5 * time.Second  // a page tells what it shows
	closeWithin   = 15 * time.Second // a page, or the whole process, with all it left
)

// Stats says what a Pool has done since New.
type Stats struct {
	Runs     int    // pages opened
	Pages    int    // pages open now
	Restarts int    // processes replaced because they died or hung
	Recycled int    // processes replaced because they had served enough
	Killed   int    // processes that had to be killed after their browser ended, or were found at start
	Swept    int    // profiles of dead agents removed at start
	Version  string // e.g. "HeadlessChrome/156.0.8078.79"; empty before the first start
}

// Pool is a probes.Browser over one warm browser process.
type Pool struct {
	opts  Options
	exec  string
	log   *slog.Logger
	slots chan struct{} // one token a page

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	start chan struct{} // held by whoever starts a process

	mu     sync.Mutex // guards the fields below
	cur    *process   // takes new pages; nil before the first and between two
	all    map[*process]struct{}
	stats  Stats
	closed bool
}

var _ probes.Browser = (*Pool)(nil)

// New finds the browser and sweeps what dead agents left in opts.Dir. It
// starts nothing: the first Open, or Run, does.
func New(opts Options) (*Pool, error) {
	path, err := Find(opts.Exec)
	if err != nil {
		return nil, err
	}
	opts.MaxPages = cmp.Or(max(opts.MaxPages, 0), min(runtime.NumCPU(), 4))
	opts.RecycleAfter = cmp.Or(max(opts.RecycleAfter, 0), 500)
	opts.MaxAge = cmp.Or(max(opts.MaxAge, 0), 6*time.Hour)
	opts.Dir = cmp.Or(opts.Dir, filepath.Join(os.TempDir(), "gengfu-chrome-"+strconv.Itoa(os.Getuid())))
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for browser profiles: %w", err)
	}
	swept, killed, err := sweep(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("sweeping browser profiles in %s: %w", opts.Dir, err)
	}
	if swept > 0 || killed > 0 {
		opts.Logger.Warn("removed what dead agents left", "profiles", swept, "processes", killed)
	}
	if os.Geteuid() == 0 {
		opts.Logger.Warn("the browser runs without its sandbox because the agent is root; run the agent as a user of its own")
	}
	p := &Pool{
		opts: opts, exec: path, log: opts.Logger,
		slots: make(chan struct{}, opts.MaxPages),
		start: make(chan struct{}, 1),
		all:   make(map[*process]struct{}),
		stats: Stats{Swept: swept, Killed: killed},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Run starts the browser, so that the first run finds it warm, and closes the
// pool when ctx ends. A browser that does not start is no error here: the next
// Open tries again.
func (p *Pool) Run(ctx context.Context) error {
	if b, err := p.acquire(ctx); err == nil {
		p.release(b)
	} else if ctx.Err() == nil {
		p.log.Error("the browser did not start", "error", err)
	}
	<-ctx.Done()
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	return p.Close(bound)
}

// Open makes a fresh context with one page. It waits within ctx while MaxPages
// pages are open. An error is about this agent, never about a site.
func (p *Pool) Open(ctx context.Context, d probes.Device) (probes.Page, error) {
	select {
	case p.slots <- struct{}{}:
	case <-p.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for one of %d pages to be free: %w", p.opts.MaxPages, context.Cause(ctx))
	}
	pg, err := p.open(ctx, d)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return pg, nil
}

// open tries twice: a browser that died or hung since its last page is not
// this run's bad luck.
func (p *Pool) open(ctx context.Context, d probes.Device) (*page, error) {
	var errs []error
	for range 2 {
		b, err := p.acquire(ctx)
		if err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
		pg, err := newPage(ctx, p, b, d)
		if err == nil {
			p.mu.Lock()
			p.stats.Runs++
			p.stats.Pages++
			p.mu.Unlock()
			return pg, nil
		}
		p.checkup(b)
		p.release(b)
		errs = append(errs, fmt.Errorf("opening a page: %w", err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// acquire returns the current browser with one more user, starting or
// replacing it when that is due.
func (p *Pool) acquire(ctx context.Context) (*process, error) {
	if p.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if b := p.take(); b != nil {
		return b, nil
	}
	select {
	case p.start <- struct{}{}:
		defer func() { <-p.start }()
	case <-p.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the browser to start: %w", context.Cause(ctx))
	}
	if b := p.take(); b != nil { // another run started it meanwhile
		return b, nil
	}
	b, err := p.launch(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		b.stop()
		return nil, ErrClosed
	}
	p.stats.Version = b.version
	p.cur = b
	b.users, b.served = 1, 1
	return b, nil
}

// take returns the current browser if it may serve one more page.
func (p *Pool) take() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.cur
	if b == nil || b.ctx.Err() != nil {
		return nil
	}
	if b.served >= p.opts.RecycleAfter || time.Since(b.started) > p.opts.MaxAge {
		p.stats.Recycled++
		p.cur = nil
		b.retired = true
		if b.users == 0 {
			b.stop()
		}
		return nil
	}
	b.users++
	b.served++
	return b
}

// release gives b back. A retired browser stops with its last user.
func (p *Pool) release(b *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.users--
	if b.retired && b.users == 0 {
		b.stop()
	}
}

// checkup stops b unless it answers, and reports whether it did.
func (p *Pool) checkup(b *process) bool {
	if b.alive() {
		return true
	}
	p.mu.Lock()
	if b.ctx.Err() == nil {
		b.hung = true
	}
	if p.cur == b {
		p.cur = nil
	}
	p.mu.Unlock()
	b.stop()
	return false
}

// returned is called by a page once it is closed.
func (p *Pool) returned(b *process) {
	p.mu.Lock()
	p.stats.Pages--
	p.mu.Unlock()
	p.release(b)
	<-p.slots
}

// Stats says what the pool has done so far.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close ends every browser process with all its pages, removes the profiles,
// and waits for that within ctx. It is safe to call twice.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.cur = nil
	p.mu.Unlock()
	p.cancel()
	select {
	case p.start <- struct{}{}: // whoever was starting a process has given up
	case <-ctx.Done():
		return fmt.Errorf("closing the browser: %w", context.Cause(ctx))
	}
	p.mu.Lock()
	var bs []*process
	for b := range p.all {
		b.stop()
		bs = append(bs, b)
	}
	p.mu.Unlock()
	<-p.start
	for _, b := range bs {
		select {
		case <-b.done:
		case <-ctx.Done():
			return fmt.Errorf("closing the browser: %w", context.Cause(ctx))
		}
	}
	return nil
}
