// Package fleet starts a whole demo on one host as separate processes: the
// bureau, a Git repository of definitions, one coordinator and some agents. The
// demo command and the end-to-end test use it, and meet the programs only
// through their environment, their addresses and their signals.
package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/deploy/demo/bureau"
)

// Site is where one agent of the demo stands.
type Site struct {
	Name, ISP string
	Addr      string // the bureau's address as this site sees it
}

// Sites of the demo, one agent each.
var Sites = []Site{
	{"政务云机房", "unicom", "127.0.2.1"},
	{"信息中心", "telecom", "127.0.2.2"},
	{"公网监测点", "mobile", "127.0.2.3"},
}

// Options say what to start and where.
type Options struct {
	Bin      string // folder with agent, coordinator and bureau
	Dir      string // everything that the demo writes
	Examples string // the definitions to begin with
	// Fixed uses the documented ports, so that links and examples in the
	// documentation work; otherwise free ones are taken.
	Fixed bool
}

// Ports of a fleet.
type Ports struct {
	Bureau, BureauTLS, Control     int
	HTTP, OTLPGRPC, OTLPHTTP, Join int
	Agents                         []int
}

// Fleet is a running demo.
type Fleet struct {
	o     Options
	Ports Ports
	key   string

	mu        sync.Mutex
	processes map[string]*Process
}

// Process is one started program.
type Process struct {
	Name string
	Log  string // file
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// New prepares a fleet: folders, ports, key and the definitions' repository.
func New(ctx context.Context, o Options) (*Fleet, error) {
	f := &Fleet{o: o, processes: map[string]*Process{}}
	for _, d := range []string{"logs", "certs"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("making the demo's folder: %w", err)
		}
	}
	f.Ports = Ports{8000, 8443, 9900, 8080, 4317, 4318, 7946, []int{7951, 7952, 7953}}
	if !o.Fixed {
		ports, err := freePorts(7 + len(Sites))
		if err != nil {
			return nil, err
		}
		f.Ports = Ports{ports[0], ports[1], ports[2], ports[3], ports[4], ports[5], ports[6], ports[7:]}
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making the cluster key: %w", err)
	}
	f.key = base64.StdEncoding.EncodeToString(key)
	if err := f.makeDefinitions(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// freePorts finds ports that are free for TCP and UDP on all loopback addresses now.
func freePorts(n int) ([]int, error) {
	var ports []int
	var held []io.Closer
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for len(ports) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		held = append(held, l)
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue // taken for UDP: held above so that it is not offered again
		}
		held = append(held, u)
		ports = append(ports, port)
	}
	return ports, nil
}

// Definitions is the working copy that a person edits and commits to.
func (f *Fleet) Definitions() string { return filepath.Join(f.o.Dir, "definitions") }

// URL is the dashboard's address.
func (f *Fleet) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", f.Ports.HTTP) }

// Control is the address of the bureau's switches.
func (f *Fleet) Control() string { return fmt.Sprintf("http://127.0.0.1:%d", f.Ports.Control) }

// makeDefinitions makes a Git repository of the examples, unless there is one.
func (f *Fleet) makeDefinitions(ctx context.Context) error {
	dir := f.Definitions()
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		return nil
	}
	replace := strings.NewReplacer(
		":8000", fmt.Sprintf(":%d", f.Ports.Bureau),
		":8443", fmt.Sprintf(":%d", f.Ports.BureauTLS),
		":9900", fmt.Sprintf(":%d", f.Ports.Control))
	err := filepath.WalkDir(f.o.Examples, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(f.o.Examples, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dir, rel), 0o755)
		}
		if ext := filepath.Ext(rel); ext != ".yaml" && ext != ".md" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, rel), []byte(replace.Replace(string(b))), 0o644)
	})
	if err != nil {
		return fmt.Errorf("copying the definitions: %w", err)
	}
	if err := f.git(ctx, "init", "-q", "-b", "main"); err != nil {
		return err
	}
	// A fresh machine's git knows no name, and a person is to commit here.
	for name, value := range map[string]string{"user.name": "Demo", "user.email": "demo@rsj.example"} {
		if err := f.git(ctx, "config", name, value); err != nil {
			return err
		}
	}
	return f.Commit(ctx, "Watch the bureau's services")
}

