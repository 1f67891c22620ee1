package httpprobe

import (
	"testing"

	"github.com/gengfu/gengfu/probes"
)

// BenchmarkRun is a run without its system calls: what the kind itself costs.
func BenchmarkRun(b *testing.B) {
	const head = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 25 Nov 2026 10:00:00 GMT\r\nConnection: close\r\n"
	for _, bb := range []struct{ name, definition, reply string }{
		{"plain", `request: http://127.0.0.1/health`, head + "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nUP\n"},
		{"expect", `{request: http://127.0.0.1/health, expect: ["status == 200", "latency < 2s"]}`, head + "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nUP\n"},
		{"page", `{request: http://127.0.0.1/, expect: ["status == 200", "text contains '办事'"]}`, head + "Content-Type: text/html; charset=utf-8\r\n\r\n<!doctype html><title>公共服务平台</title><ul>" + items(200) + "</ul>"},
		{"json", `{request: http://127.0.0.1/, business: {}, expect: ["status == 200"]}`, head + "Content-Type: application/json\r\nContent-Length: 37\r\n\r\n{\"code\":\"0\",\"data\":{\"total\":3,\"x\":1}}"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := defined(b, bb.definition)
			env := says([]byte(bb.reply))
			env.Record = probes.Discard
			b.ReportAllocs()
			for b.Loop() {
				r, err := p.Probe(b.Context(), env)
				if err != nil || r.Verdict != probes.Up {
					b.Fatal(r, err)
				}
			}
		})
	}
}

func items(n int) string {
	s := ""
	for range n {
		s += "<li><a href=/x>在线办事</a></li>"
	}
	return s
}
