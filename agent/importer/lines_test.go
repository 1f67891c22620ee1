package importer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/importer"
	"github.com/gengfu/gengfu/probes/kinds"
)

// TestLines holds single things: what is said of them, and what is written.
func TestLines(t *testing.T) {
	endpoint := func(more ...string) string {
		return "endpoints:\n- name: a\n  url: https://a.example/\n  " + strings.Join(more, "\n  ") + "\n"
	}
	monitor := func(more string) string {
		return `[{"type":"http","name":"a","url":"https://a.example/",` + "\n" + more + "}]"
	}
	for _, c := range []struct {
		name, format, src, targets string
		notes                      []string // all of them, by their beginning
		has, hasNot                []string // of the file; no has means no file
	}{
		{
			"our own mark for secrets", "gatus", endpoint("headers: {X: '${secret:OTHER}'}"), "",
			[]string{"in:4: endpoint a: headers: it holds a ${secret:…}"},
			nil, nil,
		},
		{
			"a header that every request sets", "gatus", endpoint("headers: {Content-Length: '3', X: y}", "conditions: ['[STATUS] == 200']"), "",
			[]string{"in:4: header Content-Length: "},
			[]string{"X: \"y\""},
			[]string{"Content-Length"},
		},
		{
			"a header with two mistakes", "gatus", endpoint("headers: {'bad name': \"a\\nb\", X: y}", "conditions: ['[STATUS] == 200']"), "",
			[]string{"in:4: header bad name: "},
			[]string{"X: \"y\""},
			[]string{"bad"},
		},
		{
			"no condition on the status", "gatus", endpoint("conditions: ['[RESPONSE_TIME] < 1000']"), "",
			[]string{"in:4: endpoint a without a condition on [STATUS]: "},
			[]string{"latency < 1s"},
			nil,
		},
		{
			"a body in a GET", "gatus", endpoint("body: x", "conditions: ['[STATUS] == 200']"), "",
			[]string{"in:4: body: a request of method GET"},
			[]string{"request: ${service.url}"},
			[]string{"body"},
		},
		{
			"a method that is none", "gatus", endpoint("method: FETCH", "conditions: ['[STATUS] == 200']"), "",
			[]string{"in:2: http probe of a: the compiler refuses it: "},
			nil, nil,
		},
		{
			"a duration that is none", "gatus", endpoint("interval: often", "conditions: ['[STATUS] == 200']"), "",
			[]string{"in:4: interval: want a duration such as 30s; 1m was taken"},
			[]string{"every: 1m"},
			nil,
		},
		{
			"more than a day", "gatus", endpoint("interval: 48h", "conditions: ['[STATUS] == 200']"), "",
			[]string{"in:4: interval 48h: set to 24h; want 5s to 24h"},
			[]string{"every: 24h"},
			nil,
		},
		{
			"a key of the map before a merged one", "gatus",
			"x-d: &d {interval: 5m, method: PUT, client: {timeout: 1s}}\nendpoints:\n- interval: 2m\n  url: https://a.example/\n  <<: *d\n  method: POST\n  conditions: ['[STATUS] == 200']\n", "",
			nil,
			[]string{"every: 2m", "method: POST", "timeout: 1s", "name: a.example"},
			nil,
		},
		{
			"a secret in a condition", "gatus", endpoint("conditions: ['[STATUS] == 200', '[BODY].access_token == abcdef']"), "",
			[]string{"in:4: condition on [BODY].access_token: it compares with a secret"},
			[]string{"status == 200"},
			[]string{"abcdef"},
		},
		{
			"a secret of the request in a condition", "gatus", endpoint("headers: {X-Token: tok-12345678}", "conditions: ['[STATUS] == 200', '[BODY].echo == tok-12345678']"), "",
			[]string{"in:4: header X-Token: the secret was not written", "in:5: condition [BODY].echo == ***: it compares with a secret"},
			[]string{"X-Token: ${secret:A_X_TOKEN}"},
			[]string{"12345678"},
		},
		{
			"a secret in the name", "gatus", "endpoints:\n- name: a tok-12345678\n  url: https://a.example/?token=tok-12345678\n  conditions: ['[STATUS] == 200']\n", "",
			[]string{"in:2: service a ***: it repeats a secret's value", "in:3: the address's parameter token: the secret was not written"},
			nil, nil,
		},
		{
			"dollars", "gatus", endpoint("method: POST", "body: 'a$$b $$${X} ${Y} $'", "conditions: ['[STATUS] == 200', '[BODY].price == $$3']"), "",
			[]string{"in:5: body: the environment variable X: ", "in:5: body: a $ right before the environment variable X: ", "in:5: body: the environment variable Y: "},
			[]string{"body: a$b ${secret:X} ${secret:Y} $\n", `json.price == '$3'`},
			nil,
		},
		{
			"what a name may not hold", "gatus", "endpoints:\n- name: \"a ${b}\\n\\tc\\u200b\"\n  group: ../../${x}\n  url: https://a.example/\n  conditions: ['[STATUS] == 200']\n", "",
			nil,
			[]string{"id: a-b-c\n", "name: a {b} c\n", "menu:\n  - \"../../{x}\"\n"},
			nil,
		},
		{
			"a proxy, a family and a certificate", "gatus",
			endpoint("client: {timeout: 3s, proxy-url: 'http://u:p-12345678@proxy.example:3128', tls: {certificate-file: c.pem, private-key-file: k.pem}}", "conditions: ['[STATUS] == 200']"), "",
			[]string{"in:4: the address's password: the secret was not written", "in:4: endpoint a: client.tls.certificate-file: its value is not in the file", "in:4: endpoint a: client.tls.private-key-file: "},
			[]string{
				"proxy:\n      url: http://proxy.example:3128\n      user: u\n      password: ${secret:A_PASSWORD}\n",
				"client_cert:\n      cert: ${secret:A_CERT}\n      key: ${secret:A_KEY}\n",
			},
			[]string{"12345678", "c.pem"},
		},
		{
			"a proxy by its number", "uptime-kuma",
			`{"monitorList": [{"type":"http","name":"a","url":"https://a.example/","proxyId":3}, {"type":"ping","name":"b"}],
"proxyList": [{"id":3,"protocol":"socks5","host":"proxy.example","port":1080,"auth":0}]}`, "",
			[]string{"in:1: monitor b: "},
			[]string{"proxy: socks5://proxy.example:1080\n"},
			nil,
		},
		{
			"a certificate inside the file", "uptime-kuma", monitor(`"authMethod":"mtls","tlsCert":"-----BEGIN CERTIFICATE-----\nMIIcert","tlsKey":"-----BEGIN PRIVATE KEY-----\nMIIkey","tlsCa":"x"`), "",
			[]string{"in:2: monitor a: tlsCert: the secret was not written", "in:2: monitor a: tlsKey: the secret was not written", "in:2: monitor a: tlsCa: write it into a file"},
			[]string{"cert: ${secret:A_CERT}\n"},
			[]string{"BEGIN"},
		},
		{
			"versions and families that are insisted on", "blackbox",
			"modules:\n  m:\n    prober: http\n    http:\n      valid_http_versions: [HTTP/2.0]\n      preferred_ip_protocol: ip6\n      ip_protocol_fallback: false\n      tls_config: {cert_file: c.pem, key_file: k.pem}\n", "https://a.example/ m",
			[]string{"in:8: module m: tls_config.cert_file: its value is not in the file", "in:8: module m: tls_config.key_file: "},
			[]string{"protocol: h2\n", "ip: 6\n", "cert: ${secret:A_EXAMPLE_CERT}\n"},
			nil,
		},
		{
			"what a name server may answer", "blackbox",
			"modules:\n  m:\n    prober: dns\n    dns:\n      query_name: www.example.\n      query_type: MX\n      transport_protocol: tcp\n      valid_rcodes: [NOERROR, NXDOMAIN]\n      validate_answer_rrs:\n        fail_if_matches_regexp: [bad, '^www']\n        fail_if_not_matches_regexp: [good]\n      validate_authority_rrs:\n        fail_if_matches_regexp: [x]\n", "10.0.0.53 m",
			[]string{"in:10: module m: validate_answer_rrs.fail_if_matches_regexp: an expression over a whole record", "in:13: module m: validate_authority_rrs: the answers alone"},
			[]string{"query: www.example\n", "type: MX\n", "- tcp://10.0.0.53\n", "rcode in ['NOERROR', 'NXDOMAIN']", "none(answers, # matches 'bad')", "all(answers, # matches 'good')"},
			nil,
		},
		{
			"monitors by id", "uptime-kuma", `{"monitorList": {"7": {"type": "http", "name": "a", "url": "https://a.example/"}}}`, "",
			nil,
			[]string{"id: a", "status in 200..299"},
			nil,
		},
		{
			"headers that are no JSON", "uptime-kuma", monitor(`"headers": "X: y"`), "",
			[]string{"in:2: monitor a: headers: they are not JSON"},
			[]string{"request: ${service.url}"},
			nil,
		},
		{
			"codes that are none", "uptime-kuma", monitor(`"accepted_statuscodes": ["fine"]`), "",
			[]string{"in:2: monitor a: accepted_statuscodes: want codes such as 200 or 200-299"},
			[]string{"request: ${service.url}"},
			[]string{"expect"},
		},
		{
			"a key of tomorrow", "uptime-kuma", monitor(`"weather": "fair", "mqttTopic": "x", "nothing": null`), "",
			[]string{"in:2: monitor a: weather: the importer does not know this key"},
			[]string{"id: a"},
			nil,
		},
		{
			"a regular expression that is none", "blackbox", "modules:\n  m:\n    prober: http\n    http:\n      fail_if_body_matches_regexp: ['(']\n", "https://a.example/ m",
			[]string{"in:5: module m: fail_if_body_matches_regexp: expect[1]: "},
			[]string{"status in 200..299"},
			[]string{"matches"},
		},
		{
			"a module too large", "blackbox", "modules:\n  m:\n    prober: http\n    http:\n      valid_status_codes: [" + strings.Repeat("200, ", 300) + "200]\n", "https://a.example/ m",
			[]string{"in:3: module m: want at most 200 values in a module, got 3"},
			nil, nil,
		},
		{
			"a line of too many words", "blackbox", "modules:\n  m: {prober: http}\n", "a b c\nhttps://a.example/ m",
			[]string{"targets:1: line: want"},
			[]string{"id: a-example"},
			nil,
		},
		{
			"a target without a scheme", "blackbox", "modules:\n  m: {prober: http}\n", "a.example/x m",
			nil,
			[]string{"url: http://a.example/x", "id: a-example-x"},
			nil,
		},
		{
			"a scrape timeout below the module's", "blackbox", "modules:\n  m: {prober: http, timeout: 20s}\n",
			"scrape_configs:\n- metrics_path: /probe\n  scrape_interval: 1m30s\n  scrape_timeout: 9s\n  params: {module: [m]}\n  static_configs: [{targets: ['https://a.example/']}]\n",
			nil,
			[]string{"every: 1m30s", "timeout: 9s"},
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := importer.Options{Kinds: kinds.All()}
			if c.targets != "" {
				o.Targets = &importer.Source{Name: "targets", Data: []byte(c.targets)}
			}
			out, err := importer.Import(c.format, importer.Source{Name: "in", Data: []byte(c.src)}, o)
			require.NoError(t, err)
			sound(t, out, kinds.All())
			var notes []string
			for _, n := range out.Notes {
				notes = append(notes, n.String())
			}
			require.Len(t, notes, len(c.notes), notes)
			for i, want := range c.notes {
				require.True(t, strings.HasPrefix(notes[i], want), "want %q, got %q", want, notes[i])
			}
			if len(c.has) == 0 {
				require.Empty(t, out.Files)
				return
			}
			require.Len(t, out.Files, 1)
			for _, want := range c.has {
				require.Contains(t, string(out.Files[0].Data), want)
			}
			for _, not := range c.hasNot {
				require.NotContains(t, string(out.Files[0].Data), not)
			}
		})
	}
}
