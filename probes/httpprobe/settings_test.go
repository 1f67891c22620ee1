package httpprobe_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/httpprobe"
)

// compile makes a catalog of one service with one http probe.
func compile(keys string) (*definition.Catalog, error) {
	text := "id: hall\nname: 大厅\nchannel: portal\nurl: https://hall.example.test/grbs\nprobes:\n  - id: page\n    kind: http\n    every: 1m\n    timeout: 10s\n"
	for line := range strings.Lines(strings.Trim(keys, "\n")) {
		text += "    " + strings.TrimRight(line, "\n") + "\n"
	}
	return definition.Compile(definition.Revision{Commit: strings.Repeat("a", 40)},
		[]definition.File{{Path: "services/hall.yaml", Data: []byte(text)}}, []probes.Kind{httpprobe.Kind})
}

func TestDefinitions(t *testing.T) {
	for _, keys := range []string{
		"request: ${service.url}",
		"request: https://政务.example.test/查询?a=b",
		"request: {url: \"${service.url}/${secret:PATH}?k=${secret:KEY}\", method: post, json: {a: [1, \"${secret:KEY}\"]}}",
		"request: {url: \"${service.url}\", follow: 3}",
		"request: {url: \"${service.url}\", follow: false, basic: {user: u, password: \"${secret:P}\"}, headers: {X-A: b}}",
		"request: ${service.url}\nrules: off",
		"steps:\n  - name: 登录\n    request: {url: \"${service.url}\", form: {p: \"${secret:P}\"}}\n    save: {token: json.data.token, id: {css: a, attr: href}}\n  - request: {url: \"${id}\", bearer: \"${token}\", cookies: {a: \"${token}\"}, json: {a: [\"${token}\"]}}\n    expect: [\"saved.token != ''\"]\nexpect: [\"latency < 3s\"]",
		"request: ${service.url}\nnodes: [10.0.0.1, \"10.0.0.2:8443\", \"[::1]:80\", \"::2\", {name: 三号, address: node3.example}]\nip: 4\nprotocol: h2",
		"request: ${service.url}\nip: both\nprotocol: http/1.1\nclient_cert: {cert: \"${secret:C}\", key: \"${secret:K}\"}",
		"request: ${service.url}\nproxy: {url: \"socks5://proxy.example:1080\", user: u, password: \"${secret:P}\"}",
		"request: {url: \"${service.url}\", sign: {algorithm: hmac-sm3, key: \"${secret:K}\", template: \"{method}\\n{path}\\n{body}\", headers: {X: \"{signature}\"}}}",
		"request: ${service.url}\nallow: [10.0.0.0/8, \"::1\", .example, sso.example, 政务.example]",
		"request: ${service.url}\nrules: false",
		"request: ${service.url}\nrules: [soft_404, maintenance]\ncharset: GBK\nmax_body: 1000\nca_file: /etc/ca.pem",
		"request: ${service.url}\nbusiness: {path: head.code, ok: [0, \"0000\", true]}\nexpect: [\"json.code == '0'\"]\nwarn: [\"latency < 800ms\"]",
	} {
		c, err := compile(keys)
		require.NoError(t, err, keys)
		require.Len(t, c.Probes(), 1)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		name, keys string
		want       []string // "line:column: text begins"
	}{
		{"no request", `expect: ["status == 200"]`, []string{"6:5: request: want the address to ask for, got none; write request: ${service.url}"}},
		{"request without an address", `request: {method: GET}`, []string{"10:14: request: want the address"}},
		{"unknown key", `request: {url: "http://a.test/", urll: x}`, []string{"10:38: request.urll: unknown key"}},
		{"unknown method", `request: {url: "http://a.test/", method: FETCH}`, []string{`10:46: request.method: want one of GET, HEAD, POST`}},
		{"another scheme", `request: {url: "ftp://a.test/"}`, []string{`10:20: request.url: want an address such as https://host/path, got "ftp://a.test/"`}},
		{"no host", `request: {url: "https:///x"}`, []string{`10:20: request.url: want an address`}},
		{"broken address", `request: {url: "http://[::1"}`, []string{`10:20: request.url: want an address`}},
		{"user in the address", `request: {url: "http://u:p@a.test/"}`, []string{`10:20: request.url: want an address`}},
		{"two bodies", `request: {url: "http://a.test/", json: {a: b}, body: x}`, []string{`10:14: request: want one of json, form, multipart and body, got 2 of them`}},
		{"body in a GET", `request: {url: "http://a.test/", method: GET, body: x}`, []string{`10:46: request.method: want a method that carries a body, got GET; write method: POST`}},
		{"header of the transport", `request: {url: "http://a.test/", headers: {content-length: "5"}}`, []string{`10:64: request.headers.content-length: want a header of the application`}},
		{"broken header", `request: {url: "http://a.test/", headers: {"X A": "a\nb"}}`, []string{`10:55: request.headers.X A: want a header's name`, `10:55: request.headers.X A: want a value on one line`}},
		{"user without a name", `request: {url: "http://a.test/", basic: {password: x}}`, []string{`10:45: request.basic: want a user and a password`}},
		{"too many redirects", `request: {url: "http://a.test/", follow: 99}`, []string{`10:46: request.follow: want true, false or a number of redirects up to 20, got 99`}},
		{"redirects in words", `request: {url: "http://a.test/", follow: never}`, []string{`10:46: request.follow: want true`}},
		{"unknown field", "request: http://a.test/\nexpect:\n  - status == 200\n  - statu == 200", []string{`13:9: expect[1]: column 1: unknown field "statu"`}},
		{"bad warning", "request: http://a.test/\nwarn: [\"latency < 2\"]", []string{`11:12: warn[0]: column 9: `}},
		{"unknown rule", "request: http://a.test/\nrules: [soft404]", []string{`11:13: rules[0]: want one of waf_405`}},
		{"rule by word", "request: http://a.test/\nrules: soft_404", []string{`11:12: rules: want off, or a list of rules`}},
		{"unknown charset", "request: http://a.test/\ncharset: chinese-simplified", []string{`11:14: charset: want a charset such as utf-8 or gb18030`}},
		{"body bound", "request: http://a.test/\nmax_body: -1", []string{`11:15: max_body: want 1 to 67108864 bytes, got -1`}},
		{"business path", "request: http://a.test/\nbusiness: {path: \"a..b\", ok: [[1]]}", []string{`11:22: business.path: want a dotted path`, `11:35: business.ok[0]: want a code`}},
		{"allowed places", "request: http://a.test/\nallow: [10.0.0.0/99, \"http://x\", \"*.x\", \"\"]", []string{`11:13: allow[0]: want a host such as sso.example`, `11:26: allow[1]`, `11:38: allow[2]`, `11:45: allow[3]`}},
		{"both forms", "request: http://a.test/\nsteps: [{request: http://a.test/}]", []string{`10:14: request: want either request or steps, got both`}},
		{"step without an address", "steps: [{name: a}, {request: {method: GET}}]", []string{`10:13: steps[0].request: want the address`, `10:34: steps[1].request: want the address`}},
		{"mistakes in a step", "steps: [{request: {url: \"ftp://a.test/\", headers: {a b: c}}, expect: [nope], business: {path: a..b}}]", []string{`10:29: steps[0].request.url: want`, `10:61: steps[0].request.headers.a b: want`, `10:75: steps[0].expect[0]: column 1`, `10:99: steps[0].business.path: want`}},
		{"business of a flow", "steps: [{request: http://a.test/}]\nbusiness: {}", []string{`11:15: business: want it inside the step`}},
		{"value that nobody saves", "steps: [{request: http://a.test/}, {request: \"http://a.test/${token}\"}]", []string{`10:50: want ${service.id}`}},
		{"value that a later step saves", "steps: [{request: \"http://a.test/${token}\"}, {request: http://a.test/, save: {token: a}}]", []string{`10:23: steps[0].request.url: want a value that an earlier step saved, got ${token}, which comes later`}},
		{"value as a host", "steps: [{request: http://a.test/, save: {h: a}}, {request: \"http://${h}/\"}]", []string{`10:64: steps[1].request.url: want a saved value as an address or behind the host`}},
		{"nowhere to save from", "steps: [{request: http://a.test/, save: {A: x, a: {}, b: {json: x, css: y}, c: {regexp: \"(\"}, d: {css: \"[\"}, e: {json: $.}, f: {header: x, attr: y}, g: {json: a..b}}}]", []string{
			`10:49: steps[0].save.A: want a name of lower-case`, `10:55: steps[0].save.a: want one of json, regexp`, `10:62: steps[0].save.b: want one of json, regexp, css, header and cookie, got 2`,
			`10:93: steps[0].save.c.regexp: want a regular expression`, `10:108: steps[0].save.d.css: want a selector`, `10:117: steps[0].save.e: want a JSON path`, `10:150: steps[0].save.f.attr: want css`, `10:157: steps[0].save.g: want a path`,
		}},
		{"two credentials", "request: {url: http://a.test/, basic: {user: u}, bearer: \"a\\nb\", cookies: {\"a b\": \"c;d\"}}", []string{`10:14: request: want either basic or bearer`, `10:62: request.bearer: want a token on one line`, `10:87: request.cookies.a b: want a cookie's name`, `10:87: request.cookies.a b: want a cookie's value`}},
		{"parts", "request:\n  url: http://a.test/\n  type: x\n  multipart:\n    - value: a\n    - {name: a, value: b, base64: \"!\"}\n    - {name: a, file: b, type: c d}", []string{`12:13: request.type: want the media type of body`, `14:11: request.multipart[0]: want the field's name`, `15:11: request.multipart[1]: want one of value and base64`, `15:39: request.multipart[1].base64: want base64`, `16:36: request.multipart[2].type: want a media type`}},
		{"nodes", "request: http://a.test/\nnodes: [\"10.0.0.1:99999\", \"http://a\", \"a b\", 10.0.0.2, 10.0.0.2]\nip: both", []string{`11:13: nodes[0]: want a port`, `11:31: nodes[1]: want an address`, `11:43: nodes[2]: want an address`, `11:60: nodes[4]: want a name of its own`, `12:9: ip: want 4 or 6 beside nodes`}},
		{"family", "request: http://a.test/\nip: 5\nprotocol: h4", []string{`11:9: ip: want any, 4, 6 or both, got 5`, `12:15: protocol: want auto, http/1.1, h2 or h3`}},
		{"proxy", "request: http://a.test/\nproxy: {url: \"ftp://x\", password: p}\nip: 4", []string{`11:12: proxy: want a user`, `11:12: proxy: want http://host:port`, `11:12: proxy: want it without nodes and ip`}},
		{"client certificate", "request: http://a.test/\nclient_cert: {cert: x}", []string{`11:18: client_cert: want cert and key`}},
		{"signing", "request: {url: http://a.test/, sign: {algorithm: md5, template: \"{method}{uri}\", encoding: hexx, timestamp: us, headers: {X: \"{sign}\"}}}", []string{`10:42: request.sign: want a place for the signature`, `10:54: request.sign.algorithm: want one of hmac-sha256, hmac-sm3, sha256, sm3`, `10:69: request.sign.template: want {method}, {host}`, `10:96: request.sign.encoding: want one of HEX`, `10:113: request.sign.timestamp: want one of compact`, `10:130: request.sign.headers.X: want {signature}, {timestamp}, {nonce}, got {sign}`}},
		{"signing without a key", "request: {url: http://a.test/, sign: {algorithm: hmac-sm3, headers: {X: \"{signature}\"}}}", []string{`10:42: request.sign: want a key`, `10:42: request.sign: want a template`}},
		{"schema", "request: http://a.test/\nschema: {type: objekt}", []string{`11:13: schema: want a JSON Schema`}},
		{"schema elsewhere", "request: http://a.test/\nschema: {$ref: \"http://a.test/schema\"}", []string{`11:13: schema: want a JSON Schema: `}},
		{"content", "request: http://a.test/\ncontent: {of: bytes, sha256: [a], ignore: [\"(\"]}", []string{`11:19: content.of: want text or body`, `11:35: content.sha256[0]: want 64 hex digits`, `11:48: content.ignore[0]: want a regular`}},
		{"content without a sum", "request: http://a.test/\ncontent: {of: body, ignore: [a]}", []string{`11:14: content: want the sha256`, `11:33: content.ignore: want it with of: text`}},
		{"HTTP/3 in clear", "request: http://a.test/\nprotocol: h3", []string{`11:15: protocol: want https addresses and no proxy for h3`}},
		{"all at once", "request: {url: \"ftp://a.test/\", method: FETCH}\ncharset: nope\nexpect: [\"nope\"]", []string{`10:20: request.url`, `10:45: request.method`, `11:14: charset`, `12:14: expect[0]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := compile(tt.keys)
			var mistakes definition.Mistakes
			require.ErrorAs(t, err, &mistakes)
			require.Len(t, mistakes, len(tt.want), "%v", err)
			for i, want := range tt.want {
				require.Truef(t, strings.HasPrefix(mistakes[i].Error(), "services/hall.yaml:"+want), "want %s, got %s", want, mistakes[i])
			}
		})
	}
}

func TestFieldsAreDocumented(t *testing.T) {
	for _, f := range httpprobe.Fields() {
		require.NotEmpty(t, f.Doc, f.Name)
	}
}
