package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// A fault is a server, and how it goes wrong on one connection. It gets the
// request's head and ends with ctx; the connection is closed for it.
type fault struct {
	name string
	up   bool         // it does not go wrong
	tls  bool         // it speaks TLS
	raw  bool         // it is left alone with the connection: no head is read
	wait bool         // it lasts until the probe gives up
	kind string       // of the probe; http when empty
	also probes.Class // the class of failure that is expected, where only one is
	do   func(ctx context.Context, c net.Conn)
}

func says(text string) func(context.Context, net.Conn) {
	return func(_ context.Context, c net.Conn) { _, _ = io.WriteString(c, text) }
}

func html(status, extra, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\n%sContent-Length: %d\r\n\r\n%s", status, extra, len(body), body)
}

// silent waits for the other side to go.
func silent(ctx context.Context, c net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	_, _ = io.Copy(io.Discard, c)
}

// drip writes a byte now and then, without end.
func drip(ctx context.Context, c net.Conn) {
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n"); err != nil {
		return
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
	}
}

func reset(_ context.Context, c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}

// flood writes without end, as long as it is read.
func flood(head, piece string) func(context.Context, net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
		if _, err := io.WriteString(c, head); err != nil {
			return
		}
		block := []byte(strings.Repeat(piece, 1+(64<<10)/len(piece)))
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}
}

// bomb is a gzip body that inflates to eight mebibytes.
func bomb() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(make([]byte, 8<<20)) // into memory
	_ = w.Close()
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", b.Len(), b.String())
}

