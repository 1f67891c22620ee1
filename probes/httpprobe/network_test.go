package httpprobe_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/httpprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

// hang answers nothing until the probe leaves.
func hang(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// raw answers with bytes of its own making and cuts the connection.
func raw(reply string, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, reply)
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			// A reset may overtake what was written; give it a head start.
			time.Sleep(50 * time.Millisecond)
			_ = tcp.SetLinger(0)
		}
	}
}

func TestNetworkFailures(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
	for _, tt := range []struct {
		name  string
		reply http.HandlerFunc
		class probes.Class
		phase string // the last span; empty where the kernel decides
		says  string // the finding's sentence, as a regular expression
	}{
		{"reset before the reply", raw("", true), probes.ClassReset, "first_byte", `重置了连接$`},
		{"closed before the reply", raw("", false), probes.ClassReset, "first_byte", `没有应答就断开了连接$`},
		{"reset in the body", raw(head+"Content-Length: 1000\r\n\r\nhalf", true), probes.ClassReset, "", `重置了连接|没有应答就断开了连接`},
		{"closed before Content-Length", raw(head+"Content-Length: 1000\r\n\r\nhalf", false), probes.ClassReset, "body", `的应答没有传完就断开了$`},
		{"closed inside a chunk", raw(head+"Transfer-Encoding: chunked\r\n\r\nff\r\nhalf", false), probes.ClassReset, "body", `的应答没有传完就断开了$`},
		{"broken chunk", raw(head+"Transfer-Encoding: chunked\r\n\r\nzz\r\nhalf", false), probes.ClassReset, "body", `^与 \S+ 的连接出错（.*invalid byte in chunk length）$`},
		{"closed inside gzip", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
		}, probes.ClassReset, "body", `的应答没有传完就断开了$`},
		{"no gzip under its name", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("plain text"))
		}, probes.ClassEncoding, "body", `^应答的压缩数据损坏（gzip: invalid header）$`},
		{"another protocol", raw("SSH-2.0-OpenSSH_9.2\r\n\r\n", false), probes.ClassContent, "first_byte", `的应答不是 HTTP（.*malformed HTTP`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, rec := probe(t, "request: "+serve(t, tt.reply))
			require.Equal(t, probes.Down, r.Verdict, "%+v", r)
			require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
			require.Equal(t, "request", r.Findings[0].Step)
			require.Regexp(t, tt.says, sentence(r))
			spans := rec.Spans()
			last := spans[len(spans)-1]
			if tt.phase != "" {
				require.Equal(t, tt.phase, last.Name)
			}
			require.Equal(t, tt.class, last.Class)
			require.Error(t, last.Err)
			require.Equal(t, tt.class, spans[0].Class, "the step fails with its phase")
			require.Positive(t, r.Timings.Total)
		})
	}
}

func TestTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply http.HandlerFunc
		phase string
	}{
		{"no reply", hang, "first_byte"},
		{"half a body", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("half"))
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}, "body"},
		{"slow drip", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("."))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}, "body"},
		{"after a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/next", http.StatusFound)
				return
			}
			hang(w, r)
		}, "first_byte"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cause := func(ctx context.Context, _ *probes.Env) context.Context {
				// A cause of the caller's own must still read as a timeout.
				ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Second, fmt.Errorf("the run's time is over"))
				t.Cleanup(cancel)
				return ctx
			}
			r, rec := probe(t, "request: "+serve(t, tt.reply)+"/\nexpect: ['status == 200']", cause)
			require.Equal(t, probes.Down, r.Verdict)
			require.Equal(t, probes.ClassTimeout, r.Class, "%+v", r.Findings)
			require.GreaterOrEqual(t, r.Timings.Total, 1900*time.Millisecond)
			spans := rec.Spans()
			require.Equal(t, tt.phase, spans[len(spans)-1].Name)
			require.Equal(t, probes.ClassTimeout, spans[len(spans)-1].Class)
			require.Len(t, r.Checks, 1)
			require.Equal(t, tt.phase == "body", r.Findings[0].Phrase == probes.PhraseBodyTimeout)
			require.Regexp(t, `[\d.]+秒内没有收[到完] \S+ 的应答$`, sentence(r))
			require.Len(t, r.Findings, 1, "what did not come cannot fail an expectation, too")
		})
	}
}

func TestSlowReplyIsUpWithItsLatency(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(150 * time.Millisecond)
		send(200, utf8HTML, hall)(w, r)
	})
	r, _ := probe(t, "request: "+url+"\nwarn: ['latency < 100ms']")
	require.Equal(t, probes.Degraded, r.Verdict)
	require.Equal(t, probes.ClassLatency, r.Class)
}

func TestCalledOffIsNobodysFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		hang(w, r)
	})
	env, _ := probetest.Env(t, nil, nil)
	url = strings.Replace(url, host, "127.0.0.1", 1)
	r, err := probetest.Decode(t, httpprobe.Kind, "request: "+url).Probe(ctx, env)
	require.ErrorContains(t, err, "stopped")
	require.Equal(t, probes.Unknown, r.Verdict)
}

