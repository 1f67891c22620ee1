package wording

// kinds are the ways to probe, as a person calls what is looked at.
var kinds = map[string]pair{
	"browser":   {"浏览器", "browser"},
	"dns":       {"域名解析", "DNS"},
	"http":      {"HTTP", "HTTP"},
	"icmp":      {"Ping", "ping"},
	"tcp":       {"端口", "TCP port"},
	"tls":       {"证书", "TLS"},
	"websocket": {"WebSocket", "WebSocket"},
}

// Kind is the short word for a kind of probe; its id when it has none.
func Kind(l Lang, kind string) string {
	if p, ok := kinds[kind]; ok {
		return p.in(l)
	}
	return kind
}
