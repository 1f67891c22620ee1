package tlsprobe_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/tlsprobe"
)

// compile makes a catalog of one service with one tls probe, and of further files.
func compile(keys string, files ...definition.File) (*definition.Catalog, error) {
	text := "id: hall\nname: 大厅\nchannel: portal\nurl: https://hall.example.test/grbs\nprobes:\n  - id: cert\n    kind: tls\n    every: 1m\n    timeout: 10s\n"
	for line := range strings.Lines(strings.Trim(keys, "\n")) {
		text += "    " + strings.TrimRight(line, "\n") + "\n"
	}
	return definition.Compile(definition.Revision{Commit: strings.Repeat("a", 40)},
		append(files, definition.File{Path: "services/hall.yaml", Data: []byte(text)}), []probes.Kind{tlsprobe.Kind})
}

func block(text string) string {
	return "|\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}

func TestDefinitions(t *testing.T) {
	root, smRoot := newRoot(t, "根证书"), newSMRoot(t, "国密根证书")
	for _, keys := range []string{
		"target: ${service.url}",
		"target: 政务.example.test",
		"target: www.example.test:8443",
		"target: https://政务.example.test:8443/查询?a=b",
		"target: '[2001:db8::1]:443'",
		"target: 2001:db8::1",
		"target: under_score.example.test",
		"target: ${service.url}\nsni: 政务.example.test\nconnect: 10.1.2.3",
		"target: ${service.url}\nconnect: '[2001:db8::1]:8443'",
		"target: ${service.url}\nroots: system\nmin_version: 1.3\nscan: true\nalpn: []",
		"target: ${service.url}\nroots: [system, roots/ca.pem, roots/sm.pem]\nmin_version: \"1.0\"",
		"target: ${service.url}\nroots: roots/both.pem\nca_file: /etc/ca.pem",
		"target: ${service.url}\nroots: " + block(string(root.pem())),
		"target: ${service.url}\ntlcp: only\nignore: [chain_aia, weak_key, weak_signature, weak_cipher, old_versions, ocsp, client_cert, tlcp_usage, untrusted, name, tlcp_untrusted]",
		"target: ${service.url}\nexpect: [\"tls.version >= '1.2'\", \"cert.issuer contains 'CFCA'\", chain.complete, \"ocsp.status in ['good', 'none']\"]\nwarn: [cert.days_left > 30, latency < 2s]",
	} {
		c, err := compile(keys,
			definition.File{Path: "roots/ca.pem", Data: root.pem()}, definition.File{Path: "roots/sm.pem", Data: []byte(smRoot.pem())},
			definition.File{Path: "roots/both.pem", Data: []byte("人读的说明\n" + string(root.pem()) + smRoot.pem())})
		require.NoError(t, err, keys)
		require.Len(t, c.Probes(), 1)
	}
}

func TestMistakes(t *testing.T) {
	const good = "target: ${service.url}\n"
	for _, tt := range []struct {
		name, keys string
		want       []string // "line:column: text begins"
	}{
		{"no target", "scan: true", []string{"6:5: target: want where to connect to, got nothing; write target: www.example.test"}},
		{"another scheme", "target: http://a.test/", []string{`10:13: target: want a host or an address that begins with https://, got "http://a.test/"`}},
		{"no host", "target: 'https:///x'", []string{`10:13: target: want a host`}},
		{"bad port", "target: a.test:99999", []string{`10:13: target: want a port of 1 to 65535, got "99999"`}},
		{"bad host", "target: 'a b.test'", []string{`10:13: target: want a host such as www.example.test, got "a b.test"`}},
		{"unknown key", good + "sny: a.test", []string{`11:5: sny: unknown key; did you mean "sni"?`}},
		{"bad name", good + "sni: 'a b'", []string{`11:10: sni: want a host's name such as www.example.test, got "a b"`}},
		{"name for an address", good + "connect: node1.test", []string{`11:14: connect: want an address such as 10.1.2.3 or 10.1.2.3:8443, got "node1.test"`}},
		{"bad port of an address", good + "connect: 10.1.2.3:0", []string{`11:14: connect: want an address`}},
		{"version in words", good + "min_version: tls12", []string{`11:18: min_version: want 1.0, 1.1, 1.2 or 1.3, got tls12`}},
		{"version of the future", good + "min_version: 1.4", []string{`11:18: min_version: want 1.0, 1.1, 1.2 or 1.3, got 1.4`}},
		{"unknown wish", good + "tlcp: required", []string{`11:11: tlcp: want expected, absent, any or only, got "required"`}},
		{"scan of what is left out", good + "tlcp: only\nscan: true", []string{`12:11: scan: want false beside tlcp: only`}},
		{"unknown check", good + "ignore: [chain_aia, expired]", []string{`11:25: ignore[1]: want one of chain_aia, weak_key, `}},
		{"empty protocol", good + "alpn: [h2, '']", []string{`11:16: alpn[1]: want a protocol such as h2 or http/1.1, got ""`}},
		{"many protocols", good + "alpn: [a, b, c, d, e, f, g, h, i]", []string{`11:11: alpn: want at most 8 protocols, got 9`}},
		{"unknown root", good + "roots: [system, domestic]", []string{`11:21: roots[1]: want system, certificates in PEM, or the path of a file beside the definitions such as roots/ca.pem, got "domestic": there is no such file in roots/; want one of roots/bad.pem, roots/key.pem`}},
		{"file without certificates", good + "roots: roots/bad.pem", []string{`11:12: roots[0]: want certificates in PEM, got none`}},
		{"file with a key", good + "roots: [roots/key.pem]", []string{`11:13: roots[0]: want certificates, got "PRIVATE KEY"`}},
		{"junk in PEM", good + "roots:\n  - system\n  - \"-----BEGIN CERTIFICATE-----\\nanVuaw==\\n-----END CERTIFICATE-----\\n\"", []string{`13:9: roots[1]: want certificates in PEM, got one that cannot be read`}},
		{"unknown field", good + "expect: [cert.days_left > 30, cert.day_left > 30]", []string{`11:35: expect[1]: column 6: unknown field "cert.day_left"`}},
		{"bad warning", good + "warn: [\"cert.days_left > '30'\"]", []string{`11:12: warn[0]: column 16: `}},
		{"all at once", "target: ftp://a.test\nsni: ' '\ntlcp: no\nexpect: [nope]", []string{`10:13: target`, `11:10: sni`, `12:11: tlcp`, `13:14: expect[0]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := compile(tt.keys, definition.File{Path: "roots/bad.pem", Data: []byte("nothing")},
				definition.File{Path: "roots/key.pem", Data: []byte("-----BEGIN PRIVATE KEY-----\nanVuaw==\n-----END PRIVATE KEY-----\n")})
			var mistakes definition.Mistakes
			require.True(t, errors.As(err, &mistakes), "%v", err)
			require.Len(t, mistakes, len(tt.want), "%v", err)
			for i, want := range tt.want {
				require.Truef(t, strings.HasPrefix(mistakes[i].Error(), "services/hall.yaml:"+want), "want %s, got %s", want, mistakes[i])
			}
		})
	}
}

func TestFieldsAreDocumented(t *testing.T) {
	for _, f := range tlsprobe.Fields() {
		require.NotEmpty(t, f.Doc, f.Name)
		if members, ok := f.Zero.(map[string]any); ok {
			for m := range members {
				require.Contains(t, f.Doc, f.Name+"."+m)
			}
		}
	}
}

// TestRoots holds what a definition trusts, and nothing else.
func TestRoots(t *testing.T) {
	agents, domestic, third := newRoot(t, "探针信任的"), newRoot(t, "国内根证书"), newRoot(t, "第三个")
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, third.pem(), 0o600))
	sites := map[string]string{}
	for name, e := range map[string]entity{"agents": agents, "domestic": domestic, "third": third} {
		sites[name] = serveTLS(t, sends(e.site(t).with(e)))
	}
	listed := string(domestic.pem())
	for _, tt := range []struct {
		keys string
		want string
	}{
		{"", "agents"},
		{"roots: system", "agents"},
		{roots(listed), "agents domestic"},
		{"roots: " + strings.ReplaceAll(block(listed), "\n    ", "\n  "), "domestic"},
		{"ca_file: " + file, "agents third"},
		{roots(listed) + "ca_file: " + file, "agents domestic third"},
		{"roots: " + strings.ReplaceAll(block(listed), "\n    ", "\n  ") + "\nca_file: " + file, "domestic third"},
	} {
		for name, port := range sites {
			l := at(t, day, port, tt.keys, trusting(agents.pool()))
			require.Equal(t, strings.Contains(tt.want, name), l.Verdict == probes.Up, "%s with %s: %v", name, tt.keys, l.says())
		}
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	bad := filepath.Join(t.TempDir(), "bad.pem")
	require.NoError(t, os.WriteFile(bad, []byte("nonsense"), 0o600))
	for _, file := range []string{bad, bad + ".none"} {
		r, err := decodeAt(t, fmt.Sprintf("target: a.test\nca_file: %s", file)).Probe(t.Context(), env)
		require.ErrorContains(t, err, "ca_file")
		require.Equal(t, probes.Unknown, r.Verdict)
	}
}
