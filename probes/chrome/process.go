package chrome

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// process is one browser process in a process group and a profile of its own.
type process struct {
	ctx     context.Context // chromedp's; ends when the process dies or is stopped
	stop    func()          // begins to stop it; done closes when all is gone
	done    chan struct{}
	session *chromedp.Browser
	version string
	started time.Time

	// Guarded by the pool's mutex.
	users   int  // pages open, or being opened
	served  int  // pages ever opened
	retired bool // stops with its last user
	hung    bool // was stopped because it did not answer
}

// flags of every start, in order. They keep the browser from talking to
// anybody but the probed site, and from showing anything to a person.
var flags = []string{
	"headless", "hide-scrollbars", "mute-audio", "no-first-run", "no-default-browser-check",
	"disable-background-networking", "disable-component-update", "disable-default-apps",
	"disable-component-extensions-with-background-pages", "disable-client-side-phishing-detection",
	"disable-domain-reliability", "disable-sync", "disable-quic", "no-pings", "metrics-recording-only",
	"disable-breakpad", "disable-crash-reporter", "disable-extensions", "disable-dev-shm-usage",
	"disable-hang-monitor", "disable-prompt-on-repost", "disable-ipc-flooding-protection",
	"disable-background-timer-throttling", "disable-backgrounding-occluded-windows",
	"disable-renderer-backgrounding", "disable-popup-blocking", "enable-automation",
	"password-store=basic", "use-mock-keychain", "force-color-profile=srgb", "lang=zh-CN",
	"disable-features=Translate,MediaRouter,OptimizationHints,AutofillServerCommunication,HttpsUpgrades,DialMediaRouteProvider",
}

func (p *Pool) allocator(dir string) []chromedp.ExecAllocatorOption {
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(p.exec),
		chromedp.UserDataDir(dir),
		// The agent's environment holds its secrets; the browser gets none of it.
		chromedp.NoInheritEnv,
		chromedp.Env("PATH="+os.Getenv("PATH"), "HOME="+dir, "TMPDIR="+dir, "LANG=zh_CN.UTF-8", "TZ=Asia/Shanghai"),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Setpgid: true,
				// chromedp keeps the starting thread alive, which this depends on.
				Pdeathsig: syscall.SIGKILL,
			}
		}),
	}
	all := flags
	if p.opts.HostRules != "" {
		all = append(all[:len(all):len(all)], "host-resolver-rules="+p.opts.HostRules)
	}
	for _, f := range append(all[:len(all):len(all)], p.opts.ExtraFlags...) {
		name, value, valued := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		if valued {
			opts = append(opts, chromedp.Flag(name, value))
		} else {
			opts = append(opts, chromedp.Flag(name, true))
		}
	}
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	return opts
}

// launch starts a process and waits for its first answer within ctx.
func (p *Pool) launch(ctx context.Context) (*process, error) {
	prof, err := newProfile(p.opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("making a browser profile: %w", err)
	}
	actx, freeAllocator := chromedp.NewExecAllocator(p.ctx, p.allocator(prof.dir)...)
	note := func(format string, args ...any) { p.log.Debug("chromedp", "text", fmt.Sprintf(format, args...)) }
	bctx, freeBrowser := chromedp.NewContext(actx, chromedp.WithErrorf(note), chromedp.WithLogf(note))
	// Once, and waited for by every caller: chromedp's own funcs block when called again.
	free := sync.OnceFunc(func() { freeBrowser(); freeAllocator() })

	// The process lives as long as the context of its first call, so ctx can
	// only end that call by ending the process.
	sctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("no answer within %s", startWithin))
	defer cancel()
	type started struct {
		version browser.GetVersionResult
		err     error
	}
	first := make(chan started, 1)
	go func() {
		v, err := chromedp.CallBrowser(bctx, browser.GetVersion, cdp.Empty{})
		first <- started{v, err}
	}()
	var s started
	select {
	case s = <-first:
	case <-sctx.Done():
		s.err = context.Cause(sctx)
	}
	if s.err != nil {
		gone := make(chan error, 1)
		go func() { // ends with the process, which a kill ends
			killProfile(prof.dir)
			free()
			killProfile(prof.dir)
			gone <- prof.remove()
		}()
		err := fmt.Errorf("starting the browser %s: %w", p.exec, s.err)
		select {
		case rerr := <-gone:
			return nil, errors.Join(err, rerr)
		case <-time.After(closeWithin):
			return nil, errors.Join(err, errors.New("its process does not end"))
		}
	}

	b := &process{
		ctx: bctx, done: make(chan struct{}), started: time.Now(),
		session: chromedp.FromContext(bctx).Browser, version: s.version.Product,
	}
	pid := b.session.Process().Pid
	ending := make(chan struct{})
	b.stop = sync.OnceFunc(func() { close(ending) })
	p.mu.Lock()
	p.all[b] = struct{}{}
	p.mu.Unlock()
	p.log.Info("browser started", "version", b.version, "pid", pid)
	go p.tend(b, prof, pid, ending, free)
	return b, nil
}

// tend waits for the end of b, wanted or not, and leaves nothing of it behind.
func (p *Pool) tend(b *process, prof *profile, pid int, ending <-chan struct{}, free func()) {
	defer close(b.done)
	wanted := false
	select {
	case <-ending:
		wanted = true
	case <-b.ctx.Done():
		wanted = p.ctx.Err() != nil
	}
	// The whole group at once: a killed parent alone leaves renderers behind.
	_ = syscall.Kill(-pid, syscall.SIGKILL) // gone already is fine
	free()
	killed := killProfile(prof.dir)
	if err := prof.remove(); err != nil {
		p.log.Warn("a browser profile stays behind", "error", err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, b)
	if p.cur == b {
		p.cur = nil
	}
	p.stats.Killed += killed
	if wanted && !b.hung {
		return
	}
	p.stats.Restarts++
	p.log.Warn("the browser is gone, the next run starts another", "hung", b.hung, "served", b.served)
}

// alive reports whether the browser answers a trivial question in time.
func (b *process) alive() bool {
	ctx, cancel := context.WithTimeout(b.ctx, aliveWithin)
	defer cancel()
	_, err := cdp.Call(ctx, b.session, browser.GetVersion, cdp.Empty{})
	return err == nil
}