func TestRefusedAndSilentAddresses(t *testing.T) {
	url := serve(t, hang)
	addr := strings.Replace(strings.TrimPrefix(url, "http://"), host, "127.0.0.1", 1)
	failing := func(err error) option {
		return func(ctx context.Context, env *probes.Env) context.Context {
			env.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if err == nil {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", err)}
			}
			return ctx
		}
	}
	for says, err := range map[string]error{
		addr + " 拒绝连接":              syscall.ECONNREFUSED,
		"到 " + addr + " 的网络不通":      syscall.EHOSTUNREACH,
		"连接 " + addr + " 超时（300毫秒）": nil,
	} {
		r, rec := probe(t, "request: "+url, within(t, 300*time.Millisecond), failing(err))
		require.Equal(t, probes.Down, r.Verdict)
		if err == nil {
			require.Equal(t, probes.ClassTimeout, r.Class)
			require.Regexp(t, strings.Replace(says, "300毫秒", `[\d.]+毫?秒`, 1), sentence(r))
		} else {
			require.Equal(t, probes.ClassConnect, r.Class)
			require.Equal(t, says, sentence(r))
		}
		last := rec.Spans()[len(rec.Spans())-1]
		require.Equal(t, "connect", last.Name)
		var f *probes.Failure
		require.ErrorAs(t, last.Err, &f, "the span says it by the same phrase")
		require.Equal(t, r.Findings[0].Phrase, f.Phrase)
	}
}

func TestUnknownName(t *testing.T) {
	r, rec := probe(t, "request: http://nowhere.example.test/")
	require.Equal(t, probes.ClassDNS, r.Class)
	require.Equal(t, "域名 nowhere.example.test 不存在", sentence(r))
	require.Equal(t, []string{"request", "request/dns"}, rec.Names())
	require.Positive(t, r.Timings.DNS)
	require.Zero(t, r.Status)
}

// one counts dials and fails those to the first address.
type oneBad struct {
	mu    sync.Mutex
	dials []string
}

func (o *oneBad) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	o.mu.Lock()
	o.dials = append(o.dials, addr)
	n := len(o.dials)
	o.mu.Unlock()
	if n == 1 {
		// A black hole: nothing comes back until the attempt's time is over.
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

func TestNextAddressIsTriedWhenOneIsSilent(t *testing.T) {
	url := serve(t, send(200, utf8HTML, hall))
	var o oneBad
	r, rec := probe(t, "request: "+url, within(t, 8*time.Second), func(ctx context.Context, env *probes.Env) context.Context {
		env.Dial = o.dial
		env.Resolver = probetest.Addresses(t, host, "127.0.0.1", "127.0.0.1")
		return ctx
	})
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.Len(t, o.dials, 2)
	require.Equal(t, []string{"request", "request/dns", "request/connect", "request/connect", "request/request", "request/first_byte", "request/body"}, rec.Names())
	require.Equal(t, probes.ClassTimeout, rec.Spans()[2].Class)
}

func TestBodiesAreBounded(t *testing.T) {
	zeros := strings.Repeat("0", 1<<20)
	var packed bytes.Buffer // packed once: a busy machine takes seconds for each bomb
	z := gzip.NewWriter(&packed)
	_, err := io.WriteString(z, zeros)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, tt := range []struct {
		name  string
		reply http.HandlerFunc
	}{
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, zeros); err != nil {
					return
				}
			}
		}},
		{"gzip bomb", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			for i := 0; i < 256 && r.Context().Err() == nil; i++ {
				if _, err := w.Write(packed.Bytes()); err != nil {
					return
				}
			}
		}},
		{"endless gzip without content", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			var members bytes.Buffer
			for members.Len() < 4096 {
				// Empty members inflate to nothing, for ever.
				_ = gzip.NewWriter(&members).Close()
			}
			for r.Context().Err() == nil {
				if _, err := w.Write(members.Bytes()); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := probe(t, "request: "+serve(t, tt.reply)+"\nmax_body: 100000")
			require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
			require.InDelta(t, 1, r.Measures["body_cut"], 0)
			require.LessOrEqual(t, r.Measures["body_bytes"], 100000.0)
		})
	}
}

func TestUsualBodyBound(t *testing.T) {
	r, _ := probe(t, "request: "+serve(t, send(200, "text/plain", strings.Repeat("x", 3<<20))))
	require.InDelta(t, 2<<20, r.Measures["body_bytes"], 0)
	require.Equal(t, probes.Up, r.Verdict)
}

func TestCompressedBodies(t *testing.T) {
	for _, encoding := range []string{"gzip", "deflate"} {
		t.Run(encoding, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", utf8HTML)
				w.Header().Set("Content-Encoding", encoding)
				var z io.WriteCloser = gzip.NewWriter(w)
				if encoding == "deflate" {
					z = zlib.NewWriter(w)
				}
				_, _ = io.WriteString(z, hall)
				_ = z.Close()
			})
			r, _ := probe(t, "request: "+url+"\nexpect: [\"text contains '失业登记'\"]")
			require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
			require.InDelta(t, len(hall), r.Measures["body_bytes"], 0)
		})
	}
}
