package probetest

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/probes"
)

// Conformance says how Conform makes definitions of one kind.
type Conformance struct {
	Kind probes.Kind
	// Settings writes a definition that looks at addr ("host:port") over plain TCP.
	Settings func(addr string) string
	// SecretSettings does the same and sends ${secret:CONFORM} in every place
	// where the kind may. Nil for a kind that sends no secrets.
	SecretSettings func(addr string) string
	// Adjust completes the Env, with a browser for example. May be nil.
	Adjust func(*probes.Env)
	// Connects is set for a kind that is content once a connection stands: it
	// is not asked what it makes of a peer that says nothing or cuts.
	Connects bool
	// Deadline is what a run against a mute peer is given; 0 is 300 ms, enough
	// where nothing but a connection is made.
	Deadline time.Duration
	// Ignore are goroutines that the kind's surroundings own.
	Ignore []goleak.Option
}

const (
	secretName  = "CONFORM"
	secretValue = `s3cr&t "Wert"/42`
	missingName = "nowhere.conform.test"
	// patience is how long a run may go on after its end was due.
	patience = 30 * time.Second
)

// Conform checks what every kind must do: end in time, leave no goroutine, tell
// the service's failures from the agent's, and keep secrets.
func Conform(t *testing.T, c Conformance) {
	t.Helper()
	require.NotEmpty(t, c.Kind.Name)
	require.NotEmpty(t, c.Kind.Doc)
	t.Run("refused", func(t *testing.T) { c.fails(t, closedPort(t), probes.ClassConnect) })
	t.Run("unknown name", func(t *testing.T) { c.fails(t, missingName+":80", probes.ClassDNS) })
	t.Run("cut", func(t *testing.T) {
		if c.Connects {
			t.Skip("the kind ends with the connection")
		}
		c.fails(t, listen(t, cut), probes.ClassReset)
	})
	t.Run("deadline", func(t *testing.T) {
		if c.Connects {
			t.Skip("the kind ends with the connection")
		}
		c.deadline(t, listen(t, mute))
	})
	t.Run("called off", func(t *testing.T) {
		if c.Connects {
			t.Skip("the kind ends with the connection")
		}
		c.calledOff(t)
	})
	t.Run("secrets", func(t *testing.T) {
		if c.SecretSettings == nil {
			t.Skip("the kind sends no secrets")
		}
		c.secrets(t)
	})
	t.Run("side by side", func(t *testing.T) { c.sideBySide(t) })
}

// run performs one run and checks that it left nothing behind.
func (c Conformance) run(ctx context.Context, t *testing.T, source string, secrets map[string]string) (probes.Result, *Recorder, error) {
	t.Helper()
	env, rec := Env(t, nil, secrets)
	if c.Adjust != nil {
		c.Adjust(&env)
	}
	p := Decode(t, c.Kind, source)
	before := goleak.IgnoreCurrent()
	r, err := p.Probe(ctx, env)
	require.Eventually(t, func() bool {
		return goleak.Find(append(c.Ignore, before)...) == nil
	}, patience, 10*time.Millisecond, "a goroutine was left behind")
	return r, rec, err
}

func (c Conformance) fails(t *testing.T, addr string, class probes.Class) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, rec, err := c.run(ctx, t, c.Settings(addr), nil)
	require.NoError(t, err, "a failure of the service is a Result")
	require.Equal(t, probes.Down, r.Verdict, "%+v", r)
	require.Equal(t, class, r.Class, "%+v", r)
	require.NotEmpty(t, r.Findings)
	require.Equal(t, class, r.Findings[0].Class)
	Readable(t, r)
	require.NotEmpty(t, rec.Spans(), "a run without a span cannot be explained")
}

func (c Conformance) deadline(t *testing.T, addr string) {
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(c.Deadline, 300*time.Millisecond))
	defer cancel()
	start := time.Now()
	r, _, err := c.run(ctx, t, c.Settings(addr), nil)
	require.Less(t, time.Since(start), patience, "the run went on after its deadline")
	require.NoError(t, err)
	require.Equal(t, probes.Down, r.Verdict, "%+v", r)
	require.Equal(t, probes.ClassTimeout, r.Class, "%+v", r)
	Readable(t, r)
}

// calledOff ends a run from outside: that says nothing about the service.
func (c Conformance) calledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	addr := listen(t, func(conn net.Conn) {
		cancel()
		mute(conn)
	})
	r, _, err := c.run(ctx, t, c.Settings(addr), nil)
	if err == nil {
		require.Equal(t, probes.Unknown, r.Verdict, "%+v", r)
	}
}

func (c Conformance) secrets(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen heard
	addr := listen(t, seen.echo)
	r, rec, err := c.run(ctx, t, c.SecretSettings(addr), map[string]string{secretName: secretValue})
	require.NoError(t, err)
	require.NotEmpty(t, seen.text(), "the peer heard nothing")
	all, err := json.Marshal(r)
	require.NoError(t, err)
	text := string(all) + rec.Text()
	for _, e := range r.Evidence {
		text += string(e.Data)
	}
	redactor := probes.NewRedactor([]string{secretValue})
	require.NotEqual(t, seen.text(), redactor.Secrets(seen.text()), "the secret never reached the peer")
	require.Equal(t, redactor.Secrets(text), text, "a secret stands in the result or in a span")

	_, _, err = c.run(ctx, t, c.SecretSettings(addr), nil)
	require.ErrorContains(t, err, secretName, "a secret that is not set is the agent's fault")
}

// sideBySide runs one prober many times at once; the race detector looks on.
func (c Conformance) sideBySide(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := Decode(t, c.Kind, c.Settings(closedPort(t)))
	var group sync.WaitGroup
	results := make([]probes.Result, 4)
	errs := make([]error, len(results))
	for i := range results {
		env, _ := Env(t, nil, nil)
		if c.Adjust != nil {
			c.Adjust(&env)
		}
		group.Go(func() { results[i], errs[i] = p.Probe(ctx, env) })
	}
	group.Wait()
	for i, r := range results {
		require.NoError(t, errs[i])
		require.Equal(t, probes.ClassConnect, r.Class)
	}
}

// closedPort is a loopback address where nothing listens.
func closedPort(t testing.TB) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	return addr
}

// listen serves every connection with serve until the test ends.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		open  []net.Conn
	)
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			group.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return l.Addr().String()
}

// mute reads and never answers.
func mute(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// cut waits for the peer to speak and resets the connection.
func cut(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1))
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// heard remembers what a peer was sent.
type heard struct {
	mu  sync.Mutex
	all strings.Builder
}

func (h *heard) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.String()
}

// echo answers an HTTP request with status 500 and all that it was sent.
func (h *heard) echo(conn net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", req.RequestURI)
	_ = req.Header.Write(&b)
	_, _ = io.Copy(&b, req.Body)
	if user, password, ok := req.BasicAuth(); ok {
		b.WriteString("\n" + user + " " + password)
	}
	h.mu.Lock()
	h.all.WriteString(b.String())
	h.mu.Unlock()
	fmt.Fprintf(conn, "HTTP/1.1 500 Oops\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\nX-Echo: %s\r\n\r\n%s",
		b.Len(), strings.Join(strings.Fields(b.String()), " "), b.String())
}

// Loopback is where test servers listen.
var Loopback = netip.MustParseAddr("127.0.0.1")
