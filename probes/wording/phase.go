package wording

// phases are the names of spans below a step, and of the run itself.
var phases = map[string]pair{
	"run":        {"整次拨测", "the whole run"},
	"dns":        {"域名解析", "dns"},
	"connect":    {"建立连接", "connect"},
	"proxy":      {"经代理接通", "proxy"},
	"tls":        {"加密握手", "tls"},
	"echo":       {"一次往返", "echo"},
	"request":    {"发送请求", "request"},
	"first_byte": {"等待首字节", "first byte"},
	"body":       {"接收内容", "body"},
	"navigate":   {"打开页面", "navigate"},
	"screenshot": {"截图", "screenshot"},
	"evidence":   {"保存证据", "evidence"},
	"resource":   {"资源", "resource"},
	"document":   {"页面", "document"},
	"script":     {"脚本", "script"},
	"stylesheet": {"样式", "stylesheet"},
	"image":      {"图片", "image"},
	"font":       {"字体", "font"},
	"xhr":        {"接口", "xhr"},
	"fetch":      {"接口", "fetch"},
	"media":      {"媒体", "media"},
	"other":      {"其他", "other"},
}

// Phase is the word for a span below a step, or for the type of a resource. A
// name that has no word is left as it is.
func Phase(l Lang, name string) string {
	if p, ok := phases[name]; ok {
		return p.in(l)
	}
	return name
}
