package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/importer"
	"github.com/gengfu/gengfu/probes/kinds"
)

// seeds are the samples of one format, and small texts from which to grow.
func seeds(f *testing.F, pattern string, small ...string) {
	f.Helper()
	for _, s := range small {
		f.Add([]byte(s))
	}
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data)
	}
}

// fuzz holds that any file is refused or becomes definitions that compile.
func fuzz(t *testing.T, format string, src []byte, targets *importer.Source) {
	t.Helper()
	table := kinds.All()
	out, err := importer.Import(format, importer.Source{Name: "in", Data: src}, importer.Options{Kinds: table, Targets: targets})
	if err != nil {
		require.NotEmpty(t, err.Error())
		return
	}
	sound(t, out, table)
}

func FuzzGatus(f *testing.F) {
	seeds(f, "gatus/small.yaml",
		"endpoints:\n- {name: a, url: 'http://a/', conditions: ['[STATUS] == any(200, 2)', '[BODY].a == pat(*x)']}",
		"x: &a {method: POST, body: '{\"password\": \"b\"}', headers: {Authorization: Bearer $X}}\nendpoints:\n- <<: *a\n  url: https://u:p@h/?token=t",
		"endpoints:\n- {name: 名, group: ../g, url: 'tcp://h:1', interval: 1ns, client: {timeout: 9h}}\n- {url: 1.1.1.1, dns: {query-name: a, query-type: A}}")
	f.Fuzz(func(t *testing.T, src []byte) { fuzz(t, "gatus", src, nil) })
}

func FuzzKuma(f *testing.F) {
	seeds(f, "uptime-kuma/*.json",
		`{"monitorList":[{"type":"http","name":"a","url":"http://a/","headers":"{\"X-Key\":\"v\"}","accepted_statuscodes":["200-299"]}]}`,
		`[{"type":"json-query","url":"https://u:p@h/?a=${b}","jsonPath":"$.a[0]","expectedValue":"1","jsonPathOperator":">"},{"type":"group","id":1}]`,
		`{"monitorList":{"1":{"type":"dns","hostname":"h","parent":1},"2":{"type":"keyword","url":"http://h","keyword":"'\\"}}}`)
	f.Fuzz(func(t *testing.T, src []byte) { fuzz(t, "uptime-kuma", src, nil) })
}

func FuzzBlackbox(f *testing.F) {
	targets, err := os.ReadFile("testdata/blackbox/prometheus.yml")
	require.NoError(f, err)
	seeds(f, "blackbox/blackbox.yml",
		"modules:\n  http_portal: {prober: http, http: {method: PUT, body: 'token=a&b=c', fail_if_header_matches: [{header: a, regexp: '('}]}}",
		"modules: {tcp_connect: {prober: tcp, timeout: 1h, tcp: {query_response: [{expect: a, send: b}]}}, icmp: {prober: icmp}, tls_connect: {prober: tcp, tcp: {tls: true}}}")
	f.Fuzz(func(t *testing.T, src []byte) {
		fuzz(t, "blackbox", src, &importer.Source{Name: "targets", Data: targets})
	})
}

func FuzzTargets(f *testing.F) {
	modules, err := os.ReadFile("testdata/blackbox/blackbox.yml")
	require.NoError(f, err)
	seeds(f, "blackbox/prometheus.yml",
		"scrape_configs:\n- {params: {module: [http_portal], target: [a]}, static_configs: [{targets: ['https://b/?key=c'], labels: {module: icmp}}]}")
	seeds(f, "blackbox/targets.txt")
	f.Fuzz(func(t *testing.T, src []byte) {
		fuzz(t, "blackbox", modules, &importer.Source{Name: "targets", Data: src})
	})
}