// Commit commits everything in Definitions with the given subject.
func (f *Fleet) Commit(ctx context.Context, subject string) error {
	if err := f.git(ctx, "add", "-A"); err != nil {
		return err
	}
	return f.git(ctx, "commit", "-q", "-m", subject)
}

func (f *Fleet) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", f.Definitions()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// start runs a program in a process group of its own, so that Ctrl-C reaches
// only us and the stop is ordered, and so that nothing it started can stay behind.
func (f *Fleet) start(name, program string, env []string, args ...string) (*Process, error) {
	logFile := filepath.Join(f.o.Dir, "logs", name+".log")
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(f.o.Bin, program), args...)
	cmd.Env = append(plainEnviron(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &Process{Name: name, Log: logFile, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	f.mu.Lock()
	f.processes[name] = p
	f.mu.Unlock()
	return p, nil
}

// plainEnviron is our environment without settings of the programs we start.
func plainEnviron() []string {
	var out []string
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "AGENT_") && !strings.HasPrefix(line, "COORDINATOR_") {
			out = append(out, line)
		}
	}
	return out
}

// StartBureau starts the demo bureau.
func (f *Fleet) StartBureau(ctx context.Context) error {
	var addrs, names []string
	for _, s := range Sites {
		addrs, names = append(addrs, s.Addr), append(names, s.Name)
	}
	p, err := f.start("bureau", "bureau", nil,
		"-addrs", strings.Join(addrs, ","), "-names", strings.Join(names, ","), "-port", fmt.Sprint(f.Ports.Bureau), "-tls-port", fmt.Sprint(f.Ports.BureauTLS),
		"-control", fmt.Sprintf("127.0.0.1:%d", f.Ports.Control), "-certs", filepath.Join(f.o.Dir, "certs"))
	if err != nil {
		return err
	}
	return f.await(ctx, p, f.Control()+"/_faults")
}

// StartCoordinator starts the coordinator.
func (f *Fleet) StartCoordinator(ctx context.Context) error {
	p, err := f.start("coordinator", "coordinator", f.CoordinatorEnv())
	if err != nil {
		return err
	}
	return f.await(ctx, p, f.URL()+"/healthz")
}

// CoordinatorEnv is the coordinator's configuration.
func (f *Fleet) CoordinatorEnv() []string {
	return []string{
		"COORDINATOR_NAME=coordinator-1",
		fmt.Sprintf("COORDINATOR_HTTP=127.0.0.1:%d", f.Ports.HTTP),
		fmt.Sprintf("COORDINATOR_OTLP_GRPC=127.0.0.1:%d", f.Ports.OTLPGRPC),
		fmt.Sprintf("COORDINATOR_OTLP_HTTP=127.0.0.1:%d", f.Ports.OTLPHTTP),
		fmt.Sprintf("COORDINATOR_GOSSIP_BIND=127.0.0.1:%d", f.Ports.Join),
		"COORDINATOR_GOSSIP_PROFILE=local",
		"COORDINATOR_CLUSTER_KEY=" + f.key,
		"COORDINATOR_DATA_DIR=" + filepath.Join(f.o.Dir, "coordinator"),
		"COORDINATOR_GIT_URL=" + f.Definitions(),
		"COORDINATOR_GIT_POLL=2s",
		"COORDINATOR_TITLE=某市人社公共服务拨测",
		"COORDINATOR_CLIENT=某市人力资源和社会保障局信息中心",
		"COORDINATOR_COMPILER=某运行维护项目组",
		"COORDINATOR_SECRET_WEBHOOK=demo-webhook-secret",
	}
}

// AgentName is the name of agent i.
func AgentName(i int) string { return fmt.Sprintf("agent-%d", i+1) }

// StartAgent starts agent i, at Sites[i].
func (f *Fleet) StartAgent(i int) error {
	_, err := f.start(AgentName(i), "agent", f.AgentEnv(i))
	return err
}

