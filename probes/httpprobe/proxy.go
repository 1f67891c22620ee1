package httpprobe

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/gengfu/gengfu/probes"
)

// proxySettings name a proxy.
type proxySettings struct {
	URL      string `yaml:"url" doc:"http://host:port, https://host:port or socks5://host:port" zh:"http://主机:端口、https://主机:端口 或 socks5://主机:端口"`
	User     string `yaml:"user" doc:"who asks, where the proxy wants to know" zh:"代理的用户名"`
	Password string `yaml:"password" doc:"the password, usually ${secret:NAME}" zh:"口令，一般写 ${secret:名称}"`
}

// UnmarshalYAML takes the short form, an address alone, too.
func (p *proxySettings) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&p.URL) == nil {
		return nil
	}
	type plain proxySettings
	return unmarshal((*plain)(p))
}

// relay is a proxy, checked. It resolves the names of what it is asked for.
type relay struct {
	scheme, host, port string
	user, password     template
}

func (c *checker) proxy(p *proxySettings) *relay {
	if p == nil {
		return nil
	}
	scheme, rest, _ := strings.Cut(p.URL, "://")
	host, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
	n, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || n == 0 || host == "" || strings.ContainsAny(host, "@/") || scheme != "http" && scheme != "https" && scheme != "socks5" {
		c.mistake("proxy", "want http://host:port, https://host:port or socks5://host:port, got %q", p.URL)
	}
	if p.User == "" && p.Password != "" {
		c.mistake("proxy", "want a user beside the password, got none")
	}
	return &relay{scheme, host, port, c.template("proxy.user", p.User), c.template("proxy.password", p.Password)}
}

func (r *relay) String() string { return net.JoinHostPort(r.host, r.port) }

// authorization is what an HTTP proxy is told; empty for nothing.
func (s *session) proxyAuthorization() string {
	user := s.proxy.user.fill(&s.values, nil)
	if user == "" {
		return ""
	}
	token := base64.StdEncoding.EncodeToString([]byte(user + ":" + s.proxy.password.fill(&s.values, nil)))
	s.hide(token)
	return "Basic " + token
}

// unwell says that the proxy, which is this agent's and not the service's, fails.
func (h *hop) unwell(ctx context.Context, err error) error {
	if errors.Is(err, errStopped) || errors.Is(ctx.Err(), context.Canceled) {
		return errStopped
	}
	// Only the text goes on: a failure inside would read as the service's.
	return &probes.Trouble{Phrase: probes.PhraseProxy, Want: h.proxy.String(), Err: errors.New(probes.Excerpt(h.redact.Text(err.Error())))}
}

// admitName judges by name and literal address where a proxy is asked to go, as
// it resolves names itself.
func (h *hop) admitName(host string) *probes.Failure {
	addr, err := netip.ParseAddr(host)
	if err != nil && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		addr, err = netip.IPv6Loopback(), nil
	}
	if err != nil {
		return nil
	}
	if !h.ask.led {
		h.region = regionOf(addr)
	}
	return h.admit(addr)
}

// openByProxy connects to the proxy and has it connect to the host, unless it
// takes whole addresses.
func (h *hop) openByProxy(ctx context.Context) (link, error) {
	host := h.ask.url.Hostname()
	if refusal := h.admitName(host); refusal != nil {
		return link{}, refusal
	}
	addrs, err := h.resolve(ctx, h.proxy.host)
	if err != nil {
		return link{}, h.unwell(ctx, err)
	}
	l, err := h.connect(ctx, addrs, h.proxy.port, func(netip.Addr) *probes.Failure { return nil })
	if err != nil {
		return link{}, h.unwell(ctx, err)
	}
	start := time.Now()
	err = h.tunnel(ctx, &l, net.JoinHostPort(host, h.ask.port()))
	if !l.proxied || err != nil {
		h.time.Connect += h.phase(ctx, "proxy", start, err, probes.Attr{Key: "server.address", Value: h.proxy.host})
	}
	if err != nil {
		l.Close()
		l.Conn = nil
		if errors.As(err, new(*probes.Trouble)) || errors.Is(err, errStopped) {
			return l, err
		}
		return l, h.fail(ctx, "proxy", start, err)
	}
	return l, nil
}

// tunnel makes l lead to target.
func (h *hop) tunnel(ctx context.Context, l *link, target string) error {
	stop := bind(ctx, l.Conn)
	defer stop()
	if h.proxy.scheme == "socks5" {
		return h.socks(ctx, l, target)
	}
	if h.proxy.scheme == "https" {
		conn := tls.Client(l.Conn, &tls.Config{ServerName: h.proxy.host, RootCAs: h.roots, MinVersion: tls.VersionTLS12})
		if err := conn.HandshakeContext(ctx); err != nil {
			return h.unwell(ctx, err)
		}
		l.Conn = conn
	}
	if h.ask.url.Scheme == "http" {
		l.proxied = true
		return nil
	}
	request := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n"
	if v := h.proxyAuthorization(); v != "" {
		request += "Proxy-Authorization: " + v + "\r\n"
	}
	if _, err := l.Write([]byte(request + "\r\n")); err != nil {
		return h.unwell(ctx, err)
	}
	r := bufio.NewReader(&limited{Conn: l.Conn, n: maxHead})
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // a tunnel has none, and a refusal's ends with the connection
	switch {
	case err != nil && ctx.Err() == nil && !probes.Waited(err):
		return h.unwell(ctx, err)
	case err != nil:
		return err
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return h.unwell(ctx, errors.New(status(resp.StatusCode)))
	case resp.StatusCode/100 != 2:
		return h.refused(status(resp.StatusCode))
	case r.Buffered() > 0:
		return h.unwell(ctx, errors.New("the proxy speaks before it is asked"))
	}
	return nil
}

func (h *hop) refused(why string) error {
	return &probes.Failure{Class: probes.ClassConnect, Phrase: probes.PhraseProxyRefused, Want: h.proxy.String(), Got: probes.Excerpt(why)}
}

// socks asks a SOCKS5 proxy (RFC 1928, RFC 1929).
func (h *hop) socks(ctx context.Context, l *link, target string) error {
	var auth *proxy.Auth
	if user := h.proxy.user.fill(&h.values, nil); user != "" {
		auth = &proxy.Auth{User: user, Password: h.proxy.password.fill(&h.values, nil)}
	}
	d, err := proxy.SOCKS5("tcp", h.proxy.String(), auth, already{l.Conn})
	if err != nil {
		return fmt.Errorf("asking the SOCKS proxy: %w", err)
	}
	conn, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", target)
	switch {
	case err == nil:
		l.Conn = conn
		return nil
	case ctx.Err() != nil, probes.Waited(err):
		return err
	case strings.Contains(err.Error(), "authentication"), probes.Classify(err) == probes.ClassReset:
		return h.unwell(ctx, err)
	}
	return h.refused(h.redact.Text(strings.TrimPrefix(err.Error(), "socks connect ")))
}

// already is a dialer of a connection that stands.
type already struct{ net.Conn }

func (a already) Dial(string, string) (net.Conn, error) { return a.Conn, nil }

func (a already) DialContext(context.Context, string, string) (net.Conn, error) { return a.Conn, nil }