// faults lists them all. Weights are all alike.
func faults() []fault {
	good := html("200 OK", "Set-Cookie: a=b\r\n", string(page))
	return []fault{
		{name: "good", up: true, do: says(good)},
		{name: "good over tls", up: true, tls: true, do: says(good)},
		{name: "good chunked", up: true, do: says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")},
		{name: "good until closed", up: true, do: says("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"code\":0}")},
		{name: "status 500", also: probes.ClassStatus, do: says(html("500 Internal Server Error", "", "系统异常，请稍后再试"))},
		{name: "maintenance page", do: says(html("200 OK", "", "<html><head><title>系统维护中</title></head><body><h1>系统维护中</h1>给您带来不便敬请谅解</body></html>"))},
		{name: "firewall page", also: probes.ClassAgent, do: says(html("405 Method Not Allowed", "", "<html><title>405</title>您的访问被阻断 请求ID: 7f00</html>"))},
		{name: "reset", also: probes.ClassReset, raw: true, do: reset},
		{name: "reset after the request", do: reset},
		{name: "closed at once", raw: true, do: func(context.Context, net.Conn) {}},
		{name: "hang before the head", wait: true, also: probes.ClassTimeout, raw: true, do: silent},
		{name: "hang within the head", wait: true, also: probes.ClassTimeout, do: func(ctx context.Context, c net.Conn) { says("HTTP/1.1 200 OK\r\nX-")(ctx, c); silent(ctx, c) }},
		{name: "hang within the body", wait: true, also: probes.ClassTimeout, do: func(ctx context.Context, c net.Conn) {
			says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\nhal")(ctx, c)
			silent(ctx, c)
		}},
		{name: "drip", wait: true, also: probes.ClassTimeout, do: drip},
		{name: "redirect loop", also: probes.ClassRedirect, do: says("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")},
		{name: "redirect nowhere", do: says("HTTP/1.1 301 Moved Permanently\r\nLocation: gopher://[::bad\r\nContent-Length: 0\r\n\r\n")},
		{name: "tls not trusted", also: probes.ClassTLS, tls: true, do: says(good)},
		{name: "tls hang", wait: true, kind: "tls", raw: true, do: silent},
		{name: "plain where tls is expected", also: probes.ClassTLS, raw: true, do: says("220 mail ready\r\n")},
		{name: "bad chunks", do: says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n")},
		{name: "short body", do: says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\nshort")},
		{name: "two lengths", do: says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")},
		{name: "not http", do: says("SSH-2.0-OpenSSH_9.2\r\n")},
		{name: "head without end", do: flood("HTTP/1.1 200 OK\r\n", "X-Bomb: "+strings.Repeat("b", 1000)+"\r\n")},
		{name: "body without end", do: flood("HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\n\r\n", "<p>又一行</p>")},
		{name: "gzip bomb", up: true, do: says(bomb())},
		{name: "broken gzip", also: probes.ClassEncoding, do: says("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\nhello, this is no gzip")},
		{name: "tcp good", up: true, kind: "tcp", raw: true, do: says("220 mail ready\r\n")},
		{name: "tcp hang", wait: true, kind: "tcp", raw: true, do: silent},
		{name: "refused", also: probes.ClassConnect, raw: true},
	}
}

// address is how a probe of f is told where it is.
func (f fault) address(addr string) string {
	switch {
	case f.kind != "":
		return addr
	case f.tls || f.also == probes.ClassTLS:
		return "https://" + addr + "/"
	}
	return "http://" + addr + "/"
}

// definition is f's probe.
func (f fault) definition(addr string) string {
	switch f.kind {
	case "tcp":
		return fmt.Sprintf("kind: tcp\nevery: 10s\ntimeout: 5s\ntarget: %s\ndialogue: [{until: \"mail ready\"}]\n", addr)
	case "tls":
		return fmt.Sprintf("kind: tls\nevery: 10s\ntimeout: 5s\ntarget: %s\n", addr)
	}
	return fmt.Sprintf("kind: http\nevery: 10s\ntimeout: 5s\nrequest: %s\nexpect: [\"status == 200\"]\n", f.address(addr))
}

// village is the servers of all faults.
type village struct {
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	addrs map[string]string
}

// newFaults needs of first: CA, where the trusted authority's certificate is put.
func newFaults(ctx context.Context, first order) (part, reply, error) {
	v := &village{addrs: map[string]string{}}
	v.ctx, v.stop = context.WithCancel(ctx)
	trusted, err := issue(first.CA)
	if err != nil {
		return nil, reply{}, err
	}
	stranger, err := issue(first.CA + ".stranger")
	if err != nil {
		return nil, reply{}, err
	}
	for _, f := range faults() {
		cert := &trusted
		if f.also == probes.ClassTLS {
			cert = &stranger
		}
		if err := v.open(f, cert); err != nil {
			return nil, reply{}, fmt.Errorf("opening %q: %w", f.name, err)
		}
	}
	return v, reply{Addr: v.addrs}, nil
}

func (v *village) open(f fault, cert *tls.Certificate) error {
	lis, err := (&net.ListenConfig{}).Listen(v.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	v.addrs[f.name] = lis.Addr().String()
	if f.do == nil {
		return lis.Close() // nobody is there
	}
	context.AfterFunc(v.ctx, func() { lis.Close() })
	v.wg.Go(func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			v.wg.Go(func() { v.serve(f, cert, c) })
		}
	})
	return nil
}

func (v *village) serve(f fault, cert *tls.Certificate, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // closing is all that is left then
	conn := c
	if f.tls {
		conn = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12})
	}
	if !f.raw {
		head := make([]byte, 0, 4096)
		for !bytes.Contains(head, []byte("\r\n\r\n")) && len(head) < cap(head) {
			n, err := conn.Read(head[len(head):cap(head)])
			if err != nil {
				return
			}
			head = head[:len(head)+n]
		}
	}
	f.do(v.ctx, conn)
	if f.tls {
		_ = conn.Close() // says goodbye
	}
}

// answer has nothing to tell.
func (v *village) answer(context.Context, order) (reply, error) { return reply{}, nil }

func (v *village) close() error {
	v.stop()
	v.wg.Wait()
	return nil
}

// named finds a fault.
func named(name string) fault {
	all := faults()
	return all[slices.IndexFunc(all, func(f fault) bool { return f.name == name })]
}