// AgentEnv is the configuration of agent i.
func (f *Fleet) AgentEnv(i int) []string {
	s := Sites[i]
	return []string{
		"AGENT_NAME=" + AgentName(i), "AGENT_SITE=" + s.Name, "AGENT_ISP=" + s.ISP,
		fmt.Sprintf("AGENT_GOSSIP_BIND=127.0.0.1:%d", f.Ports.Agents[i]),
		fmt.Sprintf("AGENT_JOIN=127.0.0.1:%d", f.Ports.Join),
		"AGENT_GOSSIP_PROFILE=local",
		"AGENT_CLUSTER_KEY=" + f.key,
		"AGENT_DATA_DIR=" + filepath.Join(f.o.Dir, AgentName(i)),
		fmt.Sprintf("AGENT_HOSTS=*.rsj.example=%s,zwfw.example=%s,*.zwfw.example=%s,open.weixin.example=%s", s.Addr, s.Addr, s.Addr, s.Addr),
		"AGENT_CA_FILE=" + filepath.Join(f.o.Dir, "certs", "ca.pem"),
		"AGENT_SECRET_TEST_ID=11010119900307000X",
		"AGENT_SECRET_SHARE_KEY=" + bureau.ShareKey,
	}
}

// StartAll starts everything in order.
func (f *Fleet) StartAll(ctx context.Context) error {
	if err := f.StartBureau(ctx); err != nil {
		return err
	}
	if err := f.StartCoordinator(ctx); err != nil {
		return err
	}
	for i := range Sites {
		if err := f.StartAgent(i); err != nil {
			return err
		}
	}
	return nil
}

// await waits until address answers, the process ends, or ctx does.
func (f *Fleet) await(ctx context.Context, p *Process, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", p.Name, err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode < 500 {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended at once: %s", p.Name, lastLine(p.Log))
		case <-ctx.Done():
			return fmt.Errorf("%s did not answer at %s: %w; its log is %s", p.Name, address, ctx.Err(), p.Log)
		case <-tick.C:
		}
	}
}

func lastLine(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// Process returns a started process by name.
func (f *Fleet) Process(name string) *Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.processes[name]
}

// Processes lists all that are running.
func (f *Fleet) Processes() []*Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*Process
	for _, p := range f.processes {
		select {
		case <-p.done:
		default:
			out = append(out, p)
		}
	}
	return out
}

// Kill ends a process with SIGKILL, as a power cut would.
func (f *Fleet) Kill(name string) error {
	p := f.Process(name)
	if p == nil {
		return fmt.Errorf("killing %s: not started", name)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("killing %s: %w", name, err)
	}
	<-p.done
	return nil
}

// Stop ends one process with SIGTERM and waits; false when it had to be killed.
func (f *Fleet) stop(p *Process, within time.Duration) error {
	select {
	case <-p.done:
	default:
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stopping %s: %w", p.Name, err)
		}
		select {
		case <-p.done:
		case <-time.After(within):
			if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil {
				return fmt.Errorf("killing %s, which did not stop within %s: %w", p.Name, within, err)
			}
			<-p.done
			return fmt.Errorf("%s did not stop within %s and was killed; its log is %s", p.Name, within, p.Log)
		}
	}
	// Whatever it left in its group ends too.
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sweeping after %s: %w", p.Name, err)
	}
	return nil
}

// StopOne stops one process by name.
func (f *Fleet) StopOne(name string) error {
	p := f.Process(name)
	if p == nil {
		return fmt.Errorf("stopping %s: not started", name)
	}
	return f.stop(p, 30*time.Second)
}

// StopAll stops agents first, so that their last traces arrive, then the rest.
func (f *Fleet) StopAll() error {
	var errs []error
	var wait sync.WaitGroup
	var mu sync.Mutex
	for i := range Sites {
		if p := f.Process(AgentName(i)); p != nil {
			wait.Go(func() {
				if err := f.stop(p, 30*time.Second); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		}
	}
	wait.Wait()
	for _, name := range []string{"coordinator", "bureau"} {
		if p := f.Process(name); p != nil {
			errs = append(errs, f.stop(p, 30*time.Second))
		}
	}
	return errors.Join(errs...)
}
